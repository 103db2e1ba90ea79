import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import vgg16

from synth2real.encoders import load_encoder_weights
from synth2real.models import ModelFileError, save_model
from synth2real.segmentation.networks import (
    AtrousDepthwiseConv2d,
    DeepLabV2,
    NetworkSettings,
    Segmenter,
    TrainedSegmenter,
    VGG16LargeFOV,
    load_segmenter,
    save_segmenter,
)
from synth2real.segmentation.train import SegmentationSettings

ARCHITECTURES: Final[dict[str, dict[str, Any]]] = {
    "deeplabv3plus": {},
    "deeplabv2": {"atrous_rates": (1, 2, 3, 4), "output_stride": 8},
    "largefov": {"atrous_rates": (12,), "output_stride": 8, "encoder": "vgg16"},
    "segformer": {"atrous_rates": (), "output_stride": 32},
    "segformer of the paper": {"atrous_rates": (), "output_stride": 32, "encoder": "mit_b0"},
}


def network_of(name: str, settings: SegmentationSettings) -> NetworkSettings:
    return replace(settings.network, architecture=name.partition(" ")[0], **ARCHITECTURES[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_have_the_size_of_the_input_and_19_classes(settings: SegmentationSettings, name: str) -> None:
    segmenter = Segmenter(network_of(name, settings)).eval()
    with torch.inference_mode():
        for height, width in ((64, 96), (33, 1), (47, 85)):
            logits = segmenter(torch.full((2, height, width, 3), 99, dtype=torch.uint8))
            assert logits.shape == (2, 19, height, width)
            assert logits.isfinite().all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_padded_image_is_one_whose_edges_were_repeated(settings: SegmentationSettings, name: str) -> None:
    segmenter = Segmenter(network_of(name, settings)).eval()
    image = np.random.default_rng(0).integers(0, 256, (2, 35, 50, 3), np.uint8)
    repeated = np.pad(image, ((0, 0), (0, 29), (0, 14), (0, 0)), mode="edge")
    with torch.inference_mode():
        whole = segmenter(torch.from_numpy(repeated))[:, :, :35, :50]
        stride = segmenter.stride
        repeated = repeated[:, : -(-35 // stride) * stride, : -(-50 // stride) * stride]
        cut = segmenter(torch.from_numpy(repeated))[:, :, :35, :50]
        found = segmenter(torch.from_numpy(image))
    assert torch.equal(found, cut)
    assert segmenter.stride < 32 or torch.equal(found, whole)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_learns(settings: SegmentationSettings, name: str) -> None:
    segmenter = Segmenter(network_of(name, settings)).train()
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    loss = F.cross_entropy(segmenter(images), torch.randint(0, 19, (2, 64, 64)))
    torch.autograd.backward(loss)
    still = [place for place, weight in segmenter.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not still


@pytest.mark.parametrize("name", ["deeplabv2", "segformer"])  # deeplabv3plus learns in the tests of training
def test_two_images_can_be_learned(settings: SegmentationSettings, name: str) -> None:
    torch.manual_seed(0)
    segmenter = Segmenter(network_of(name, settings)).train()
    train_ids = torch.randint(0, 19, (2, 4, 4)).repeat_interleave(16, 1).repeat_interleave(16, 2)
    images = torch.randint(0, 256, (19, 3), dtype=torch.uint8)[train_ids]  # each class in a colour of its own
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=1e-2)
    for _ in range(80):
        loss = F.cross_entropy(segmenter(images), train_ids)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert (segmenter(images).argmax(1) == train_ids).float().mean() >= 0.99


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_segmenter_comes_back_from_its_file(settings: SegmentationSettings, tmp_path: Path, name: str) -> None:
    network = network_of(name, settings)
    segmenter = Segmenter(network)
    save_segmenter(tmp_path / "model.ckpt", TrainedSegmenter(segmenter, network, (32, 64)))
    state = torch.get_rng_state()
    loaded = load_segmenter(tmp_path / "model.ckpt")
    assert torch.equal(torch.get_rng_state(), state)
    assert loaded.settings == network
    assert loaded.size == (32, 64)
    assert not any(module.training for module in loaded.segmenter.modules())
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), np.uint8))
    with torch.inference_mode():
        assert torch.equal(loaded.segmenter(images), segmenter.eval()(images))


def test_a_file_of_an_unknown_network_is_refused(settings: SegmentationSettings, tmp_path: Path) -> None:
    network, weights = asdict(settings.network), Segmenter(settings.network).state_dict()
    faults: list[dict[str, Any]] = [
        {"network": {name: value for name, value in network.items() if name != "architecture"}, "size": (32, 64)},
        {"network": {**network, "decoder_channels": 8}, "size": (32, 64)},
        {"network": network},
    ]
    for number, fault in enumerate(faults):
        path = tmp_path / f"model_{number}.ckpt"
        save_model(path, "segmenter", fault, weights)
        with pytest.raises(ModelFileError, match=f"model_{number}.ckpt: the network that it describes cannot be rebuilt"):
            load_segmenter(path)


def test_all_four_rates_of_deeplabv2_reach_the_output(settings: SegmentationSettings) -> None:
    """The scores are the sum of four parallel dilated convolutions; a widespread implementation returns after two."""
    torch.manual_seed(0)
    network = Segmenter(network_of("deeplabv2", settings)).eval().network
    assert isinstance(network, DeepLabV2)
    pixels = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        features = network.encoder(pixels)[-1]
        assert features.shape[2:] == (8, 12)
        scores = torch.zeros(1, 19, 8, 12)
        for branch, rate in zip(network.branches, (1, 2, 3, 4), strict=True):
            assert isinstance(branch, nn.Conv2d)
            scores += F.conv2d(features, branch.weight, branch.bias, padding=rate, dilation=rate)
        expected = F.interpolate(scores, size=(64, 96), mode="bilinear", align_corners=False)
        torch.testing.assert_close(network(pixels), expected)
        for branch in network.branches:
            assert isinstance(branch, nn.Conv2d)
            branch.weight[3] += 1
            assert not torch.allclose(network(pixels)[:, 3], expected[:, 3])
            branch.weight[3] -= 1


def test_largefov_is_vgg16_at_stride_8_with_a_wide_field_of_view(settings: SegmentationSettings) -> None:
    encoder = Segmenter(network_of("largefov", settings)).encoder
    assert isinstance(encoder, VGG16LargeFOV)
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 15
    assert [layer.dilation[0] for layer in convolutions] == [1] * 10 + [2] * 3 + [12, 1]
    assert encoder(torch.zeros(1, 3, 64, 96)).shape == (1, 16, 8, 12)

    for layer in convolutions:  # positive weights, so that no path to a pixel cancels another
        layer.weight.data.fill_(0.01)
    for number, layer in enumerate(encoder.features):  # whose gradient reaches one pixel of nine
        if isinstance(layer, nn.MaxPool2d):
            encoder.features[number] = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
    pixels = torch.rand(1, 3, 16, 640).requires_grad_()
    encoder(pixels)[0, :, 0, 40].sum().backward()
    assert pixels.grad is not None
    seen = pixels.grad[0].sum((0, 1)).nonzero()
    side = 1
    for kernel, stride, dilation in reversed(
        [
            *[(3, 1, 1), (3, 1, 1), (3, 2, 1)] * 2,
            *[(3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1)],
            *[(3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 1, 1)],
            *[(3, 1, 2), (3, 1, 2), (3, 1, 2), (3, 1, 1)],
            (3, 1, 1),  # average
            (3, 1, 12),  # fc6
        ]
    ):
        side = (side - 1) * stride + 1 + dilation * (kernel - 1)
    assert int(seen.max() - seen.min()) + 1 == side < 640


def test_largefov_takes_the_state_dict_of_torchvisions_vgg16(settings: SegmentationSettings, tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vgg16().state_dict().items()}
    state = {name: torch.randn(shape) for name, shape in shapes.items() if name.startswith("features")}
    rows = torch.arange(4096.0)
    state["classifier.0.weight"] = torch.arange(49.0).repeat(512).expand(4096, -1)
    state["classifier.3.weight"] = rows[:, None] + rows / 8192
    state |= {"classifier.0.bias": rows, "classifier.3.bias": -rows}
    state |= {name: torch.zeros(1).expand(shapes[name]) for name in ("classifier.6.weight", "classifier.6.bias")}
    assert {name: tensor.shape for name, tensor in state.items()} == shapes
    torch.save(state, tmp_path / "vgg16.pth")

    segmenter = Segmenter(network_of("largefov", settings))
    load_encoder_weights(segmenter.encoder, "vgg16", str(tmp_path / "vgg16.pth"))
    filled = segmenter.encoder.state_dict()
    for name, tensor in state.items():
        assert not name.startswith("features") or torch.equal(filled[name], tensor)
    kept = torch.arange(16) * 256
    assert torch.equal(filled["fc6.bias"], kept.float())
    assert torch.equal(filled["fc7.bias"], -kept.float())
    assert torch.equal(filled["fc7.weight"][:, :, 0, 0], kept[:, None] + kept / 8192)
    assert torch.equal(filled["fc6.weight"][3, 500], torch.tensor([[0.0, 3, 6], [21, 24, 27], [42, 45, 48]]))
    assert len(filled) == 2 * (13 + 2)


def test_images_are_normalised_as_timm_says(settings: SegmentationSettings) -> None:
    segmenter = Segmenter(settings.network).eval()
    images = torch.randint(0, 256, (1, 32, 64, 3), dtype=torch.uint8)
    cfg = timm.get_pretrained_cfg(settings.network.encoder)
    assert cfg is not None
    reference = (images.double() / 255 - torch.tensor(cfg.mean)) / torch.tensor(cfg.std)
    expected = segmenter.network(reference.permute(0, 3, 1, 2).float())
    torch.testing.assert_close(segmenter(images), expected, rtol=1e-4, atol=1e-5)


def test_output_stride_8_doubles_the_features(settings: SegmentationSettings) -> None:
    images = torch.zeros(1, 3, 64, 64)
    sides = [Segmenter(replace(settings.network, output_stride=stride)).encoder(images)[-1].shape[-1] for stride in (8, 16)]
    assert sides == [8, 4]


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 2), (5, 2), (3, 4), (3, 3)])  # 3 does not divide the size
def test_atrous_convolution_by_grids_is_that_of_pytorch(kernel: int, dilation: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=6).double()
    features = torch.randn(2, 6, 8, 16, dtype=torch.double, requires_grad=True)
    weights = torch.randn(2, 6, 8, 16, dtype=torch.double)

    def values_and_gradients() -> list[torch.Tensor]:
        values = layer(features)
        return [values, *torch.autograd.grad((values * weights).sum(), [features, *layer.parameters()])]

    expected = values_and_gradients()
    AtrousDepthwiseConv2d.adopt(layer)
    assert isinstance(layer, AtrousDepthwiseConv2d)
    torch.testing.assert_close(values_and_gradients(), expected)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2),
        nn.Conv2d(6, 6, 3, padding=0, dilation=2, groups=6),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2, stride=2, groups=6),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6, padding_mode="reflect"),
    ],
)
def test_other_convolutions_stay_as_they_are(layer: nn.Conv2d) -> None:
    AtrousDepthwiseConv2d.adopt(layer)
    assert type(layer) is nn.Conv2d


def test_a_misspelt_encoder_is_told_its_neighbours(settings: SegmentationSettings) -> None:
    with pytest.raises(ValueError, match=re.escape("did you mean tf_efficientnet_lite0")):
        replace(settings.network, encoder="tf_eficientnet_lite0")


def test_an_encoder_without_the_strides_is_refused(settings: SegmentationSettings) -> None:
    with pytest.raises(ValueError, match="'vit_tiny_patch16_224' cannot serve deeplabv3plus of output stride 16"):
        Segmenter(replace(settings.network, encoder="vit_tiny_patch16_224"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"dropout": 1.0},
        {"decoder_channels": 0},
        {"atrous_rates": (0, 1, 2)},
        {"atrous_rates": (1, 2)},
        {"atrous_rates": (1, 2, 3), "architecture": "deeplabv2"},
        {"output_stride": 32},
        {"output_stride": 16, "architecture": "segformer"},
        {"encoder": "mit_b0"},
        {"encoder": "resnet18", "architecture": "largefov"},
        {**ARCHITECTURES["largefov"], "architecture": "largefov", "decoder_channels": 4097},
    ],
)
def test_values_out_of_range_are_refused(settings: SegmentationSettings, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=list(wrong)[-1] if len(wrong) > 2 else next(iter(wrong))):
        replace(settings.network, **wrong)  # type: ignore[arg-type]
