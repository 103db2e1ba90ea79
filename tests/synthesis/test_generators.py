"""Generators against the papers, written down layer by layer, and the published checkpoint's names and shapes."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from synth2real.models import ModelFileError
from synth2real.synthesis.checkpoints import from_released, load_synthesizer
from synth2real.synthesis.conditions import boundaries, encode
from synth2real.synthesis.generators import SynthesisGenerator, SynthesisGeneratorSettings, set_dropout

CPU = torch.device("cpu")


def _settings(**change: object) -> SynthesisGeneratorSettings:
    plain = {"network": "global", "width": 4, "halvings": 2, "blocks": 1, "local_blocks": 1, "dropout": 0.0, "noise": 0.0}
    return SynthesisGeneratorSettings(**{**plain, **change})  # type: ignore[arg-type]


def _planes(height: int = 32, width: int = 64, channels: int = 36) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(7))


# --- The published network ---------------------------------------------------------------------------------------------


def published_shapes(width: int = 32, halvings: int = 4, blocks: int = 9, channels: int = 36) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the generator that Wang et al. published for 2048x1024: modules are numbered with what has no weights.

    Four numbers (padding, convolution, norm, ReLU) for the first convolution, three for each that changes the size, one for each
    residual block, whose convolutions are 1 and 5. The global part has twice the enhancer's channels, and not its last layers.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, *shape: int, outputs: int | None = None) -> None:
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = (shape[0] if outputs is None else outputs,)

    def add_block(name: str, channels: int) -> None:
        for place in (1, 5):
            add(f"{name}.conv_block.{place}", channels, channels, 3, 3)

    wide = 2 * width
    add("model.1", wide, channels, 7, 7)
    place = 4
    for _ in range(halvings):
        add(f"model.{place}", 2 * wide, wide, 3, 3)
        wide, place = 2 * wide, place + 3
    for _ in range(blocks):
        add_block(f"model.{place}", wide)
        place += 1
    for _ in range(halvings):
        add(f"model.{place}", wide, wide // 2, 3, 3, outputs=wide // 2)
        wide, place = wide // 2, place + 3
    add("model1_1.1", width, channels, 7, 7)
    add("model1_1.4", 2 * width, width, 3, 3)
    for block in range(3):
        add_block(f"model1_2.{block}", 2 * width)
    add("model1_2.3", 2 * width, width, 3, 3, outputs=width)
    add("model1_2.7", 3, width, 7, 7)
    return shapes


def _random_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(3)
    return {name: 0.1 * torch.randn(shape, generator=source) for name, shape in shapes.items()}


def _published_output(state: dict[str, Tensor], planes: Tensor, halvings: int, blocks: int) -> Tensor:
    """The published network from its weights alone: Wang et al. 2018, figure 3 and appendix A."""

    def norm(features: Tensor) -> Tensor:
        variance, mean = torch.var_mean(features, (2, 3), correction=0, keepdim=True)
        return (features - mean) / torch.sqrt(variance + 1e-5)

    def convolve(name: str, features: Tensor, reflect: int = 0, stride: int = 1, padding: int = 0) -> Tensor:
        if reflect:
            features = F.pad(features, (reflect,) * 4, mode="reflect")
        return F.conv2d(features, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)

    def grow(name: str, features: Tensor) -> Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return norm(F.conv_transpose2d(features, weight, bias, stride=2, padding=1, output_padding=1)).relu()

    def block(name: str, features: Tensor) -> Tensor:
        changed = norm(convolve(f"{name}.conv_block.1", features, reflect=1)).relu()
        return features + norm(convolve(f"{name}.conv_block.5", changed, reflect=1))

    mask = torch.ones_like(planes[:, :1])
    smaller = F.avg_pool2d(planes, 3, 2, 1, divisor_override=1) / F.avg_pool2d(mask, 3, 2, 1, divisor_override=1)
    features = norm(convolve("model.1", smaller, reflect=3)).relu()
    place = 4
    for _ in range(halvings):
        features = norm(convolve(f"model.{place}", features, stride=2, padding=1)).relu()
        place += 3
    for _ in range(blocks):
        features = block(f"model.{place}", features)
        place += 1
    for _ in range(halvings):
        features = grow(f"model.{place}", features)
        place += 3
    enhanced = norm(convolve("model1_1.1", planes, reflect=3)).relu()
    features = features + norm(convolve("model1_1.4", enhanced, stride=2, padding=1)).relu()
    for number in range(3):
        features = block(f"model1_2.{number}", features)
    return torch.tanh(convolve("model1_2.7", grow("model1_2.3", features), reflect=3))


def test_the_network_of_the_published_checkpoint_has_its_names_and_shapes() -> None:
    with torch.device("meta"):  # sizes without numbers
        network = SynthesisGenerator(_settings(network="local", width=32, halvings=4, blocks=9, local_blocks=3), 36).network
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == published_shapes()


def test_a_checkpoint_in_the_published_naming_gives_the_published_networks_output(tmp_path: Path) -> None:
    state = _random_state(published_shapes(width=3, halvings=3, blocks=2))
    path = tmp_path / "latest_net_G.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)  # the format of 2017
    synthesizer = load_synthesizer(path, CPU)
    assert synthesizer.boundaries
    assert synthesizer.generator.settings == _settings(network="local", width=3, halvings=3, blocks=2, local_blocks=3)
    loaded = synthesizer.generator.network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    with torch.inference_mode():
        torch.testing.assert_close(
            synthesizer.generator(_planes()), _published_output(state, _planes(), 3, 2), atol=2e-5, rtol=1e-5
        )


def test_statistics_that_early_pytorch_stored_are_accepted_at_norms_only() -> None:
    state = _random_state(published_shapes(width=2, halvings=2, blocks=1))
    old = state | {"model.2.running_mean": torch.zeros(4), "model.2.running_var": torch.ones(4)}
    assert torch.equal(from_released(old).generator(_planes()), from_released(state).generator(_planes()))
    with pytest.raises(ModelFileError, match=r"model\.3\.running_mean"):
        from_released(state | {"model.3.running_mean": torch.zeros(4)})


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("model.7.weight", None, r"Missing key.*model\.7\.weight"),
        ("model.99.weight", (1,), r"Unexpected key.*model\.99\.weight"),
        ("model1_2.7.bias", (4,), r"size mismatch for model1_2\.7\.bias"),
        ("model1_1.1.weight", (2, 39, 7, 7), "takes 39 channels, expected 35 .* or 36"),
        ("model1_1.1.weight", (2,), r"neither a synthesizer .* no tensor model\.1\.weight"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(name: str, shape: tuple[int, ...] | None, message: str) -> None:
    state = _random_state(published_shapes(width=2, halvings=2, blocks=1))
    if shape is None:
        del state[name]
    else:
        state[name] = torch.zeros(shape)
    with pytest.raises(ModelFileError, match=f"(?s){message}"):
        from_released(state)


def test_the_half_size_generator_of_the_authors_loads_too() -> None:
    network = SynthesisGenerator(_settings(network="global", halvings=3, blocks=2), 35)
    loaded = from_released(network.network.state_dict())
    assert not loaded.boundaries
    assert loaded.generator.settings == _settings(network="global", halvings=3, blocks=2, local_blocks=0)
    assert torch.equal(loaded.generator(_planes(channels=35)), network(_planes(channels=35)))


# --- pix2pix -----------------------------------------------------------------------------------------------------------


def test_unet_has_the_papers_layers() -> None:
    with torch.device("meta"):
        network = SynthesisGenerator(_settings(network="unet", width=64, halvings=8, dropout=0.5), 3).network
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    shapes = [(type(one).__name__, one.in_channels, one.out_channels) for one in convolutions]
    encoder = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    decoder = [(512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3)]
    assert shapes == [
        *(("Conv2d", first, second) for first, second in pairwise(encoder)),
        *(("ConvTranspose2d", *pair) for pair in decoder),
    ]
    dropped = ["Dropout" in str(up) for up in network.up]  # type: ignore[union-attr]
    assert dropped == [True, True, True, False, False, False, False]


def test_unet_joins_each_level_to_its_mirror_image() -> None:
    network = SynthesisGenerator(_settings(network="unet", halvings=3), 5)
    down = [list(part)[-2] if len(part) > 2 else list(part)[-1] for part in network.network.down]  # type: ignore[union-attr]
    up = [list(part)[1] for part in network.network.up]  # type: ignore[union-attr]
    planes = _planes(16, 24, 5)
    first = down[0](planes)
    second = F.instance_norm(down[1](F.leaky_relu(first, 0.2)))
    third = down[2](F.leaky_relu(second, 0.2))
    joined = torch.cat((second, F.instance_norm(up[0](third.relu()))), 1)
    joined = torch.cat((first, F.instance_norm(up[1](joined.relu()))), 1)
    expected = torch.tanh(network.network.last[1](joined.relu()))  # type: ignore[index,operator]
    torch.testing.assert_close(network(planes), expected)


# --- Any network -------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(network=st.sampled_from(["global", "local", "unet"]), height=st.integers(16, 40), width=st.integers(16, 40))
def test_output_has_the_inputs_size_whatever_it_is(network: str, height: int, width: int) -> None:
    generator = SynthesisGenerator(_settings(network=network, halvings=2), 5)
    image = generator(_planes(height, width, 5))
    assert image.shape == (1, 3, height, width)
    assert bool((image.abs() <= 1).all())


def test_too_small_an_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels, got 15x20"):
        SynthesisGenerator(_settings(network="local"), 5)(_planes(15, 20, 5))


@pytest.mark.parametrize("network", ["global", "local", "unet"])
def test_dropout_stays_on_after_training_and_its_rate_can_be_changed(network: str) -> None:
    generator = SynthesisGenerator(_settings(network=network, dropout=0.5, halvings=3), 5).eval()
    planes = _planes(32, 32, 5)
    assert not torch.equal(generator(planes), generator(planes))
    set_dropout(generator, 0.0)
    assert torch.equal(generator(planes), generator(planes))


@pytest.mark.parametrize("network", ["global", "local", "unet"])
def test_noise_makes_images_differ_and_its_scale_learns(network: str) -> None:
    generator = SynthesisGenerator(_settings(network=network, noise=0.5, halvings=3), 5).eval()
    planes = _planes(32, 32, 5)
    torch.manual_seed(1)
    first = generator(planes)
    assert not torch.equal(first, generator(planes))
    torch.manual_seed(1)
    assert torch.equal(first, generator(planes))
    first.square().mean().backward()
    scales = [parameter for name, parameter in generator.named_parameters() if name.endswith("scale")]
    assert scales
    assert all(scale.grad is not None and bool(scale.grad.any()) for scale in scales)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be at least 1"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"noise": -1.0}, "noise must be at least 0"),
        ({"network": "unet", "halvings": 1}, "halvings must be at least 2"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _settings(**change)


# --- The input ---------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_boundaries_are_pixels_with_another_neighbour(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    ids = data.draw(st.lists(st.integers(0, 2), min_size=height * width, max_size=height * width))
    instances = torch.tensor(ids).reshape(1, height, width)
    found = boundaries(instances)[0]
    for row in range(height):
        for column in range(width):
            neighbours = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            inside = [place for place in neighbours if 0 <= place[0] < height and 0 <= place[1] < width]
            assert bool(found[row, column]) == any(instances[0][place] != instances[0, row, column] for place in inside)


def test_each_label_has_its_plane() -> None:
    label_ids = torch.arange(34, dtype=torch.uint8).reshape(1, 2, 17)
    planes = encode(label_ids, None)
    assert planes.shape == (1, 35, 2, 17)
    assert torch.equal(planes.argmax(1), label_ids.long())
    assert torch.equal(planes.sum(1), torch.ones(1, 2, 17))
    assert encode(label_ids, label_ids.int())[0, 35].all()  # every neighbour differs
