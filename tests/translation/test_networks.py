"""Generators and discriminators against the papers' appendices."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from synth2real.translation.discriminators import DiscriminatorSettings, MultiscaleDiscriminator, PatchDiscriminator
from synth2real.translation.generators import Generator, GeneratorSettings, InstanceNorm


def _generator(**change: object) -> Generator:
    torch.manual_seed(0)
    plain = {"network": "resnet", "width": 4, "blocks": 1, "depth": 3, "upsampling": "resize", "residual": False}
    return Generator(GeneratorSettings(**{**plain, **change}))  # type: ignore[arg-type]


def _discriminator(**change: object) -> DiscriminatorSettings:
    plain = {"width": 4, "layers": 2, "scales": 1, "activation": "leaky_relu", "norm": "instance"}
    return DiscriminatorSettings(**{**plain, **change})  # type: ignore[arg-type]


def _convolutions(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_the_papers_layers() -> None:
    with torch.device("meta"):  # sizes without numbers
        network, smaller = (_generator(width=64, blocks=blocks, upsampling="transposed") for blocks in (9, 6))
    shapes = [(type(m).__name__, m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in _convolutions(network)]
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
    assert _parameters(smaller) == 7_837_699


def test_discriminator_has_the_papers_size() -> None:
    assert _parameters(PatchDiscriminator(_discriminator(width=64, layers=3))) == 2_764_737  # 2.765 M


@pytest.mark.parametrize(("layers", "patch"), [(0, 1), (1, 16), (2, 34), (3, 70)])
def test_patches_are_of_the_published_size(layers: int, patch: int) -> None:
    # Instance norm sees the whole image, so the probe takes it out.
    network = PatchDiscriminator(_discriminator(width=2, layers=layers))
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


def _plain_resnet(network: Generator, images: Tensor) -> Tensor:
    """Zhu et al. 2017, appendix 7.2, written down layer by layer with PyTorch's own instance norm; transposed upsampling."""
    layers = iter(_convolutions(network))

    def convolve(features: Tensor, padding: int) -> Tensor:
        layer = next(layers)
        features = F.pad(features, (padding,) * 4, mode="reflect")
        return F.instance_norm(F.conv2d(features, layer.weight, layer.bias))

    features = F.relu(convolve(images, 3))
    for _ in range(2):
        layer = next(layers)
        features = F.relu(F.instance_norm(F.conv2d(features, layer.weight, layer.bias, stride=2, padding=1)))
    for _ in range(network.settings.blocks):
        features = features + convolve(F.relu(convolve(features, 1)), 1)
    for _ in range(2):
        layer = next(layers)
        features = F.conv_transpose2d(features, layer.weight, layer.bias, stride=2, padding=1, output_padding=1)
        features = F.relu(F.instance_norm(features))
    last = next(layers)
    return torch.tanh(F.conv2d(F.pad(features, (3,) * 4, mode="reflect"), last.weight, last.bias))


def _plain_unet(network: Generator, images: Tensor) -> Tensor:
    """Isola et al. 2017, appendix 6.1.1: the whole encoder, then the whole decoder with skip connections."""
    layers = _convolutions(network)
    depth = len(layers) // 2
    encoder, decoder = layers[:depth], layers[depth:]
    features, skips = images, []
    for index, layer in enumerate(encoder):
        features = F.leaky_relu(features, 0.2) if index else features
        features = F.conv2d(features, layer.weight, layer.bias, stride=2, padding=1)
        features = F.instance_norm(features) if 0 < index < depth - 1 else features
        skips.append(features)
    for index, layer in enumerate(decoder):
        joined = features if index == 0 else torch.cat((skips[depth - 1 - index], features), 1)
        features = F.conv_transpose2d(F.relu(joined), layer.weight, layer.bias, stride=2, padding=1)
        features = F.instance_norm(features) if index < depth - 1 else features
    return torch.tanh(features)


@pytest.mark.parametrize(
    ("network", "plain"),
    [
        (_generator(blocks=2, upsampling="transposed"), _plain_resnet),
        (_generator(network="unet", depth=4, upsampling="transposed"), _plain_unet),
    ],
)
def test_generators_give_what_the_papers_layers_give(network: Generator, plain: Callable[[Generator, Tensor], Tensor]) -> None:
    network = network.double()
    for layer in _convolutions(network):
        nn.init.normal_(layer.weight, 0, 0.3)
    images = (torch.rand(2, 3, 32, 48, dtype=torch.float64) * 2 - 1).requires_grad_()
    gradients = []
    for output in (network(images), plain(network, images)):
        network.zero_grad()
        loss = (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).reshape(output.shape)).sum()
        gradients.append((output, *torch.autograd.grad(loss, [images, *network.parameters()])))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_unet_has_the_papers_size() -> None:
    with torch.device("meta"):
        network = _generator(network="unet", width=64, depth=8, upsampling="transposed")
    assert sum(layer.weight.numel() for layer in _convolutions(network)) == 54_404_096  # 54.4 M
    assert [layer.out_channels for layer in _convolutions(network)] == [
        *(64, 128, 256, 512, 512, 512, 512, 512),
        *(512, 512, 512, 512, 256, 128, 64, 3),
    ]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(8, 40), st.integers(8, 40), st.sampled_from(["resnet", "unet"]), st.sampled_from(["resize", "transposed"]),
    st.booleans(),
)  # fmt: skip
def test_any_size_keeps_its_size_and_range(height: int, width: int, network: str, upsampling: str, residual: bool) -> None:
    generator = _generator(network=network, upsampling=upsampling, residual=residual)
    with torch.no_grad():
        translated = generator(torch.rand(2, 3, height, width) * 2 - 1)
    assert translated.shape == (2, 3, height, width)
    assert translated.abs().max() <= 1


def test_padding_is_by_reflection_and_cut_off() -> None:
    images = torch.rand(1, 3, 22, 17) * 2 - 1
    padded = torch.cat((images, images[:, :, [20, 19]]), 2)
    padded = torch.cat((padded, padded[..., [15, 14, 13]]), 3)
    generator = _generator()
    torch.testing.assert_close(generator(images), generator(padded)[..., :22, :17])


def test_multiscale_is_copies_on_ever_smaller_images() -> None:
    torch.manual_seed(0)
    network = MultiscaleDiscriminator(_discriminator(scales=3))
    images = torch.rand(2, 3, 64, 96) * 2 - 1
    logits = network(images)
    padded = [images]
    for _ in range(2):
        ones = torch.ones_like(padded[-1])
        sums, counts = (F.avg_pool2d(F.pad(one, (1, 1, 1, 1)), 3, stride=2) for one in (padded[-1], ones))
        padded.append(sums / counts)  # a mean over those of 3x3 pixels that are inside
    assert [tuple(image.shape[2:]) for image in padded] == [(64, 96), (32, 48), (16, 24)]
    for discriminator, image, found in zip(network.scales, padded, logits, strict=True):
        torch.testing.assert_close(found, discriminator(image))
    weights = [next(discriminator.parameters()) for discriminator in network.scales]
    assert not torch.equal(weights[0], weights[1])


def test_the_pixel_discriminator_judges_each_pixel() -> None:
    network = PatchDiscriminator(_discriminator(width=64, layers=0))
    assert [(layer.out_channels, layer.kernel_size[0]) for layer in _convolutions(network)] == [(64, 1), (128, 1), (1, 1)]
    assert network(torch.zeros(1, 3, 9, 7)).shape == (1, 1, 9, 7)


@pytest.mark.parametrize(("activation", "slope"), [("leaky_relu", 0.2), ("relu", 0.0)])
def test_activations_of_the_discriminator(activation: str, slope: float) -> None:
    network = PatchDiscriminator(_discriminator(activation=activation))
    found = network.layers[1](torch.tensor([-1.0, 2.0]))
    torch.testing.assert_close(found, torch.tensor([-slope, 2.0]))
    assert sum(type(module) is type(network.layers[1]) for module in network.modules()) == 3


def test_spectral_norm_bounds_each_layer_and_replaces_instance_norm() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(_discriminator(norm="spectral"))
    for _ in range(50):  # a power iteration each
        network(torch.zeros(1, 3, 32, 32))
    for layer in _convolutions(network):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    assert not any(isinstance(module, InstanceNorm) for module in network.modules())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3), st.integers(1, 2))
def test_discriminators_take_their_minimum_size(layers: int, scales: int) -> None:
    chosen = _discriminator(layers=layers, scales=scales)
    size = chosen.minimum_size
    logits = MultiscaleDiscriminator(chosen)(torch.rand(1, 3, size, size))
    assert all(torch.isfinite(one).all() and one.numel() for one in logits)


def test_an_images_translation_does_not_depend_on_the_rest_of_its_batch() -> None:
    generator, images = _generator(), torch.rand(3, 3, 16, 24) * 2 - 1
    apart = torch.cat([generator(image[None]) for image in images])
    torch.testing.assert_close(generator(images), apart, rtol=1e-5, atol=1e-6)


def test_an_untrained_residual_generator_keeps_the_image() -> None:
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    for change in ({}, {"network": "unet"}, {"network": "unet", "upsampling": "transposed"}):
        torch.testing.assert_close(_generator(residual=True, **change)(images), 0.98 * images)
    assert not np.allclose(_generator(residual=False)(images).detach().numpy(), images.numpy())


def test_a_residual_generator_learns_at_black_and_white_too() -> None:
    """A sum that is clamped has no gradient where it starts, at the ends of the range."""
    generator = _generator(residual=True)
    images = torch.ones(1, 3, 32, 32)
    images[..., :16] = -1.0
    for left in (0, 16):
        generator.zero_grad()
        generator(images)[..., left : left + 16].sum().backward()
        last = _convolutions(generator)[-1]
        assert last.bias is not None
        assert last.bias.grad is not None
        assert last.bias.grad.abs().min() > 1


@pytest.mark.parametrize(("change", "least"), [({}, 8), ({"network": "unet", "depth": 4}, 9)])
def test_tiny_images_are_refused(change: dict[str, object], least: int) -> None:
    generator = _generator(**change)
    with pytest.raises(ValueError, match=f"at least {least} pixels, got {least - 1}x16"):
        generator(torch.zeros(1, 3, least - 1, 16))
    assert generator(torch.zeros(1, 3, least, least)).shape == (1, 3, least, least)


@pytest.mark.parametrize("change", [{"width": 0}, {"blocks": -1}, {"depth": 1}])
def test_settings_out_of_range(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        _generator(**change)


@pytest.mark.parametrize("change", [{"width": 0}, {"layers": -1}, {"scales": 0}])
def test_settings_of_the_discriminator_out_of_range(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        _discriminator(**change)
