"""Learning, the phases of coarse to fine, determinism, going on after an interruption, and painted frame sets."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synth2real.frames import Frame, FrameError, read_frames, write_frames, write_label
from synth2real.hardware import HardwareSettings
from synth2real.label_space import PALETTE
from synth2real.models import ModelFileError, save_model
from synth2real.synthesis import train
from synth2real.synthesis.checkpoints import load_synthesizer
from synth2real.synthesis.data import Pair, PairedCrops
from synth2real.synthesis.diversity import DiversitySettings, score_diversity
from synth2real.synthesis.synthesize import SynthesizeSettings, paint, synthesize_frames
from synth2real.synthesis.train import Synthesis, SynthesisSettings, train_synthesizer
from synth2real.training import Schedule, TrainingError
from synth2real.translation.data import to_tensor

Pairs = tuple[Path, Path]
PLAIN = SynthesizeSettings(size=None, dropout=None, seed=1, hood=None)
CPU = torch.device("cpu")


def _train(pairs: Pairs, settings: SynthesisSettings, hardware: HardwareSettings, out: Path) -> Synthesis:
    paths = {"model": out / "model.ckpt", "curves": out / "curves.csv", "samples": out / "samples"}
    return train_synthesizer(*pairs, settings, hardware, **paths)


@pytest.fixture(autouse=True)
def _in_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _changed(settings: SynthesisSettings, **parts: Any) -> SynthesisSettings:
    """The settings with some values of their sections replaced."""
    return replace(settings, **{name: replace(getattr(settings, name), **values) for name, values in parts.items()})


# --- Learning ----------------------------------------------------------------------------------------------------------


def test_pairs_can_be_learnt(tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path) -> None:
    settings = replace(
        tiny, schedule=Schedule(epochs=4, steps_per_epoch=40, batch_size=1), samples=replace(tiny.samples, every=160)
    )
    _train(pairs, _changed(settings, optimizer={"learning_rate": 4e-3}, generator={"width": 8}), cpu, tmp_path / "out")
    synthesizer = load_synthesizer(tmp_path / "out/model.ckpt", CPU)
    frames, annotations = read_frames(pairs[0]), read_frames(pairs[1])
    errors = {}
    for frame in frames.frames:
        wanted = to_tensor(frames.image(frame))
        painted = paint(synthesizer, annotations.label(frame), annotations.instances(frame), seed=0, hardware=cpu)
        errors[frame.frame_id] = float(F.l1_loss(to_tensor(painted), wanted))
    of_mean = float(F.l1_loss(wanted.mean((1, 2), keepdim=True).expand_as(wanted), wanted))
    assert errors["frame_0"] < of_mean / 3
    assert errors["held_out"] < of_mean / 2  # the same classes elsewhere


@pytest.mark.parametrize("network", ["patch", "sesame"])
@pytest.mark.parametrize("adversarial", ["lsgan", "vanilla", "hinge", "wgan_gp"])
def test_each_objective_and_discriminator_trains_all_weights(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path, network: str, adversarial: str
) -> None:
    settings = _changed(
        tiny,
        discriminator={"network": network, "scales": 2, "norm": "spectral"},
        loss={"adversarial": adversarial, "feature_matching": 10.0},
        schedule={"epochs": 1, "steps_per_epoch": 2},
    )
    torch.manual_seed(settings.seed)
    before = Synthesis(settings).state_dict()
    after = _train(pairs, settings, cpu, tmp_path / "out").state_dict()
    still = {
        name
        for name, tensor in before.items()
        if torch.equal(tensor, after[name]) and not name.endswith("bias") and "_u" not in name and "_v" not in name
    }
    assert still == set()


def test_the_objective_is_the_weighted_sum(tiny: SynthesisSettings) -> None:
    module = Synthesis(_changed(tiny, loss={"l1": 100.0, "feature_matching": 10.0, "perceptual": 5.0}))
    values = {"generator": 1.0, "l1": 0.1, "feature_matching": 0.2, "perceptual_tf_efficientnet_lite0": 0.4}
    losses = {name: torch.tensor(value) for name, value in values.items()}
    assert float(module.objective(losses)) == pytest.approx(1 + 10 + 2 + 2)


def test_perceptual_loss_is_named_by_its_network_and_no_part_of_the_model(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    settings = _changed(tiny, loss={"perceptual": 10.0}, schedule={"epochs": 1, "steps_per_epoch": 1})
    module = _train(pairs, settings, cpu, tmp_path / "out")
    assert "perceptual_tf_efficientnet_lite0" in (tmp_path / "out/curves.csv").read_text()
    assert not [name for name in module.state_dict() if "perceptual" in name]


def test_larger_batches_may_learn_faster(tiny: SynthesisSettings) -> None:
    rates = [replace(tiny.optimizer, batch_scaling=kind).rate(16) for kind in ("none", "sqrt", "linear")]
    np.testing.assert_allclose(rates, (2e-3, 8e-3, 32e-3))


# --- Coarse to fine ----------------------------------------------------------------------------------------------------


def _local(tiny: SynthesisSettings) -> SynthesisSettings:
    return _changed(
        tiny,
        generator={"network": "local", "halvings": 1},
        discriminator={"layers": 1},
        coarse_to_fine={"coarse": 0.5, "enhancer": 0.25},
        schedule={"epochs": 4, "steps_per_epoch": 2},
        samples={"every": 1},
    )


def test_first_the_global_generator_then_the_enhancer_then_both(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _local(tiny)
    assert [settings.phase(step) for step in range(8)] == ["coarse"] * 4 + ["enhancer"] * 2 + ["whole"] * 2
    kept: list[dict[str, torch.Tensor]] = []

    def keep(path: Path, module: Synthesis, *_: object) -> None:
        kept.append({name: tensor.clone() for name, tensor in module.generator.network.state_dict().items()})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    monkeypatch.setattr(train, "write_samples", keep)
    _train(pairs, settings, cpu, tmp_path / "out")

    def moved(first: int, last: int) -> tuple[bool, bool]:
        """Whether any weight of the global generator, and of the enhancer, changed between two steps."""
        names = [name for name in kept[0] if name.endswith("weight")]
        changed = {name for name in names if not torch.equal(kept[first][name], kept[last][name])}
        return any(name.startswith("model.") for name in changed), any(name.startswith("model1") for name in changed)

    assert moved(0, 3) == (True, False)
    assert moved(3, 5) == (False, True)
    assert moved(5, 7) == (True, True)


def test_samples_show_the_coarse_image_while_it_is_all_there_is(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    _train(pairs, _local(tiny), cpu, tmp_path / "out")
    assert len(list((tmp_path / "out/samples").glob("step_*.jpg"))) == 8


# --- Bits --------------------------------------------------------------------------------------------------------------


def test_an_interrupted_training_ends_in_the_same_bits(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _changed(tiny, generator={"dropout": 0.5, "noise": 0.1}, features={"channels": 2})
    _train(pairs, settings, cpu, tmp_path / "one")
    shutil.rmtree(tmp_path / ".dvc")
    plain = Synthesis.training_step

    def stopping(self: Synthesis, batch: Pair, batch_idx: int) -> None:
        if self.current_epoch == 1 and batch_idx == 1:
            raise RuntimeError("the machine went down")
        plain(self, batch, batch_idx)

    monkeypatch.setattr(Synthesis, "training_step", stopping)
    with pytest.raises(RuntimeError, match="went down"):
        _train(pairs, settings, cpu, tmp_path / "two")
    shutil.rmtree(tmp_path / "two")  # DVC deletes a failed stage's outputs
    monkeypatch.setattr(Synthesis, "training_step", plain)
    _train(pairs, settings, cpu, tmp_path / "two")
    names = ["model.ckpt", "curves.csv", "samples/step_000003.jpg", "samples/step_000006.jpg"]
    assert [(tmp_path / "one" / name).read_bytes() for name in names] == [
        (tmp_path / "two" / name).read_bytes() for name in names
    ]


def test_a_loss_that_is_not_finite_names_step_and_frames(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "generator_loss", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match=r"generator is nan at step 0, with the batch .*frame_\d.*the start.*learning_rate"):
        _train(pairs, tiny, cpu, tmp_path / "out")


# --- Pairs -------------------------------------------------------------------------------------------------------------


def test_maps_and_photo_are_cut_and_mirrored_together(tiny: SynthesisSettings, pairs: Pairs) -> None:
    frames, annotations = read_frames(pairs[0]).split("train"), read_frames(pairs[1])
    plain, mirroring = (
        PairedCrops(frames, annotations, replace(tiny.pairs, crop_size=(32, 32), flip=flip), seed=1) for flip in (False, True)
    )
    mirrored = set()
    for index in range(12):
        pair, maybe = plain(index, np.random.default_rng(index)), mirroring(index, np.random.default_rng(index))
        for label_id in torch.unique(pair.label_ids):  # a colour is its class's, but for the ramp
            brightest = pair.image[:, pair.label_ids == label_id].max(1).values.add(1) * 127.5
            colour = torch.tensor(PALETTE[int(label_id)].astype(np.float32))
            assert bool((brightest <= colour + 1).all())
            assert bool((brightest >= 0.6 * colour - 2).all())
        assert torch.equal(pair.instance_ids >= 1000, pair.label_ids > 23)
        mirrored.add(not torch.equal(pair.image, maybe.image))
        if not torch.equal(pair.image, maybe.image):
            assert all(torch.equal(one.flip(-1), other) for one, other in zip(pair, maybe, strict=True))
        else:
            assert all(torch.equal(one, other) for one, other in zip(pair, maybe, strict=True))
    assert mirrored == {True, False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator": {"halvings": 6}}, "crop_size must be multiples of 64"),
        ({"discriminator": {"layers": 5}}, "at least 64 pixels on each side"),
        ({"coarse_to_fine": {"coarse": 0.5}}, "coarse_to_fine is for the network local, not for global"),
        ({"coarse_to_fine": {"coarse": 0.5, "enhancer": 0.5}}, "below 1 together"),
        ({"coarse_to_fine": {"enhancer": 0.1}}, "enhancer must be 0 where coarse is 0"),
        ({"optimizer": {"discriminator_steps": 5}}, "at most schedule.steps_per_epoch"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tiny: SynthesisSettings, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _changed(tiny, **change)


def test_photos_without_label_map_are_refused(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    table = pairs[1] / "frames.csv"
    table.write_text(table.read_text().replace("frame_2,train,32,64\n", ""))
    with pytest.raises(FrameError, match=r"annotations: expected a label map of 32x64 .* for frame frame_2 of .*, found none"):
        _train(pairs, tiny, cpu, tmp_path / "out")


# --- Painted frame sets ------------------------------------------------------------------------------------------------


def test_a_painted_set_has_the_same_maps_and_randomness_by_frame(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    settings = _changed(tiny, generator={"dropout": 0.5}, features={"channels": 2}, schedule={"epochs": 1})
    _train(pairs, settings, cpu, tmp_path / "out")
    model = tmp_path / "out/model.ckpt"
    synthesize_frames(pairs[1], model, tmp_path / "painted", PLAIN, cpu)
    painted, annotations = read_frames(tmp_path / "painted"), read_frames(pairs[1])
    assert painted.frames == annotations.frames
    for frame in painted.frames:
        np.testing.assert_array_equal(painted.label(frame), annotations.label(frame))
        np.testing.assert_array_equal(painted.instances(frame), annotations.instances(frame))
    first = [painted.image(frame) for frame in painted.frames]

    rows = (pairs[1] / "frames.csv").read_text().splitlines(keepends=True)
    (pairs[1] / "frames.csv").write_text("".join([rows[0], rows[3]]))
    synthesize_frames(pairs[1], model, tmp_path / "fewer", PLAIN, cpu)
    fewer = read_frames(tmp_path / "fewer")
    np.testing.assert_array_equal(fewer.image(fewer.frames[0]), first[2])  # whichever frames are beside it
    synthesize_frames(pairs[1], model, tmp_path / "fewer", replace(PLAIN, seed=2), cpu)
    assert (fewer.image(fewer.frames[0]) != first[2]).any()


def test_maps_without_instances_get_guessed_ones(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    _train(pairs, _changed(tiny, schedule={"epochs": 1}), cpu, tmp_path / "out")
    shutil.rmtree(pairs[1] / "instances")
    synthesize_frames(pairs[1], tmp_path / "out/model.ckpt", tmp_path / "painted", replace(PLAIN, size=(64, 128)), cpu)
    painted = read_frames(tmp_path / "painted")
    instance_ids = painted.instances(painted.frames[0])
    assert set(np.unique(instance_ids[instance_ids >= 1000]) // 1000) == {24, 26} & set(
        np.unique(painted.label(painted.frames[0]))
    )


def test_a_hood_is_painted_and_written_with_the_maps(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    _train(pairs, _changed(tiny, schedule={"epochs": 1}), cpu, tmp_path / "out")
    model, hooded = tmp_path / "out/model.ckpt", tmp_path / "hooded"
    frame = Frame("any", "train", 16, 32)
    bonnet = np.zeros((16, 32), np.uint8)
    bonnet[12:] = 1
    write_label(hooded / "labels/any.png", bonnet)
    write_frames(hooded, [frame])
    synthesize_frames(pairs[1], model, tmp_path / "painted", replace(PLAIN, hood="bonnet"), cpu, hood=hooded)
    painted, annotations = read_frames(tmp_path / "painted"), read_frames(pairs[1])
    for one in painted.frames:
        assert (painted.label(one)[24:] == 1).all()
        assert (painted.instances(one)[24:] == 1).all()
        np.testing.assert_array_equal(painted.label(one)[:24], annotations.label(one)[:24])
    with pytest.raises(FrameError, match="hooded: most frames have no frame"):
        synthesize_frames(pairs[1], model, tmp_path / "painted", replace(PLAIN, hood="frame"), cpu, hood=hooded)
    with pytest.raises(FrameError, match=r"synthesize\.hood is None, but --hood is"):
        synthesize_frames(pairs[1], model, tmp_path / "painted", PLAIN, cpu, hood=hooded)


def test_diversity_is_that_of_dropout(tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path) -> None:
    _train(pairs, _changed(tiny, generator={"dropout": 0.5}, schedule={"epochs": 1}), cpu, tmp_path / "out")
    scores = [
        score_diversity(pairs[1], tmp_path / "out/model.ckpt", DiversitySettings(frames=3, samples=2, dropout=rate), cpu)
        for rate in (None, 0.0)
    ]
    assert scores[0]["diversity_lite0_low"] > 0
    assert scores[0]["diversity_lite0_low"] <= scores[0]["diversity_lite0"] <= scores[0]["diversity_lite0_high"]
    assert scores[1]["diversity_lite0"] == 0


def test_half_precision_paints_nearly_the_same(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    _train(pairs, _changed(tiny, schedule={"epochs": 1}), cpu, tmp_path / "out")
    synthesizer = load_synthesizer(tmp_path / "out/model.ckpt", CPU)
    annotations = read_frames(pairs[1])
    maps = annotations.label(annotations.frames[0]), annotations.instances(annotations.frames[0])
    whole, half = (
        paint(synthesizer, *maps, seed=0, hardware=replace(cpu, precision=kind)).astype(int) for kind in ("32-true", "bf16-mixed")
    )
    assert 0 < np.abs(whole - half).max() < 16


def test_maps_smaller_than_the_network_takes_are_refused(
    tiny: SynthesisSettings, pairs: Pairs, cpu: HardwareSettings, tmp_path: Path
) -> None:
    _train(pairs, _changed(tiny, generator={"halvings": 3}, schedule={"epochs": 1}), cpu, tmp_path / "out")
    with pytest.raises(FrameError, match=r"frame_0\.png: is painted at 8x8 .* at least 16 pixels"):
        synthesize_frames(pairs[1], tmp_path / "out/model.ckpt", tmp_path / "painted", replace(PLAIN, size=(8, 8)), cpu)
    assert not (tmp_path / "painted").exists()


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such model"):
        load_synthesizer(tmp_path / "none.ckpt", CPU)
    save_model(tmp_path / "other.ckpt", "segmenter", {}, {"a": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="expected a synthesizer, found a segmenter"):
        load_synthesizer(tmp_path / "other.ckpt", CPU)
    torch.save({"a": torch.zeros(1)}, tmp_path / "plain.pth")
    with pytest.raises(ModelFileError, match=r"plain\.pth: neither a synthesizer .* nor a generator of pix2pixHD"):
        load_synthesizer(tmp_path / "plain.pth", CPU)
