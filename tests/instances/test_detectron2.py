import csv
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synth2real.detections import read_detections
from synth2real.encoders import EncoderError, offline_state_dict
from synth2real.frames import FrameSet, read_frames
from synth2real.hardware import HardwareSettings
from synth2real.instances.data import instances_of
from synth2real.instances.detectron2_network import (
    Detectron2Error,
    Detectron2Network,
    Detectron2Settings,
    MissingDetectron2Error,
    describe,
    load_start,
    require_detectron2,
)
from synth2real.instances.evaluate import average_precision, evaluate_detector
from synth2real.instances.mask_rcnn import build_detector, load_detector, save_detector
from synth2real.instances.predict import PredictionSettings, detect, predict_frames
from synth2real.instances.train import DetectorTraining, InstanceSettings, train_detector
from synth2real.models import ModelFileError, save_model
from synth2real.training import Schedule, TrainingError

ShapesWriter = Callable[..., FrameSet]
KilledTraining = Callable[[FrameSet, InstanceSettings, HardwareSettings], Path]

SHIPPED = Path(__file__).parents[2] / "configs" / "detectron2" / "mask_rcnn_lite0.yaml"
SMALL = """
_BASE_: Base-RCNN-FPN.yaml
MODEL:
  MASK_ON: True
  BACKBONE: {NAME: build_timm_fpn_backbone, FREEZE_AT: 0}
  TIMM: {NAME: test_efficientnet}
  FPN: {OUT_CHANNELS: 32, NORM: GN}
  ANCHOR_GENERATOR: {SIZES: [[12], [24], [48], [96], [192]]}
  RPN:
    BATCH_SIZE_PER_IMAGE: 32
    PRE_NMS_TOPK_TRAIN: 50
    PRE_NMS_TOPK_TEST: 50
    POST_NMS_TOPK_TRAIN: 50
    POST_NMS_TOPK_TEST: 50
  ROI_HEADS: {BATCH_SIZE_PER_IMAGE: 32}
  ROI_BOX_HEAD: {FC_DIM: 64}
  ROI_MASK_HEAD: {NUM_CONV: 1, CONV_DIM: 32, NORM: GN}
"""

needs_detectron2 = pytest.mark.skipif(
    importlib.util.find_spec("detectron2") is None, reason="detectron2 is not installed (make detectron2)"
)


@pytest.fixture
def small(settings: InstanceSettings, tmp_path: Path) -> InstanceSettings:
    """A narrow Mask R-CNN of detectron2 for a few steps."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    chosen = Detectron2Settings(config=str(path), overrides=(), weights=None)
    return replace(settings, backend="detectron2", detectron2=chosen)


# --- Without detectron2 ----------------------------------------------------------------------------------------------


def test_detectron2_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "synth2real.instances.detectron2_backbone", None)
    with pytest.raises(MissingDetectron2Error, match=r"Install it: make detectron2\."):
        require_detectron2()
    save_model(tmp_path / "model.ckpt", "detector", {"detectron2": "VERSION: 2", "size": [64, 96]}, {})
    with pytest.raises(MissingDetectron2Error, match="a model made with it"):
        load_detector(tmp_path / "model.ckpt")


def test_overrides_are_keys_and_values_in_turn() -> None:
    for wrong in (("MODEL.MASK_ON",), (1, "MODEL.MASK_ON")):
        with pytest.raises(ValueError, match="keys and values in turn"):
            Detectron2Settings(config="", overrides=wrong, weights=None)


def test_detectron2_is_loaded_only_where_it_is_used() -> None:
    program = "import sys, synth2real.instances.train; sys.exit(bool({'detectron2', 'fvcore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- With it ---------------------------------------------------------------------------------------------------------


@needs_detectron2
def test_two_images_are_learnt_and_found_at_another_size(
    write_shapes: ShapesWriter,
    small: InstanceSettings,
    prediction: PredictionSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    frames = write_shapes("small", 2)
    longer = replace(small, schedule=Schedule(epochs=4, steps_per_epoch=15, batch_size=2))
    trained = train_detector(frames, longer, hardware=hardware, curves=tmp_path / "c.csv", resume=tmp_path / "r")
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert list(rows[0]) == ["step", "loss", "classifier", "box_reg", "mask", "objectness", "rpn_box_reg"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) / 3

    save_detector(tmp_path / "model.ckpt", trained.settings, trained)
    network, detector = load_detector(tmp_path / "model.ckpt")
    assert network == trained.settings
    evaluation = evaluate_detector(
        detector, network, frames, frames, min_area=8, settings=prediction, hardware=hardware, untrained=True
    )
    assert evaluation.metrics["ap50"] > 80
    assert evaluation.metrics["box_ap50"] > 80
    assert evaluation.metrics["untrained"]["ap50"] < 20

    larger = write_shapes("large", 3, (160, 240))
    annotations = [instances_of(larger.instances(frame), 8) for frame in larger.frames]
    detections = list(detect(detector, larger, network.size, prediction, hardware))
    assert all(item.size == (160, 240) for found in detections for item in found)
    assert average_precision(annotations, detections).metrics["ap50"] > 80

    strict = replace(prediction, min_score=0.6, max_detections=1)
    predict_frames(detector, larger, tmp_path / "out", size=network.size, settings=strict, hardware=hardware)
    assert read_frames(tmp_path / "out").frames == larger.frames
    for frame, wanted in zip(larger.frames, detections, strict=True):
        best = tuple(item for item in wanted if item.score >= 0.6)[:1]
        assert read_detections(tmp_path / "out" / "detections" / f"{frame.frame_id}.json") == best


@needs_detectron2
def test_a_killed_training_ends_with_the_same_bits(
    write_shapes: ShapesWriter,
    small: InstanceSettings,
    hardware: HardwareSettings,
    killed_training: KilledTraining,
    tmp_path: Path,
) -> None:
    frames = write_shapes("set", 4)

    def train(folder: Path) -> tuple[bytes, str]:
        detector = train_detector(frames, small, hardware=hardware, curves=folder / "curves.csv", resume=folder / "resume")
        save_detector(folder / "model.ckpt", detector.settings, detector)
        return (folder / "model.ckpt").read_bytes(), (folder / "curves.csv").read_text()

    whole = train(tmp_path / "whole")
    torch.rand(3)  # the state of the global generator must not matter
    assert train(tmp_path / "again") == whole
    assert train(killed_training(frames, small, hardware)) == whole


@needs_detectron2
def test_masks_are_those_of_detectron2s_own_prediction(
    write_shapes: ShapesWriter, small: InstanceSettings, prediction: PredictionSettings, hardware: HardwareSettings
) -> None:
    larger = write_shapes("set", 1, (160, 240))
    detector = build_detector(describe(small.detectron2, (64, 96)), seed=0)
    (found,) = detect(detector, larger, (64, 96), prediction, hardware)
    image = torch.from_numpy(larger.image(larger.frames[0]))[:, :, [2, 1, 0]].permute(2, 0, 1).float()
    shrunk = torch.nn.functional.interpolate(image[None], (64, 96), mode="area")[0].round()
    with torch.inference_mode():
        (wanted,) = detector.network([{"image": shrunk, "height": 160, "width": 240}])
    wanted = wanted["instances"]
    assert len(found) == len(wanted) > 0
    np.testing.assert_allclose([item.score for item in found], wanted.scores, rtol=0.02)


@needs_detectron2
def test_images_are_in_the_order_and_range_of_the_config(small: InstanceSettings) -> None:
    image = torch.rand(3, 64, 96)
    for order, channels in (("BGR", [2, 1, 0]), ("RGB", [0, 1, 2])):
        chosen = replace(small.detectron2, overrides=("INPUT.FORMAT", order, "MODEL.PIXEL_STD", [2.0, 2.0, 2.0]))
        detector = build_detector(describe(chosen, (64, 96)), seed=0).eval()
        seen: list[torch.Tensor] = []
        detector.network.backbone.register_forward_pre_hook(lambda _, arguments, seen=seen: seen.append(arguments[0]))
        with torch.inference_mode():
            detector.find([image])
        mean = torch.tensor([103.53, 116.28, 123.675])[:, None, None]
        torch.testing.assert_close(seen[0][0], (image[channels] * 255 - mean) / 2)


@needs_detectron2
def test_the_shipped_config_starts_from_the_offline_weights_and_keeps_them() -> None:
    settings = Detectron2Settings(config=str(SHIPPED), overrides=(), weights="offline")
    detector = build_detector(describe(settings, (64, 96)), seed=0)
    load_start(detector, settings.weights)
    body = detector.network.backbone.bottom_up.body
    offline = offline_state_dict()
    assert all(torch.equal(value, offline[name]) for name, value in body.state_dict().items())
    assert not any(parameter.requires_grad for parameter in body.parameters())
    image = torch.rand(1, 3, 64, 96)
    frozen = body.train()(image)
    assert all(torch.equal(one, other) for one, other in zip(frozen, body.eval()(image), strict=True))

    learning = replace(settings, overrides=("MODEL.BACKBONE.FREEZE_AT", 2))
    body = build_detector(describe(learning, (64, 96)), seed=0).network.backbone.bottom_up.body
    names = {name for name, parameter in body.named_parameters() if parameter.requires_grad}
    assert any(name.startswith("blocks.2.") for name in names)
    assert not any(name.startswith(("conv_stem", "blocks.0.", "blocks.1.")) for name in names)


@needs_detectron2
def test_weights_come_from_a_file(small: InstanceSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = describe(small.detectron2, (64, 96))
    one, other = build_detector(network, seed=1), build_detector(network, seed=2)
    state = {name: value for name, value in one.network.state_dict().items() if "roi_heads" not in name}
    torch.save({"model": state}, tmp_path / "backbone.pth")
    load_start(other, str(tmp_path / "backbone.pth"))
    filled = other.network.state_dict()
    assert all(torch.equal(value, filled[name]) for name, value in state.items())
    assert "roi_heads" in caplog.text

    torch.save({"model": {"no.such": torch.zeros(1)}}, tmp_path / "foreign.pth")
    with pytest.raises(Detectron2Error, match=r"foreign\.pth: nothing in it fits the backbone"):
        load_start(other, str(tmp_path / "foreign.pth"))
    (tmp_path / "damaged.pth").write_bytes(b"no weights")
    with pytest.raises(Detectron2Error, match=r"damaged\.pth: not weights that detectron2 reads"):
        load_start(other, str(tmp_path / "damaged.pth"))
    with pytest.raises(Detectron2Error, match=r"none\.pth: no such file"):
        load_start(other, "none.pth")
    with pytest.raises(EncoderError, match="offline weights exist for tf_efficientnet_lite0 only, not for test_efficientnet"):
        load_start(other, "offline")


@needs_detectron2
@pytest.mark.parametrize("pyramid", [True, False])
def test_the_backbone_has_a_rate_of_its_own(small: InstanceSettings, pyramid: bool, tmp_path: Path) -> None:
    config, name = small.detectron2.config, "network.backbone.bottom_up."
    if not pyramid:
        Path(config).write_text("_BASE_: COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml")
        name = "network.backbone."
    detector = build_detector(describe(small.detectron2, (64, 96)), seed=0)
    module = DetectorTraining(detector, replace(small.optimizer, backbone_factor=0.1), 10)
    heads, backbone = module.configure_optimizers()[0][0].param_groups
    assert backbone["initial_lr"] == pytest.approx(0.1 * heads["initial_lr"])
    own = {id(value) for key, value in detector.named_parameters() if key.startswith(name) and value.requires_grad}
    assert own == {id(value) for value in backbone["params"]}
    assert own


@needs_detectron2
def test_a_training_that_diverges_ends_with_one_message(
    write_shapes: ShapesWriter, small: InstanceSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    wild = replace(small, optimizer=replace(small.optimizer, name="sgd", learning_rate=1e30, warm_up_steps=0, gradient_norm=1e30))
    with pytest.raises(TrainingError, match=r"diverged.*Lower the learning rate"):
        train_detector(write_shapes("set", 2), wild, hardware=hardware, curves=tmp_path / "c.csv", resume=tmp_path / "r")


@needs_detectron2
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.NO_SUCH", 1), r"small\.yaml: not a config of detectron2 \(.*NO_SUCH"),
        (("MODEL.MASK_ON", "yes"), r"small\.yaml: not a config of detectron2 \(.*Type mismatch"),
        (("MODEL.MASK_ON", False), "with MODEL.MASK_ON"),
        (("MODEL.META_ARCHITECTURE", "RetinaNet"), "cannot build it|must be a GeneralizedRCNN"),
        (("MODEL.BACKBONE.NAME", "os.mkdir"), r"cannot build it: .*os\.mkdir"),
        (("INPUT.FORMAT", "L"), "INPUT.FORMAT BGR or RGB"),
    ],
)
def test_a_config_that_cannot_serve_is_refused(small: InstanceSettings, overrides: tuple[object, ...], message: str) -> None:
    chosen = replace(small.detectron2, overrides=overrides)
    with pytest.raises(Detectron2Error, match=message):
        build_detector(describe(chosen, (64, 96)), seed=0)
    with pytest.raises(Detectron2Error, match=r"none\.yaml: no such file"):
        describe(replace(chosen, config="none.yaml"), (64, 96))


@needs_detectron2
def test_a_model_file_calls_nothing_by_name(tmp_path: Path) -> None:
    text = f"MODEL: {{META_ARCHITECTURE: !!python/object/apply:os.mkdir ['{tmp_path}/made']}}"
    network = Detectron2Network(text, (64, 96))
    save_model(tmp_path / "model.ckpt", "detector", {"detectron2": network.detectron2, "size": [64, 96]}, {})
    with pytest.raises(ModelFileError, match=r"model\.ckpt: the network that it describes cannot be rebuilt"):
        load_detector(tmp_path / "model.ckpt")
    assert not (tmp_path / "made").exists()


@needs_detectron2
@pytest.mark.parametrize(
    ("base", "millions"),
    [("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml", 43), ("Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml", 71)],
)
def test_configs_of_the_model_zoo_serve(base: str, millions: int, tmp_path: Path) -> None:
    path = tmp_path / "zoo.yaml"
    path.write_text(f"_BASE_: {base}\n")
    network = describe(Detectron2Settings(config=str(path), overrides=(), weights=None), (64, 96))
    detector = build_detector(network, seed=0)
    assert sum(parameter.numel() for parameter in detector.parameters()) // 1_000_000 == millions
    with pytest.raises(EncoderError, match="offline is for a backbone of timm only"):
        load_start(detector, "offline")
