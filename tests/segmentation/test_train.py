from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from synth2real.augmentation import AugmentationSettings
from synth2real.frames import read_frames
from synth2real.hardware import HardwareSettings
from synth2real.label_space import LABEL_ID_TO_TRAIN_ID
from synth2real.models import ModelFileError, load_model
from synth2real.segmentation import train
from synth2real.segmentation.data import RareClassSettings
from synth2real.segmentation.networks import Segmenter, load_segmenter
from synth2real.segmentation.predict import load_predictor
from synth2real.segmentation.train import (
    SegmentationSettings,
    SegmenterTraining,
    learning_rate_factor,
    train_segmenter,
    update_average,
    weighted_cross_entropy,
)
from synth2real.training import TrainingError


@pytest.fixture(autouse=True)
def _in_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_two_images_can_be_learned(
    make_frames: Callable[..., Path], settings: SegmentationSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("source", 2)
    longer = replace(settings, schedule=replace(settings.schedule, epochs=3, steps_per_epoch=50))
    train_segmenter([root], [root], tmp_path / "model.ckpt", tmp_path / "curves.csv", longer, hardware, seed=1)
    predict = load_predictor(tmp_path / "model.ckpt", hardware)
    frames = read_frames(root)
    for frame in frames.frames:
        train_ids = LABEL_ID_TO_TRAIN_ID[frames.label(frame)]
        counts = train_ids != 255
        assert (predict(frames.image(frame)).train_ids == train_ids)[counts].mean() >= 0.99
    rows = (tmp_path / "curves.csv").read_text().splitlines()
    assert rows[0] == "step,loss,pixel_accuracy"
    losses = [float(row.split(",")[1]) for row in rows[1:]]
    assert losses[-1] < 0.1 * losses[0]


def test_two_runs_give_the_same_file(
    make_frames: Callable[..., Path],
    settings: SegmentationSettings,
    strong_augmentation: AugmentationSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    pairs = [make_frames("source", 3), make_frames("target", 2, seed=9)]
    settings = replace(settings, augmentation=strong_augmentation, network=replace(settings.network, dropout=0.5))
    for run, workers in (("a", 0), ("b", 2)):
        torch.rand(len(run) + workers)  # the state of the global generator must not matter
        train_segmenter(
            pairs, pairs, tmp_path / f"{run}.ckpt", tmp_path / f"{run}.csv", settings, replace(hardware, workers=workers), seed=1
        )
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert not list((tmp_path / ".dvc" / "tmp" / "resume").iterdir())


def test_a_student_goes_on_from_its_teacher(
    make_frames: Callable[..., Path], settings: SegmentationSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, curves = make_frames("source", 2), tmp_path / "curves.csv"
    teacher, student = tmp_path / "teacher.ckpt", tmp_path / "student.ckpt"
    train_segmenter([root], [root], teacher, curves, settings, hardware, seed=1)
    still = replace(settings, optimizer=replace(settings.optimizer, learning_rate=1e-12))
    train_segmenter([root], [root], student, curves, still, hardware, seed=1, start=teacher)
    weights = [load_model(path, "segmenter").state_dict for path in (teacher, student)]
    parameters = dict(Segmenter(settings.network).named_parameters())
    for name in parameters:
        torch.testing.assert_close(weights[0][name], weights[1][name])
    wider = replace(settings, network=replace(settings.network, decoder_channels=32))
    with pytest.raises(ModelFileError, match=r"teacher\.ckpt: not the network of segmentation\.network"):
        train_segmenter([root], [root], student, curves, wider, hardware, seed=1, start=teacher)


def test_the_loss_is_that_of_pytorch_and_ignored_pixels_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 19, 4, 6, generator=generator)
    train_ids = torch.randint(0, 19, (2, 4, 6), dtype=torch.uint8, generator=generator)
    train_ids[:, 1] = 255
    weights = torch.rand(19, generator=generator) + 0.1
    loss = weighted_cross_entropy(logits, train_ids, weights)
    torch.testing.assert_close(loss, F.cross_entropy(logits, train_ids.long(), weights, ignore_index=255))
    logits[:, :, 1] = 100 * torch.randn(2, 19, 6, generator=generator)
    assert torch.equal(weighted_cross_entropy(logits, train_ids, weights), loss)


def test_shares_count_less_of_a_pixels_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 19, 4, 6, generator=generator)
    train_ids = torch.randint(0, 19, (2, 4, 6), dtype=torch.uint8, generator=generator)
    train_ids[:, 1] = 255
    weights, shares = torch.rand(19, generator=generator) + 0.1, torch.rand((2, 4, 6), generator=generator)
    by_pixel = F.cross_entropy(logits, train_ids.long(), weights, ignore_index=255, reduction="none")
    expected = (shares * by_pixel).sum() / weights[train_ids[train_ids != 255].long()].sum()
    torch.testing.assert_close(weighted_cross_entropy(logits, train_ids, weights, shares), expected)
    ones = weighted_cross_entropy(logits, train_ids, weights, torch.ones_like(shares))
    torch.testing.assert_close(ones, weighted_cross_entropy(logits, train_ids, weights))


def test_a_batch_without_labels_has_loss_and_gradient_zero() -> None:
    logits = torch.randn(1, 19, 4, 6, requires_grad=True)
    loss = weighted_cross_entropy(logits, torch.full((1, 4, 6), 255, dtype=torch.uint8), torch.ones(19))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize(("step", "expected"), [(0, 0.25), (3, 0.97**0.9), (50, 0.5**0.9), (99, 0.01**0.9), (100, 0.0)])
def test_learning_rate_rises_linearly_and_decays_polynomially(step: int, expected: float) -> None:
    assert learning_rate_factor(step, 100, 4, 0.9) == pytest.approx(expected)


def test_learning_rate_without_rise_and_decay_is_constant() -> None:
    assert {learning_rate_factor(step, 10, 0, 0.0) for step in range(10)} == {1.0}


# --- Moving average, accumulated batches -----------------------------------------------------------------------------


def test_the_average_is_that_of_pytorch_and_copies_statistics(settings: SegmentationSettings) -> None:
    network = Segmenter(settings.network)
    average = deepcopy(network)
    reference = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.8))  # type: ignore[no-untyped-call]
    first = [parameter.detach().clone() for parameter in network.parameters()]
    reference.update_parameters(network)  # the first call copies
    for step in range(3):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)))
            for buffer in network.buffers():
                buffer.add_(1)
        update_average(average, network, 0.8)
        reference.update_parameters(network)
    for (name, found), expected in zip(average.state_dict().items(), reference.module.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)
    assert not any(torch.equal(now, before) for now, before in zip(average.parameters(), first, strict=True) if now.any())
    update_average(average, network, 0.0)
    for (name, found), expected in zip(average.state_dict().items(), network.state_dict().values(), strict=True):
        assert torch.equal(found, expected), name


def test_the_average_is_what_is_saved(
    make_frames: Callable[..., Path],
    settings: SegmentationSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The saved weights are the average, written down step by step, of those that were trained."""
    seen: list[dict[str, torch.Tensor]] = []

    def watched(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
        if not seen:
            seen.append({name: value.clone() for name, value in average.state_dict().items()})
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        decays.append(decay)
        update_average(average, network, decay)

    decays: list[float] = []
    monkeypatch.setattr(train, "update_average", watched)
    root, out = make_frames("source", 2), tmp_path / "model.ckpt"
    settings = replace(settings, optimizer=replace(settings.optimizer, average=0.25))
    train_segmenter([root], [root], out, tmp_path / "curves.csv", settings, hardware, seed=1)
    assert decays == [0.1, pytest.approx(2 / 11), 0.25, 0.25]
    parameters = {name for name, _ in Segmenter(settings.network).named_parameters()}
    for name, saved in load_model(out, "segmenter").state_dict.items():
        expected = seen[0][name]
        for decay, state in zip(decays, seen[1:], strict=True):
            expected = decay * expected + (1 - decay) * state[name] if name in parameters else state[name]
        torch.testing.assert_close(saved, expected, msg=name)


def test_without_an_average_the_last_weights_are_saved_and_no_copy_is_kept(settings: SegmentationSettings) -> None:
    training = SegmenterTraining(Segmenter(settings.network), torch.ones(19), settings)
    assert training.averaged is None
    assert training.result is training.segmenter
    assert not any(name.startswith("averaged") for name in training.state_dict())


def test_sizes_need_not_be_multiples_of_the_stride(
    make_frames: Callable[..., Path], settings: SegmentationSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, out = make_frames("source", 2), tmp_path / "model.ckpt"
    settings = replace(settings, size=(30, 62), crop=(21, 39))
    train_segmenter([root], [root], out, tmp_path / "curves.csv", settings, hardware, seed=1)
    assert load_segmenter(out).size == (30, 62)


def test_parts_add_up_to_the_gradient_of_the_whole_batch(settings: SegmentationSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch normalisation in evaluation, so that a sample's logits do not depend on the others of its part."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 32, 64, 3), dtype=torch.uint8, generator=generator)
    train_ids = torch.randint(0, 19, (4, 32, 64), dtype=torch.uint8, generator=generator)
    train_ids[0, :20], train_ids[2] = 255, 255  # parts of different weight, and a sample without labels
    weights = torch.rand(19, generator=generator) + 0.1
    gradients, logs = [], []
    for accumulate in (1, 2):
        torch.manual_seed(0)
        chosen = replace(settings, accumulate=accumulate, schedule=replace(settings.schedule, batch_size=4))
        training = SegmenterTraining(Segmenter(settings.network), weights, chosen).eval()
        monkeypatch.setattr(training, "manual_backward", lambda loss: loss.backward())
        monkeypatch.setattr(training, "step", lambda batch_idx: None)
        monkeypatch.setattr(training, "log_means", lambda **values: logs.append(values))
        training.training_step([images, train_ids], 0)
        gradients.append([parameter.grad for parameter in training.segmenter.parameters()])
    for whole, parts in zip(*gradients, strict=True):
        assert whole is not None
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    for name in ("loss", "pixel_accuracy"):
        torch.testing.assert_close(logs[0][name], logs[1][name])


def test_parts_and_rare_classes_learn_two_images(
    make_frames: Callable[..., Path], settings: SegmentationSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, out = make_frames("source", 2), tmp_path / "model.ckpt"
    chosen = replace(
        settings,
        rare_classes=RareClassSettings(temperature=1.0, min_pixels=100),
        accumulate=2,
        optimizer=replace(settings.optimizer, average=0.9),
        schedule=replace(settings.schedule, epochs=2, steps_per_epoch=50, batch_size=4),
    )
    train_segmenter([root], [root], out, tmp_path / "curves.csv", chosen, hardware, seed=1)
    predict, frames = load_segmenter(out).segmenter, read_frames(root)
    for frame in frames.frames:
        train_ids = LABEL_ID_TO_TRAIN_ID[frames.label(frame)]
        with torch.no_grad():
            found = predict(torch.from_numpy(frames.image(frame))[None]).argmax(1)[0].numpy()
        assert (found == train_ids)[train_ids != 255].mean() >= 0.99


@pytest.mark.parametrize(("accumulate", "message"), [(0, "divide"), (3, "divide"), (2, "at least 2 for each")])
def test_parts_must_be_equal_and_of_two_samples(settings: SegmentationSettings, accumulate: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(settings, accumulate=accumulate)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_every_parameter_is_trained_at_its_rate(settings: SegmentationSettings, name: str) -> None:
    settings = replace(settings, optimizer=replace(settings.optimizer, name=name, encoder_factor=0.1, warm_up=0))  # type: ignore[arg-type]
    segmenter = Segmenter(settings.network)
    optimizer = SegmenterTraining(segmenter, torch.ones(19), settings).configure_optimizers()["optimizer"]
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    encoder = {id(parameter) for parameter in segmenter.encoder.parameters()}
    assert rates == {id(p): pytest.approx(1e-3 if id(p) in encoder else 1e-2) for p in segmenter.parameters()}


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_statistics_stay_as_they_came(settings: SegmentationSettings, frozen: bool) -> None:
    segmenter = Segmenter(settings.network)
    training = SegmenterTraining(segmenter, torch.ones(19), replace(settings, freeze_batch_norm=frozen)).train()
    before = {name: value.clone() for name, value in segmenter.named_buffers() if "running_mean" in name}
    training.segmenter(torch.randint(0, 256, (2, 32, 64, 3), dtype=torch.uint8))
    changed = {name for name, value in segmenter.named_buffers() if name in before and not torch.equal(value, before[name])}
    encoder = {name for name in before if ".encoder." in name}
    assert changed == (set(before) - encoder if frozen else set(before))


def test_other_weights_start_from_other_bits(settings: SegmentationSettings) -> None:
    nets = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        nets.append(np.concatenate([p.detach().flatten().numpy() for p in Segmenter(settings.network).parameters()]))
    assert np.array_equal(nets[0], nets[1])
    assert not np.array_equal(nets[0], nets[2])


def test_sets_must_come_in_pairs_that_divide_the_batch(
    make_frames: Callable[..., Path], settings: SegmentationSettings, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, out = make_frames("source", 1), tmp_path / "model.ckpt"
    with pytest.raises(TrainingError, match="got 2 image sets and 1 label sets"):
        train_segmenter([root, root], [root], out, tmp_path / "curves.csv", settings, hardware, seed=1)
    with pytest.raises(TrainingError, match="batch_size is 2, which 3 pairs"):
        train_segmenter([root] * 3, [root] * 3, out, tmp_path / "curves.csv", settings, hardware, seed=1)
    assert not out.exists()


@pytest.mark.parametrize("wrong", [{"size": (8, 64)}, {"crop": (32, 8)}, {"class_weight_power": 2.0}, {"cache_mib": -1}])
def test_values_out_of_range_are_refused(settings: SegmentationSettings, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(settings, **wrong)  # type: ignore[arg-type]


def test_a_batch_of_one_is_refused(settings: SegmentationSettings) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        replace(settings, schedule=replace(settings.schedule, batch_size=1))
