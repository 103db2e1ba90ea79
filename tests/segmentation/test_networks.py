import re
from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from synth2real.segmentation.networks import AtrousDepthwiseConv2d, Segmenter
from synth2real.segmentation.train import SegmentationSettings


def test_logits_have_the_size_of_the_input_and_19_classes(settings: SegmentationSettings) -> None:
    segmenter = Segmenter(settings.network).eval()
    assert segmenter(torch.zeros(2, 48, 80, 3, dtype=torch.uint8)).shape == (2, 19, 48, 80)


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
    with pytest.raises(ValueError, match="cannot be a DeepLabV3\\+ encoder of output stride 16"):
        Segmenter(replace(settings.network, encoder="vit_tiny_patch16_224"))


@pytest.mark.parametrize("wrong", [{"dropout": 1.0}, {"decoder_channels": 0}, {"atrous_rates": (0, 1, 2)}])
def test_values_out_of_range_are_refused(settings: SegmentationSettings, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(settings.network, **wrong)  # type: ignore[arg-type]
