"""Mixing against its definition, the loss against a plain one, learning without labels, and going on after a kill."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from synth2real.augmentation import AugmentationSettings, Colours, random_colours, recolour
from synth2real.frames import FrameError, read_frames, read_image, write_image
from synth2real.hardware import HardwareSettings
from synth2real.label_space import IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID
from synth2real.segmentation.data import TrainingFrames, UnlabelledFrames, Views, read_labelled_frames
from synth2real.segmentation.networks import Segmenter, load_segmenter
from synth2real.segmentation.online_teacher import (
    ColourTensors,
    MixingBatch,
    MixingSamples,
    OnlineTeacherSettings,
    OnlineTeacherTraining,
    class_mask,
    mix,
    recolour_batch,
    train_online_teacher,
)
from synth2real.segmentation.train import SegmentationSettings, train_segmenter
from synth2real.training import Schedule, TrainingError


@pytest.fixture(autouse=True)
def _in_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def online(settings: SegmentationSettings) -> OnlineTeacherSettings:
    return OnlineTeacherSettings(
        threshold=0.5,
        weight=1.0,
        ignored_rows=(0, 0),
        optimizer=replace(settings.optimizer, average=0.9),
        schedule=Schedule(epochs=2, steps_per_epoch=2, batch_size=2),
    )


def colour_tensors(colours: list[Colours]) -> ColourTensors:
    return ColourTensors(*(torch.tensor(np.stack(values), dtype=torch.float32) for values in zip(*colours, strict=True)))


def unchanged(batch: int) -> ColourTensors:
    return colour_tensors([Colours(np.eye(3, 4), 1.0, 0.0, 0.0)] * batch)


def random_batch(seed: int, batch: int = 3, size: tuple[int, int] = (16, 24)) -> MixingBatch:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 8, (batch, size[0] // 8, size[1] // 8), generator=generator)
    train_ids = torch.where(coarse == 7, IGNORE_INDEX, coarse).byte().repeat_interleave(8, 1).repeat_interleave(8, 2)
    source, target = (torch.randint(0, 256, (batch, *size, 3), generator=generator).byte() for _ in range(2))
    is_labelled = torch.rand((batch, *size), generator=generator) > 0.3
    return MixingBatch(source, train_ids, target, is_labelled, unchanged(batch), unchanged(batch))


# --- Mixing ----------------------------------------------------------------------------------------------------------


@examples(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), classes=st.integers(1, 19), ignored=st.booleans())
def test_the_mask_is_all_of_half_the_classes(seed: int, classes: int, ignored: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(19, classes, replace=False).tolist() + ([IGNORE_INDEX] if ignored else [])
    maps = torch.from_numpy(rng.choice(values, (2, 12, 20)).astype(np.uint8))
    torch.manual_seed(seed)
    for train_ids, mask in zip(maps, class_mask(maps), strict=True):
        present = set(train_ids.unique().tolist()) - {IGNORE_INDEX}
        pasted = set(train_ids[mask].tolist())
        assert len(pasted) == (len(present) + 1) // 2
        assert not pasted & set(train_ids[~mask].tolist())
        assert IGNORE_INDEX not in pasted


def test_each_class_is_pasted_equally_often() -> None:
    train_ids = torch.arange(4, dtype=torch.uint8).repeat(1000, 1)[:, None]
    torch.manual_seed(0)
    shares = class_mask(train_ids).float().mean((0, 1))
    assert ((shares - 0.5).abs() < 4 * np.sqrt(0.25 / 1000)).all()


@examples(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), threshold=st.floats(0.3, 0.95))
def test_pasted_pixels_are_the_sources_and_all_others_the_targets(seed: int, threshold: float) -> None:
    batch = random_batch(seed)
    torch.manual_seed(seed)
    mask, logits = class_mask(batch.train_ids), 3 * torch.randn(3, 19, 16, 24)
    mixed = mix(batch, mask, logits, threshold)
    assert torch.equal(mixed.images[mask], batch.source[mask])
    assert torch.equal(mixed.images[~mask], batch.target[~mask])
    assert torch.equal(mixed.train_ids[mask], batch.train_ids[mask])
    teachers = ~mask & batch.is_labelled
    assert torch.equal(mixed.train_ids[teachers].long(), logits.argmax(1)[teachers])
    assert (mixed.train_ids[~mask & ~batch.is_labelled] == IGNORE_INDEX).all()
    confidence = logits.softmax(1).amax(1)
    for number in range(3):  # DAFormer, equation 7
        sure = (confidence[number][batch.is_labelled[number]] > threshold).double().mean()
        assert mixed.confident[number].item() == pytest.approx(sure.item())
        assert (mixed.weights[number][mask[number]] == 1).all()
        assert (mixed.weights[number][~mask[number]] == mixed.confident[number]).all()


def test_a_target_without_labelled_rows_counts_nothing() -> None:
    batch = random_batch(0)
    batch = batch._replace(is_labelled=torch.zeros_like(batch.is_labelled))
    mixed = mix(batch, torch.zeros_like(batch.is_labelled), torch.randn(3, 19, 16, 24), 0.0)
    assert not mixed.confident.any()
    assert (mixed.train_ids == IGNORE_INDEX).all()


def test_colours_of_a_batch_are_those_of_single_images(strong_augmentation: AugmentationSettings) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 6, 8, 3), np.uint8)
    images = coarse.repeat(8, 1).repeat(8, 2)
    still = replace(strong_augmentation, noise=0.0)
    for blur in (0.0, 2.0):
        chosen = replace(still, blur=blur)
        colours = [random_colours(chosen, np.random.default_rng(seed)) for seed in range(6)]
        expected = np.stack([recolour(image, chosen, np.random.default_rng(seed)) for seed, image in enumerate(images)])
        found = recolour_batch(torch.from_numpy(images), colour_tensors(colours), int(np.ceil(3 * blur))).numpy()
        difference = np.abs(found.astype(int) - expected)
        assert difference.mean() < 0.5
        assert np.quantile(difference, 0.99) <= 2  # numbers are rounded after each change there, and once here


def test_noise_of_a_batch_has_its_strength() -> None:
    grey = torch.full((3, 64, 64, 3), 128, dtype=torch.uint8)
    torch.manual_seed(0)
    noisy = recolour_batch(grey, colour_tensors([Colours(np.eye(3, 4), 1.0, 0.0, noise) for noise in (0.0, 4.0, 12.0)]), 0)
    assert torch.equal(noisy[0], grey[0])
    torch.testing.assert_close(noisy.float().std((1, 2, 3)), torch.tensor([0.0, 4.0, 12.0]), rtol=0.05, atol=0.0)


# --- Samples ---------------------------------------------------------------------------------------------------------


def test_ignored_rows_move_with_the_image(make_frames: Callable[..., Path], augmentation: AugmentationSettings) -> None:
    root = make_frames("source", 2)
    frames = TrainingFrames([read_labelled_frames(root, root)], (32, 64), 1)
    larger = replace(augmentation, scale=(2.0, 2.0))
    rows = [
        MixingSamples(Views(frames, larger, crop, 2, 1, None), UnlabelledFrames(root, (32, 64), 1), (4, 8))(
            0, np.random.default_rng(0)
        ).is_labelled.float()
        for crop in ((64, 128), (32, 64))
    ]
    assert rows[0].mean(1).tolist() == [0.0] * 8 + [1.0] * 40 + [0.0] * 16
    assert set(rows[1].mean(1).tolist()) <= {0.0, 1.0}


def test_target_frames_are_the_same_from_memory_and_from_files(make_frames: Callable[..., Path]) -> None:
    root = make_frames("target", 3, size=(64, 128))
    cached, uncached = (UnlabelledFrames(root, (32, 64), cache_mib) for cache_mib in (1, 0))
    assert len(cached) == len(uncached) == 3
    for index in range(3):
        np.testing.assert_array_equal(cached.get(index), uncached.get(index))


# --- The step --------------------------------------------------------------------------------------------------------


def test_the_loss_and_the_teacher_are_those_of_the_paper(
    settings: SegmentationSettings, online: OnlineTeacherSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step of plain gradient descent against the method written down, pixel weights and all."""
    online = replace(online, weight=0.7, optimizer=replace(online.optimizer, name="sgd", warm_up=0, learning_rate=0.1))
    torch.manual_seed(0)
    weights = torch.rand(19) + 0.5
    training = OnlineTeacherTraining(Segmenter(settings.network), weights, settings, online)
    training.train()
    (optimizer, schedule) = (lambda made: (made["optimizer"], made["lr_scheduler"]["scheduler"]))(training.configure_optimizers())
    monkeypatch.setattr(training, "optimizers", lambda: optimizer)
    monkeypatch.setattr(training, "lr_schedulers", lambda: schedule)
    monkeypatch.setattr(training, "manual_backward", lambda loss: loss.backward())
    logged: dict[str, Tensor] = {}
    monkeypatch.setattr(training, "log_means", lambda **values: logged.update(values))

    student, teacher = Segmenter(settings.network), Segmenter(settings.network)
    for network in (student, teacher):
        network.load_state_dict(training.segmenter.state_dict())
    student.train(), teacher.eval()
    batch = random_batch(1, 2, (32, 64))
    torch.manual_seed(5)
    training.training_step(batch, 0)

    torch.manual_seed(5)
    mask = class_mask(batch.train_ids)
    with torch.no_grad():
        confidence, predicted = teacher(batch.target).softmax(1).max(1)
    predicted[~batch.is_labelled] = IGNORE_INDEX
    q = torch.stack([(sure[where] > 0.5).float().mean() for sure, where in zip(confidence, batch.is_labelled, strict=True)])
    images = torch.where(mask[..., None], batch.source, batch.target)
    labels = torch.where(mask, batch.train_ids, predicted.byte()).long()
    share = torch.where(mask, 1.0, q[:, None, None])
    of_source, of_mixed = student(torch.cat((batch.source, images))).chunk(2)
    source = F.cross_entropy(of_source, batch.train_ids.long(), weights, ignore_index=IGNORE_INDEX)
    by_pixel = share * F.cross_entropy(of_mixed, labels, weights, ignore_index=IGNORE_INDEX, reduction="none")
    target = by_pixel.sum() / weights[labels[labels != IGNORE_INDEX]].sum()
    torch.autograd.backward(source + 0.7 * target)
    torch.testing.assert_close(logged["loss_source"], source.detach())
    torch.testing.assert_close(logged["loss_mixed"], target.detach())
    torch.testing.assert_close(logged["confident"], q.mean())
    for (name, expected), found, averaged in zip(
        student.named_parameters(), training.segmenter.parameters(), training.result.parameters(), strict=True
    ):
        assert expected.grad is not None
        after = expected.detach() - 0.1 * expected.grad
        torch.testing.assert_close(found.detach(), after, msg=name, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(averaged, 0.1 * expected.detach() + 0.9 * after, msg=name, rtol=1e-4, atol=1e-5)
    for kept, current in zip(training.result.buffers(), training.segmenter.buffers(), strict=True):
        assert torch.equal(kept, current)
    assert not training.result.training


# --- Training --------------------------------------------------------------------------------------------------------


def accuracy(model: Path, root: Path) -> float:
    """Pixel accuracy over all frames of the set."""
    frames, segmenter = read_frames(root), load_segmenter(model).segmenter
    rights = []
    for frame in frames.frames:
        with torch.no_grad():
            predicted = segmenter(torch.from_numpy(frames.image(frame))[None]).argmax(1)[0].numpy()
        train_ids = LABEL_ID_TO_TRAIN_ID[frames.label(frame)]
        rights.append((predicted == train_ids)[train_ids != IGNORE_INDEX].mean())
    return float(np.mean(rights))


def test_it_learns_the_target_without_its_labels(
    make_frames: Callable[..., Path],
    settings: SegmentationSettings,
    online: OnlineTeacherSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    """The target has paler colours; a network of the source alone confuses them (below 0.5), though new statistics help (0.8)."""
    source, target = make_frames("source", 8), make_frames("target", 8, seed=50)
    for path in (target / "images").iterdir():
        write_image(path, (read_image(path) * 0.55 + 60).astype(np.uint8))
    start, out, curves = tmp_path / "start.ckpt", tmp_path / "model.ckpt", tmp_path / "curves.csv"
    schedule = Schedule(epochs=2, steps_per_epoch=40, batch_size=4)
    train_segmenter([source], [source], start, curves, replace(settings, schedule=schedule), hardware, seed=1)
    assert accuracy(start, target) < 0.6 < 0.95 < accuracy(start, source)
    longer = replace(online, schedule=schedule)
    train_online_teacher(source, source, target, out, curves, settings, longer, hardware, seed=1, start=start)
    assert accuracy(out, target) > 0.9
    assert accuracy(out, source) > 0.95
    rows = curves.read_text().splitlines()
    assert rows[0] == "step,loss_source,loss_mixed,confident,pixel_accuracy"
    first, last = (list(map(float, row.split(","))) for row in rows[1:])
    assert last[2] < first[2]
    assert 0 < first[3] < last[3] < 1


def test_no_label_of_the_target_is_read(
    make_frames: Callable[..., Path],
    settings: SegmentationSettings,
    strong_augmentation: AugmentationSettings,
    online: OnlineTeacherSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    """Two runs with equal seeds give equal bits, one of them with loader processes and without the target's labels on disk."""
    source, target = make_frames("source", 3), make_frames("target", 2, seed=9)
    settings = replace(settings, augmentation=strong_augmentation, network=replace(settings.network, dropout=0.5))
    for run, workers in (("a", 0), ("b", 2)):
        torch.rand(len(run) + workers)  # the state of the global generator must not matter
        out, curves = tmp_path / f"{run}.ckpt", tmp_path / f"{run}.csv"
        chosen = replace(hardware, workers=workers)
        train_online_teacher(source, source, target, out, curves, settings, online, chosen, seed=1)
        for path in (target / "labels").glob("*.png"):
            path.unlink()
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert not list((tmp_path / ".dvc" / "tmp" / "resume").iterdir())


def test_mixed_precision(
    make_frames: Callable[..., Path],
    settings: SegmentationSettings,
    online: OnlineTeacherSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    root, out = make_frames("source", 2), tmp_path / "model.ckpt"
    start = tmp_path / "start.ckpt"
    half = replace(hardware, precision="bf16-mixed")
    train_segmenter([root], [root], start, tmp_path / "start.csv", settings, half, seed=1)
    train_online_teacher(root, root, root, out, tmp_path / "curves.csv", settings, online, half, seed=1, start=start)
    weights = load_segmenter(out).segmenter.state_dict().values()
    assert all(torch.isfinite(weight).all() for weight in weights)


_KILLED = """
import os, pickle, signal, sys
import pytorch_lightning, torch
torch.set_num_threads(1)
from synth2real.segmentation import online_teacher, train
names, kill, arguments = pickle.load(open(sys.argv[1], "rb"))
taken = []
def killed(step):
    def wrapper(self, batch, batch_idx):
        taken.append(batch_idx)
        if len(taken) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        step(self, batch, batch_idx)
    return wrapper
if kill:
    train.SegmenterTraining.training_step = killed(train.SegmenterTraining.training_step)
    online_teacher.OnlineTeacherTraining.training_step = killed(online_teacher.OnlineTeacherTraining.training_step)
from pathlib import Path
source, target, settings, online, hardware = arguments
for name in names:
    out, curves = Path(name + ".ckpt"), Path(name + ".csv")
    if online is None:
        train.train_segmenter([source], [source], out, curves, settings, hardware, seed=3)
    else:
        online_teacher.train_online_teacher(source, source, target, out, curves, settings, online, hardware, seed=3)
"""


@pytest.mark.parametrize("supervised", [True, False])
def test_killed_and_run_again_gives_the_bits_of_a_whole_run(
    make_frames: Callable[..., Path],
    settings: SegmentationSettings,
    strong_augmentation: AugmentationSettings,
    online: OnlineTeacherSettings,
    hardware: HardwareSettings,
    supervised: bool,
) -> None:
    source, target = make_frames("source", 3), make_frames("target", 2, seed=9)
    settings = replace(settings, augmentation=strong_augmentation, optimizer=replace(settings.optimizer, average=0.9))

    def run(*names: str, kill: bool) -> int:
        arguments = (source, target, settings, None if supervised else online, hardware)
        Path("arguments").write_bytes(pickle.dumps((names, kill, arguments)))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-c", _KILLED, "arguments"]
        return subprocess.run(command, env=environment, capture_output=True).returncode

    assert run("resumed", kill=True) == -signal.SIGKILL
    assert not Path("resumed.ckpt").exists()
    assert len(list(Path(".dvc/tmp/resume").glob("*/last.ckpt"))) == 1
    assert run("resumed", "whole", kill=False) == 0
    assert not list(Path(".dvc/tmp/resume").iterdir())
    assert Path("resumed.ckpt").read_bytes() == Path("whole.ckpt").read_bytes()
    assert Path("resumed.csv").read_bytes() == Path("whole.csv").read_bytes()


# --- Faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"weight": -1.0}, {"ignored_rows": (-1, 0)}])
def test_values_out_of_range_are_refused(online: OnlineTeacherSettings, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(online, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        replace(online, schedule=replace(online.schedule, batch_size=1))


def test_faults_name_their_remedy(
    make_frames: Callable[..., Path],
    settings: SegmentationSettings,
    online: OnlineTeacherSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    source, out, curves = make_frames("source", 2), tmp_path / "model.ckpt", tmp_path / "curves.csv"
    all_rows = replace(online, ignored_rows=(16, 16))
    with pytest.raises(TrainingError, match=r"ignored_rows \[16, 16\] leave nothing of the 32 rows"):
        train_online_teacher(source, source, source, out, curves, settings, all_rows, hardware, seed=1)
    with pytest.raises(TrainingError, match=r"segmentation\.backend is mmseg"):
        train_online_teacher(source, source, source, out, curves, replace(settings, backend="mmseg"), online, hardware, seed=1)
    val_only = make_frames("val", 2, split="val")
    with pytest.raises(FrameError, match="no frame of split train"):
        train_online_teacher(source, source, val_only, out, curves, settings, online, hardware, seed=1)
    assert not out.exists()
