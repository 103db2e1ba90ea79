from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from synth2real.encoders import offline_state_dict
from synth2real.instances.mask_rcnn import NetworkSettings, build_detector, fitted_size, load_detector, save_detector
from synth2real.models import ModelFileError, save_model


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator(network: NetworkSettings) -> None:
    before = torch.get_rng_state()
    first, second, other = (build_detector(network, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_losses_of_frames_with_and_without_instances_are_finite(network: NetworkSettings, class_agnostic: bool) -> None:
    detector = build_detector(replace(network, class_agnostic=class_agnostic), 0).train()
    full = {
        "boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]),
        "labels": torch.tensor([3]),
        "masks": torch.zeros(1, 64, 96, dtype=torch.bool),
    }
    full["masks"][0, 8:40, 8:40] = True
    empty = {name: value[:0] for name, value in full.items()}
    for targets in ([full, empty], [empty, empty]):
        losses = detector([torch.rand(3, 64, 96), torch.rand(3, 64, 96)], targets)
        assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}
        sum(losses.values()).backward()
        assert all(torch.isfinite(value) for value in losses.values())


def test_all_classes_share_box_and_mask_in_a_class_agnostic_detector(network: NetworkSettings) -> None:
    heads = build_detector(replace(network, class_agnostic=True), 0).roi_heads
    scores, boxes = heads.box_predictor(torch.rand(3, network.box_features))
    masks = heads.mask_predictor(torch.rand(3, network.mask_channels[-1], 14, 14))
    assert scores.shape == (3, 11)
    assert boxes.shape == (3, 44)
    assert masks.shape == (3, 11, 28, 28)
    assert torch.equal(boxes.reshape(3, 11, 4), boxes[:, None, :4].expand(3, 11, 4))
    assert torch.equal(masks, masks[:, :1].expand_as(masks))


def test_offline_weights_reach_the_backbone_and_frozen_parts_do_not_learn(network: NetworkSettings) -> None:
    settings = replace(
        network, backbone="tf_efficientnet_lite0", backbone_weights="offline", backbone_norm="frozen", frozen_levels=1
    )
    detector = build_detector(settings, 0).train()
    body = detector.backbone.body
    offline = offline_state_dict()
    assert all(torch.equal(value, offline[name]) for name, value in body.state_dict().items())
    norms = [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)
    learning = {name for name, parameter in body.named_parameters() if parameter.requires_grad}
    assert "conv_stem.weight" not in learning
    assert not any(name.startswith(("blocks.0.", "blocks.1.")) for name in learning)
    assert any(name.startswith("blocks.2.") for name in learning)


def test_any_timm_backbone_serves(network: NetworkSettings) -> None:
    detector = build_detector(replace(network, backbone="test_resnet", strides=(8, 16)), 0).eval()
    pretrained = timm.get_pretrained_cfg("test_resnet")
    assert pretrained is not None
    assert tuple(detector.transform.image_mean) == pretrained.mean
    levels = detector.backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(level.shape[-2:]) for level in levels.values()] == [(8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize(("backbone", "millions"), [("resnet50", 23), ("resnext101_64x4d", 81)])
def test_the_papers_backbones_serve(network: NetworkSettings, backbone: str, millions: int) -> None:
    settings = replace(network, backbone=backbone, strides=(4, 8, 16, 32), anchor_sizes=(32, 64, 128, 256, 512), head_norm="none")
    with torch.device("meta"):
        detector = build_detector(settings, 0)
    assert [block[0].in_channels for block in detector.backbone.fpn.inner_blocks] == [256, 512, 1024, 2048]
    assert sum(parameter.numel() for parameter in detector.backbone.body.parameters()) // 1_000_000 == millions


def test_saved_and_loaded_detectors_are_equal(network: NetworkSettings, tmp_path: Path) -> None:
    detector = build_detector(network, 3)
    save_detector(tmp_path / "detector.ckpt", network, detector)
    settings, loaded = load_detector(tmp_path / "detector.ckpt")
    assert settings == network
    wanted = detector.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model.ckpt", "segmenter", {}, {})
    with pytest.raises(ModelFileError, match="expected a detector, found a segmenter"):
        load_detector(tmp_path / "model.ckpt")


def test_settings_that_do_not_fit_are_refused(network: NetworkSettings) -> None:
    with pytest.raises(ValueError, match="anchor_sizes"):
        replace(network, anchor_sizes=(8, 16))
    with pytest.raises(ValueError, match="anchor_ratios must be positive or fitted"):
        replace(network, anchor_ratios=(0.5, 0.0))
    with pytest.raises(ValueError, match="anchors must be fitted"):
        build_detector(replace(network, anchor_sizes="fitted"), 0)
    with pytest.raises(ValueError, match="strides"):
        replace(network, strides=(4, 16))
    with pytest.raises(ValueError, match="multiples of 8"):
        replace(network, channels=12)
    with pytest.raises(ValueError, match="feature maps of strides"):
        build_detector(replace(network, strides=(64, 128)), 0)


@pytest.mark.parametrize(
    ("frame", "fitted"),
    [((256, 512), (256, 512)), ((1024, 2048), (256, 512)), ((360, 480), (256, 341)), ((100, 400), (128, 512))],
)
def test_frames_are_fitted_without_changing_their_shape(frame: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitted_size(frame, (256, 512)) == fitted
