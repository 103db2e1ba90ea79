import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.progress import Progress

from synth2real.augmentation import AugmentationSettings
from synth2real.encoders import offline_state_dict
from synth2real.frames import read_frames
from synth2real.hardware import HardwareSettings
from synth2real.label_space import LABEL_ID_TO_TRAIN_ID, NUM_CLASSES
from synth2real.models import ModelFileError, load_model, save_model
from synth2real.segmentation.data import Samples, TrainingFrames, Views, read_labelled_frames
from synth2real.segmentation.mmseg_network import MissingExtraError, MMSegmenter, describe, require_mmseg
from synth2real.segmentation.mmseg_train import (
    MMSegSamples,
    _Training,
    optimizer_config,
    read_config,
    train_mmseg,
    with_class_weights,
)
from synth2real.segmentation.networks import load_segmenter
from synth2real.segmentation.predict import ONE_VIEW, load_predictor
from synth2real.segmentation.train import SegmentationSettings, learning_rate_factor
from synth2real.training import Schedule, TrainingError

SHIPPED = Path(__file__).parents[2] / "configs" / "mmseg" / "deeplabv3plus_lite0.py"
UNET = """
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True, size=(512, 1024)
    ),
    pretrained=None,
    backbone=dict(
        type="UNet", base_channels=8, num_stages=3, strides=(1, 1, 1), enc_num_convs=(1, 1, 1), dec_num_convs=(1, 1),
        downsamples=(True, True), enc_dilations=(1, 1, 1), dec_dilations=(1, 1), norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type="FCNHead", in_channels=8, in_index=2, channels=8, num_convs=1, concat_input=False, dropout_ratio=DROPOUT,
        num_classes=19, norm_cfg=norm_cfg, align_corners=False, loss_decode=dict(type="CrossEntropyLoss"),
    ),
    auxiliary_head=dict(
        type="FCNHead", in_channels=16, in_index=1, channels=8, num_convs=1, concat_input=False,
        num_classes=19, norm_cfg=norm_cfg, align_corners=False, loss_decode=[dict(type="CrossEntropyLoss", loss_weight=0.4)],
    ),
    test_cfg=dict(mode="slide", crop_size=(16, 16), stride=(8, 8)),
)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1e9), clip_grad=dict(max_norm=1.0))
"""  # fmt: skip

needs_mmseg = pytest.mark.skipif(
    importlib.util.find_spec("mmseg") is None, reason="the extra mmseg is not installed (make mmseg)"
)


@pytest.fixture(autouse=True)
def _in_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mmseg_settings(settings: SegmentationSettings, tmp_path: Path) -> SegmentationSettings:
    """A narrow U-Net for a few steps."""
    path = tmp_path / "unet.py"
    path.write_text(UNET.replace("DROPOUT", "0.0"))
    return replace(settings, backend="mmseg", mmseg_config=str(path))


# --- Without mmsegmentation ------------------------------------------------------------------------------------------


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmseg.utils", None)
    with pytest.raises(MissingExtraError, match=r"Install the extra: make mmseg\."):
        require_mmseg()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"accumulate": 2}, "accumulate must be 1"), ({"freeze_batch_norm": True}, "freeze_batch_norm must be false")],
)
def test_what_is_not_for_it_is_refused(
    settings: SegmentationSettings, hardware: HardwareSettings, wrong: dict[str, object], message: str
) -> None:
    four = replace(settings, schedule=replace(settings.schedule, batch_size=4))
    out = Path("model.ckpt")
    with pytest.raises(TrainingError, match=message):
        train_mmseg([], [], out, out, replace(four, **wrong), hardware, seed=1)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="devices must be 1"):
        train_mmseg([], [], out, out, four, replace(hardware, devices=2), seed=1)


def test_losses_without_weights_get_those_of_the_classes() -> None:
    model = {
        "decode_head": {"loss_decode": [{"type": "CrossEntropyLoss", "avg_non_ignore": True}, {"type": "DiceLoss"}]},
        "auxiliary_head": {"loss_decode": {"type": "CrossEntropyLoss", "class_weight": [2.0]}, "dilations": (1, 2)},
    }
    weighted = with_class_weights(model, [0.5, 1.5])
    assert weighted == {
        "decode_head": {
            "loss_decode": [
                {"type": "CrossEntropyLoss", "class_weight": [0.5, 1.5], "avg_non_ignore": False},
                {"type": "DiceLoss"},
            ]
        },
        "auxiliary_head": {"loss_decode": {"type": "CrossEntropyLoss", "class_weight": [2.0]}, "dilations": (1, 2)},
    }
    assert "class_weight" not in str(model["decode_head"])


def test_the_optimiser_is_that_of_the_params(settings: SegmentationSettings) -> None:
    chosen = replace(settings, optimizer=replace(settings.optimizer, encoder_factor=0.3, weight_decay=0.01))
    wrapper = optimizer_config({"optimizer": {"lr": 5.0}, "clip_grad": {"max_norm": 1}}, chosen, "32-true")
    assert wrapper["type"] == "OptimWrapper"
    assert wrapper["optimizer"] == {"type": "AdamW", "fused": True, "lr": 1e-2, "weight_decay": 0.01}
    assert wrapper["clip_grad"] == {"max_norm": 1}
    assert wrapper["paramwise_cfg"] == {"custom_keys": {"backbone": {"lr_mult": 0.3}}}
    theirs = optimizer_config({"paramwise_cfg": {"norm_decay_mult": 0}}, chosen, "16-mixed")
    assert theirs["paramwise_cfg"] == {"norm_decay_mult": 0}
    assert (theirs["type"], theirs["dtype"]) == ("AmpOptimWrapper", "float16")


def test_each_step_has_the_rate_and_the_seed_of_its_number(settings: SegmentationSettings) -> None:
    longer = replace(settings, schedule=Schedule(epochs=2, steps_per_epoch=10, batch_size=2))
    training = _Training(longer, 1, Path(), Path(), None, False, Progress())
    groups = [{"lr": 1.0, "initial_lr": 1.0}, {"lr": 0.3, "initial_lr": 0.3}]
    draws: dict[int, float] = {}
    for step in (0, 7, 7, 19):
        runner = SimpleNamespace(iter=step, epoch=step // 10, optim_wrapper=SimpleNamespace(param_groups=groups))
        training.before_train_iter(runner, step % 10)
        factor = learning_rate_factor(step, 20, 2, 0.9)
        assert [group["lr"] for group in groups] == pytest.approx([factor, 0.3 * factor])
        draw = float(torch.rand(()))
        assert draws.setdefault(step, draw) == draw
    assert len(set(draws.values())) == 3


# --- With it ---------------------------------------------------------------------------------------------------------


@needs_mmseg
def test_two_images_are_learned_and_predicted(
    make_frames: Callable[..., Path], mmseg_settings: SegmentationSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, out = make_frames("source", 2), tmp_path / "model.ckpt"
    longer = replace(mmseg_settings, schedule=Schedule(epochs=3, steps_per_epoch=60, batch_size=2))
    train_mmseg([root], [root], out, tmp_path / "curves.csv", longer, hardware, seed=1)
    predict, frames = load_predictor(out, hardware, replace(ONE_VIEW, confidence=True)), read_frames(root)
    for frame in frames.frames:
        train_ids = LABEL_ID_TO_TRAIN_ID[frames.label(frame)]
        prediction = predict(frames.image(frame))
        assert (prediction.train_ids == train_ids)[train_ids != 255].mean() >= 0.99
        assert prediction.confidence is not None
        assert prediction.confidence[train_ids != 255].mean() > 200
    rows = (tmp_path / "curves.csv").read_text().splitlines()
    assert rows[0] == "step,loss,pixel_accuracy"
    steps, losses, accuracies = zip(*(map(float, row.split(",")) for row in rows[1:]), strict=True)
    assert steps == (60, 120, 180)
    assert losses[-1] < 0.2 * losses[0]
    assert accuracies[-1] > 0.98
    assert not list((tmp_path / ".dvc" / "tmp" / "resume").iterdir())


@needs_mmseg
def test_two_runs_give_the_same_file(
    make_frames: Callable[..., Path],
    mmseg_settings: SegmentationSettings,
    strong_augmentation: AugmentationSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    Path(mmseg_settings.mmseg_config).write_text(UNET.replace("DROPOUT", "0.5"))
    pairs = [make_frames("source", 3), make_frames("target", 2, seed=9)]
    chosen = replace(mmseg_settings, augmentation=strong_augmentation)
    for run, workers in (("a", 0), ("b", 2)):
        torch.rand(len(run) + workers)  # the state of the global generator must not matter
        train_mmseg(
            pairs, pairs, tmp_path / f"{run}.ckpt", tmp_path / f"{run}.csv", chosen, replace(hardware, workers=workers), seed=1
        )
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A process that is forked has none of the threads that PyTorch made before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@needs_mmseg
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_killed_training_goes_on_to_the_same_bits(
    make_frames: Callable[..., Path],
    mmseg_settings: SegmentationSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    average: float,
) -> None:
    Path(mmseg_settings.mmseg_config).write_text(UNET.replace("DROPOUT", "0.5"))
    chosen = replace(
        mmseg_settings,
        optimizer=replace(mmseg_settings.optimizer, average=average),
        schedule=Schedule(epochs=3, steps_per_epoch=3, batch_size=2),
    )
    root = make_frames("source", 3)

    def train(name: str) -> tuple[bytes, bytes]:
        out, curves = tmp_path / name / "model.ckpt", tmp_path / name / "curves.csv"
        train_mmseg([root], [root], out, curves, chosen, hardware, seed=1)
        return out.read_bytes(), curves.read_bytes()

    whole = train("whole")
    if not (child := os.fork()):
        before = _Training.before_train_iter

        def kill(training: _Training, runner: SimpleNamespace, batch_idx: int, data_batch: object = None) -> None:
            if runner.iter == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            before(training, runner, batch_idx, data_batch)

        monkeypatch.setattr(_Training, "before_train_iter", kill)
        train("killed")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.ckpt").exists()
    steps: list[int] = []
    monkeypatch.setattr(_Training, "after_train_iter", _record(_Training.after_train_iter, steps))
    assert train("killed") == whole
    assert steps == list(range(3, 9))


def _record(after: Callable[..., None], steps: list[int]) -> Callable[..., None]:
    def record(training: _Training, runner: SimpleNamespace, *arguments: object, **named: object) -> None:
        steps.append(runner.iter)
        after(training, runner, *arguments, **named)

    return record


@needs_mmseg
def test_a_student_goes_on_from_its_teacher(
    make_frames: Callable[..., Path], mmseg_settings: SegmentationSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, curves = make_frames("source", 2), tmp_path / "curves.csv"
    teacher, student = tmp_path / "teacher.ckpt", tmp_path / "student.ckpt"
    train_mmseg([root], [root], teacher, curves, mmseg_settings, hardware, seed=1)
    still = replace(mmseg_settings, optimizer=replace(mmseg_settings.optimizer, learning_rate=1e-12))
    train_mmseg([root], [root], student, curves, still, hardware, seed=2, start=teacher)
    weights = [load_model(path, "segmenter").state_dict for path in (teacher, student)]
    for name in dict(load_segmenter(teacher).segmenter.named_parameters()):
        torch.testing.assert_close(weights[0][name], weights[1][name])
    Path(mmseg_settings.mmseg_config).write_text(UNET.replace("DROPOUT", "0.0").replace("channels=8, num", "channels=16, num"))
    with pytest.raises(ModelFileError, match=r"teacher\.ckpt: not the network of .*unet\.py"):
        train_mmseg([root], [root], student, curves, still, hardware, seed=2, start=teacher)


@needs_mmseg
def test_the_shipped_config_starts_from_the_offline_weights() -> None:
    from mmengine.registry import WEIGHT_INITIALIZERS
    from mmseg.registry import MODELS

    from synth2real.segmentation.mmseg_train import OfflineWeights

    config = read_config(SHIPPED)
    WEIGHT_INITIALIZERS.register_module("OfflineWeights", module=OfflineWeights, force=True)
    model = MODELS.build(config.model)
    model.init_weights()
    state = model.backbone.timm_model.state_dict()
    offline = offline_state_dict()
    assert all(torch.equal(tensor, offline[name]) for name, tensor in state.items())

    segmenter = MMSegmenter(describe(config.model)).eval()
    segmenter.network.load_state_dict(model.state_dict())
    seen: list[torch.Tensor] = []
    segmenter.network.backbone.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 50, 70, 3), np.uint8))
    with torch.no_grad():
        assert segmenter(image).shape == (1, NUM_CLASSES, 50, 70)
    torch.testing.assert_close(seen[0][:, :, :50, :70], image.permute(0, 3, 1, 2) / 127.5 - 1)


@needs_mmseg
def test_samples_are_bgr_with_train_ids(make_frames: Callable[..., Path], settings: SegmentationSettings) -> None:
    root = make_frames("source", 1)
    frames = TrainingFrames([read_labelled_frames(root, root)], (32, 64), 1)
    views = Views(frames, settings.augmentation, (32, 64), 1, 1, None)
    sample = MMSegSamples(Samples(views))(0, np.random.default_rng(0))
    image, train_ids = frames.get(0, 0)
    assert np.array_equal(sample["inputs"].numpy(), image[:, :, ::-1].transpose(2, 0, 1))
    assert np.array_equal(sample["data_samples"].gt_sem_seg.data[0].numpy(), train_ids)


@needs_mmseg
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_classes=19", "num_classes=150", "num_classes of decode_head is 150, expected 19"),
        ('"UNet"', '"NoSuchNet"', "type 'NoSuchNet' is not registered"),
        ("num_stages=3", "num_stages=4", "mmsegmentation cannot build it"),
        ("data_preprocessor=", "test_data_preprocessor=", "expected a config with a model that has a data_preprocessor"),
        ("model = dict(", "model = dict((", "not a config of mmsegmentation"),
    ],
)
def test_a_config_that_cannot_serve_is_refused(
    make_frames: Callable[..., Path],
    mmseg_settings: SegmentationSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
    old: str,
    new: str,
    message: str,
) -> None:
    root, out = make_frames("source", 1), tmp_path / "model.ckpt"
    Path(mmseg_settings.mmseg_config).write_text(UNET.replace("DROPOUT", "0.0").replace(old, new))
    with pytest.raises(TrainingError, match=rf"unet\.py: .*{message}"):
        train_mmseg([root], [root], out, out, mmseg_settings, hardware, seed=1)
    with pytest.raises(TrainingError, match=r"none\.py: no such file"):
        train_mmseg([root], [root], out, out, replace(mmseg_settings, mmseg_config="none.py"), hardware, seed=1)


@needs_mmseg
def test_a_model_file_calls_nothing_by_name(tmp_path: Path, mmseg_settings: SegmentationSettings) -> None:
    network = describe(read_config(Path(mmseg_settings.mmseg_config)).model)
    network.config["decode_head"]["loss_decode"] = {"type": "os.mkdir", "path": str(tmp_path / "made")}
    save_model(tmp_path / "model.ckpt", "segmenter", {"network": {"config": network.config}, "size": (32, 64)}, {})
    with pytest.raises(ModelFileError, match=r"type 'os\.mkdir' is not registered with mmsegmentation"):
        load_segmenter(tmp_path / "model.ckpt")
    assert not (tmp_path / "made").exists()


@needs_mmseg
def test_mmsegmentation_is_loaded_only_where_it_is_used() -> None:
    program = "import sys, synth2real.segmentation.mmseg_train; sys.exit(bool({'mmcv', 'mmengine', 'mmseg'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
