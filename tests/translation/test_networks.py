"""Generators and discriminators against the paper's appendix."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from synth2real.translation.discriminators import DiscriminatorSettings, PatchDiscriminator
from synth2real.translation.generators import GeneratorSettings, InstanceNorm, ResnetGenerator


def _generator(width: int = 4, blocks: int = 1, upsampling: str = "resize", residual: bool = False) -> ResnetGenerator:
    torch.manual_seed(0)
    return ResnetGenerator(GeneratorSettings(width=width, blocks=blocks, upsampling=upsampling, residual=residual))  # type: ignore[arg-type]


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_the_papers_layers() -> None:
    network = _generator(64, 9, "transposed")
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    shapes = [(type(m).__name__, m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in convolutions]
    assert shapes == [
        ("Conv2d", 3, 64, 7, 1),
        ("Conv2d", 64, 128, 3, 2),
        ("Conv2d", 128, 256, 3, 2),
        *[("Conv2d", 256, 256, 3, 1)] * 18,
        ("ConvTranspose2d", 256, 128, 3, 2),
        ("ConvTranspose2d", 128, 64, 3, 2),
        ("Conv2d", 64, 3, 7, 1),
    ]
    assert _parameters(network) == 11_378_179  # as the authors' code prints it: 11.378 M
    assert _parameters(_generator(64, 6, "transposed")) == 7_837_699


def test_discriminator_has_the_papers_size() -> None:
    assert _parameters(PatchDiscriminator(DiscriminatorSettings(width=64, layers=3))) == 2_764_737  # 2.765 M


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_patches_are_of_the_published_size(layers: int, patch: int) -> None:
    # Instance norm sees the whole image, so the probe takes it out.
    network = PatchDiscriminator(DiscriminatorSettings(width=2, layers=layers))
    plain = nn.Sequential(*[module for module in network.layers if not isinstance(module, InstanceNorm)]).double()
    image = torch.randn(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    logits = plain(image)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert image.grad is not None
    rows, columns = image.grad.abs().sum((0, 1)).nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == patch
    assert int(columns.max() - columns.min()) + 1 == patch


def test_instance_norm_is_pytorchs() -> None:
    features = torch.randn(3, 5, 9, 7) * 4 + 2
    torch.testing.assert_close(InstanceNorm()(features), nn.InstanceNorm2d(5)(features))


@settings(max_examples=15, deadline=None)
@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from(["resize", "transposed"]), st.booleans())
def test_any_size_keeps_its_size_and_range(height: int, width: int, upsampling: str, residual: bool) -> None:
    generator = _generator(upsampling=upsampling, residual=residual)
    with torch.no_grad():
        translated = generator(torch.rand(2, 3, height, width) * 2 - 1)
    assert translated.shape == (2, 3, height, width)
    assert translated.abs().max() <= 1


def test_an_images_translation_does_not_depend_on_the_rest_of_its_batch() -> None:
    generator, images = _generator(), torch.rand(3, 3, 16, 24) * 2 - 1
    apart = torch.cat([generator(image[None]) for image in images])
    torch.testing.assert_close(generator(images), apart, rtol=1e-5, atol=1e-6)


def test_an_untrained_residual_generator_keeps_the_image() -> None:
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(_generator(residual=True)(images), 0.98 * images)
    assert not np.allclose(_generator(residual=False)(images).detach().numpy(), images.numpy())


def test_a_residual_generator_learns_at_black_and_white_too() -> None:
    """A sum that is clamped has no gradient where it starts, at the ends of the range."""
    generator = _generator(residual=True)
    images = torch.ones(1, 3, 32, 32)
    images[..., :16] = -1.0
    for left in (0, 16):
        generator.zero_grad()
        generator(images)[..., left : left + 16].sum().backward()
        last = next(reversed([module for module in generator.modules() if isinstance(module, torch.nn.Conv2d)]))
        assert last.bias is not None
        assert last.bias.grad is not None
        assert last.bias.grad.abs().min() > 1


def test_tiny_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 pixels, got 4x16"):
        _generator()(torch.zeros(1, 3, 4, 16))


@pytest.mark.parametrize("change", [{"width": 0}, {"blocks": -1}])
def test_settings_out_of_range(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        GeneratorSettings(**{"width": 4, "blocks": 1, "upsampling": "resize", "residual": False, **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="layers"):
        DiscriminatorSettings(width=4, layers=0)
