"""Discriminators, losses, features and perceptual distances, each against a plain implementation."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import vgg19

from synth2real.models import ModelFileError
from synth2real.synthesis.discriminators import ConditionalDiscriminator, SynthesisDiscriminatorSettings
from synth2real.synthesis.features import (
    FeatureEncoder,
    FeatureSettings,
    Looks,
    average_over_instances,
    class_of,
    cluster,
    looks,
    sample_features,
)
from synth2real.synthesis.losses import feature_matching_loss
from synth2real.synthesis.perceptual import Perceptual

FEATURES = FeatureSettings(channels=3, width=2, halvings=2, clusters=2)


def _discriminator(channels: int = 5, **change: object) -> ConditionalDiscriminator:
    torch.manual_seed(0)
    plain = {"network": "patch", "width": 4, "layers": 2, "scales": 1, "norm": "instance"}
    return ConditionalDiscriminator(SynthesisDiscriminatorSettings(**{**plain, **change}), channels)  # type: ignore[arg-type]


def _random(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# --- Discriminators ----------------------------------------------------------------------------------------------------


def _stream(convolutions: list[nn.Conv2d], features: Tensor) -> Tensor:
    """Convolutions with padding 2; stride 2 but in the last, no norm in the first; leaky ReLU."""
    for index, convolution in enumerate(convolutions):
        stride = 1 if index == len(convolutions) - 1 else 2
        features = F.conv2d(features, convolution.weight, convolution.bias, stride, padding=2)
        features = F.leaky_relu(F.instance_norm(features) if index else features, 0.2)
    return features


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_patch_discriminator_is_the_published_one() -> None:
    network = _discriminator(layers=3)
    planes, images = _random(2, 5, 32, 48), _random(2, 3, 32, 48, seed=2)
    *stream, last = _convolutions(network)
    assert [one.out_channels for one in (*stream, last)] == [4, 8, 16, 32, 1]
    expected = F.conv2d(_stream(stream, torch.cat((planes, images), 1)), last.weight, last.bias, padding=2)
    (judgement,) = network(planes, images)
    assert len(judgement) == 5
    torch.testing.assert_close(judgement[-1], expected)


def test_sesame_weighs_the_image_by_the_layout() -> None:
    network = _discriminator(network="sesame", layers=2)
    planes, images = _random(1, 5, 32, 48), _random(1, 3, 32, 48, seed=2)
    every = _convolutions(network)
    of_image, of_planes, last = every[:3], every[3:6], every[6]
    x, y = _stream(of_image, images), _stream(of_planes, planes)
    expected = F.conv2d(x + x * y.sum(1, keepdim=True), last.weight, last.bias, padding=2)
    (judgement,) = network(planes, images)
    torch.testing.assert_close(judgement[-1], expected)
    torch.testing.assert_close(judgement[-2], x)


def test_each_scale_sees_half_the_size_of_the_one_before() -> None:
    network = _discriminator(scales=3)
    planes, images = _random(1, 5, 64, 96), _random(1, 3, 64, 96, seed=2)
    judged = network(planes, images)
    assert len(judged) == 3
    halves = [F.avg_pool2d(one, 3, 2, 1, count_include_pad=False) for one in (planes, images)]
    torch.testing.assert_close(judged[1][-1], network.scales[1](*halves)[-1])


def test_spectral_norm_is_at_every_convolution() -> None:
    network = _discriminator(norm="spectral", network="sesame", scales=2)
    network(_random(1, 5, 32, 32), _random(1, 3, 32, 32))
    network.eval()
    for convolution in _convolutions(network):
        assert 0.2 < float(torch.linalg.matrix_norm(convolution.weight.detach().flatten(1), 2)) < 5  # 1 but for its iteration
        assert hasattr(convolution, "parametrizations")


def test_the_layout_matters_to_every_discriminator() -> None:
    for kind in ("patch", "sesame"):
        network = _discriminator(network=kind)
        images = _random(1, 3, 32, 32)
        first, second = (network(_random(1, 5, 32, 32, seed=seed), images)[0][-1] for seed in (5, 6))
        assert not torch.allclose(first, second)


# --- Losses ------------------------------------------------------------------------------------------------------------


def test_feature_matching_is_the_authors_sum() -> None:
    """In their code: each scale counts 1 / scales, each layer 4 / (layers + 1)."""
    network = _discriminator(layers=2, scales=3)
    planes, real, painted = _random(1, 5, 64, 64), _random(1, 3, 64, 64, seed=2), _random(1, 3, 64, 64, seed=3)
    of_real, of_painted = network(planes, real), network(planes, painted)
    expected = torch.zeros(())
    for scale in range(3):
        for layer in range(3):
            expected += 1 / 3 * 4 / (2 + 1) * F.l1_loss(of_painted[scale][layer], of_real[scale][layer])
    loss = feature_matching_loss(of_real, of_painted)
    torch.testing.assert_close(loss, expected)
    assert float(feature_matching_loss(of_real, of_real).detach()) == 0


def _vgg19_file(folder: Path) -> Path:
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vgg19(weights=None).features.state_dict().items()}
    state = {f"features.{name}": torch.randn(shape) * 0.05 for name, shape in shapes.items()}
    torch.save(state, folder / "vgg19.pth")
    return folder / "vgg19.pth"


def test_perceptual_loss_is_spades(tmp_path: Path) -> None:
    path = _vgg19_file(tmp_path)
    state = torch.load(path, weights_only=True)
    network = Perceptual(path)
    real, painted = _random(1, 3, 32, 32), _random(1, 3, 32, 32, seed=2).requires_grad_(True)
    wanted = {
        "0": 1 / 32,
        "5": 1 / 16,
        "10": 1 / 8,
        "19": 1 / 4,
        "28": 1.0,
    }  # numbers of conv1_1, conv2_1, conv3_1, conv4_1, conv5_1
    pooled = {"5", "10", "19", "28"}
    expected, features = torch.zeros(()), [real, painted]
    for name in sorted({int(key.split(".")[1]) for key in state}):
        if str(name) in pooled:
            features = [F.max_pool2d(one, 2) for one in features]
        features = [
            F.conv2d(one, state[f"features.{name}.weight"], state[f"features.{name}.bias"], padding=1).relu() for one in features
        ]
        expected = expected + wanted.get(str(name), 0.0) * F.l1_loss(features[0], features[1])
        if name == 28:
            break
    loss = network.loss(real, painted)
    torch.testing.assert_close(loss, expected)
    loss.backward()  # type: ignore[no-untyped-call]
    assert painted.grad is not None
    assert bool(painted.grad.any())
    assert network.name == "vgg19"


def test_offline_perceptual_network_bears_its_own_name_and_tells_pictures_apart() -> None:
    network = Perceptual(None)
    assert network.name == "tf_efficientnet_lite0"
    flat = torch.zeros(2, 3, 64, 64)
    noisy = flat + 0.1 * _random(2, 3, 64, 64)
    other = _random(2, 3, 64, 64, seed=3)
    near, far, same = network.distance(flat, noisy), network.distance(flat, other), network.distance(flat, flat)
    assert bool((near < far).all())
    assert torch.equal(same, torch.zeros(2))
    assert float(network.loss(flat, noisy)) < float(network.loss(flat, other))
    torch.testing.assert_close(network.distance(flat, other), network.distance(other, flat))


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), ({"a": 1}, "no weights of torchvision's vgg19")])
def test_wrong_vgg19_files_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "vgg19.pth"
    if content is not None:
        torch.save(content, path)
    with pytest.raises(ModelFileError, match=message) as caught:
        Perceptual(path)
    assert "synthesis.loss.vgg19_weights" in str(caught.value)


# --- Instance-wise features --------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), batch=st.integers(1, 3), kinds=st.integers(1, 6))
def test_pooling_is_the_mean_over_each_instance_of_each_image(seed: int, batch: int, kinds: int) -> None:
    source = torch.Generator().manual_seed(seed)
    features = torch.rand(batch, 2, 4, 5, generator=source)
    instance_ids = torch.randint(0, kinds, (batch, 4, 5), generator=source, dtype=torch.int32) * 1001 + 26000
    pooled = average_over_instances(features, instance_ids)
    for number in range(batch):
        for instance in torch.unique(instance_ids[number]):
            inside = instance_ids[number] == instance
            expected = features[number][:, inside].mean(1, keepdim=True).expand(-1, int(inside.sum()))
            torch.testing.assert_close(pooled[number][:, inside], expected)


def test_encoder_gives_one_look_an_instance_at_any_size() -> None:
    encoder = FeatureEncoder(FEATURES)
    instance_ids = torch.full((1, 30, 42), 7, dtype=torch.int32)
    instance_ids[:, 5:9, 5:9] = 26001
    planes = encoder(_random(1, 3, 30, 42), instance_ids)
    assert planes.shape == (1, 3, 30, 42)
    found = looks(planes[0], instance_ids[0])
    assert found.instance_ids.tolist() == [7, 26001]
    np.testing.assert_allclose(found.features[1], planes[0, :, 6, 6].detach().numpy(), rtol=1e-5)


def test_class_of_things_and_stuff() -> None:
    assert class_of(torch.tensor([0, 7, 33, 24000, 26017, 33999])).tolist() == [0, 7, 33, 24, 26, 33]


def test_clusters_are_the_groups_of_each_class_and_are_sampled() -> None:
    rows = {26000: (1.0, 1, 1), 26001: (1.01, 1, 1), 26002: (-1.0, 0, 0), 26003: (-1.01, 0, 0), 7: (0.5, 0.5, 0.5)}
    found = [Looks(np.array(list(rows)), np.array(list(rows.values()), np.float32))]
    clusters = cluster(found, FEATURES, seed=1)
    assert clusters.counts[26] == 2
    assert clusters.counts[7] == 1
    assert int(clusters.counts.sum()) == 3
    np.testing.assert_allclose(sorted(clusters.centres[26, :, 0].tolist()), (-1.005, 1.005), atol=1e-6)

    instance_ids = torch.tensor([[[7, 26000, 26001], [24000, 26000, 26001]]], dtype=torch.int32)
    seen = set()
    for seed in range(20):
        planes = sample_features(instance_ids, clusters, np.random.default_rng(seed))
        assert torch.equal(planes[0, :, 0, 1], planes[0, :, 1, 1])  # one look an instance
        torch.testing.assert_close(planes[0, :, 0, 0], torch.full((3,), 0.5))
        assert not planes[0, :, 1, 0].any()  # no such class in training
        seen.add(tuple(planes[0, 0, 0, 1:].sign().tolist()))
    assert len(seen) == 4  # instances of one class are chosen for independently
