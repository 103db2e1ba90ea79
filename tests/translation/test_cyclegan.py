"""A step against a plain implementation, learning, determinism, and going on after a kill."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synth2real.frames import Frame, FrameError, read_frames, read_image, write_frames, write_image
from synth2real.hardware import HardwareSettings
from synth2real.training import ModelFileError, Schedule, save_model
from synth2real.translation import translate
from synth2real.translation.cyclegan import (
    CycleGAN,
    OptimizerSettings,
    TranslationSettings,
    load_generators,
    train_translator,
)
from synth2real.translation.data import Crops, CropSettings
from synth2real.translation.discriminators import DiscriminatorSettings
from synth2real.translation.generators import GeneratorSettings
from synth2real.translation.losses import LossSettings
from synth2real.translation.samples import write_samples
from synth2real.translation.translate import translate_frames, translate_images

CPU = HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0)
TINY = TranslationSettings(
    generator=GeneratorSettings(width=4, blocks=1, upsampling="resize", residual=False),
    discriminator=DiscriminatorSettings(width=4, layers=2),
    crop=CropSettings(load_size=None, crop_size=(32, 32), flip=True),
    loss=LossSettings(cycle=10.0, identity=5.0),
    pool_size=3,
    optimizer=OptimizerSettings(learning_rate=2e-3, beta1=0.5, constant_share=0.5),
    schedule=Schedule(seed=1, epochs=3, steps_per_epoch=4, batch_size=1),
)


def make_frames(root: Path, colour: tuple[int, int, int], count: int = 4, size: tuple[int, int] = (36, 44)) -> Path:
    """Noisy grey below, noisy ``colour`` above: a discriminator with instance norm sees contrasts, not a whole image's mean."""
    rows = [Frame(f"{root.name}_{index}", "train", *size) for index in range(count)]
    for index, row in enumerate(rows):
        pixels = np.random.default_rng((index, sum(colour))).normal(90, 15, (*size, 3))
        pixels[: size[0] // 2] += np.array(colour) - 90
        write_image(root / "images" / f"{row.frame_id}.png", pixels.clip(0, 255).astype(np.uint8))
    write_frames(root, rows)
    return root


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return make_frames(tmp_path / "source", (90, 140, 220)), make_frames(tmp_path / "target", (220, 210, 200))


def _train(sets: tuple[Path, Path], settings: TranslationSettings, name: str = "model") -> Path:
    model = Path(f"{name}.ckpt")
    train_translator(*sets, settings, CPU, model=model, curves=Path(f"{name}.csv"))
    return model


def test_losses_and_gradients_are_those_of_the_textbook() -> None:
    """One pass an image and term, with PyTorch's own instance norm, written down from the paper's equations."""
    torch.manual_seed(0)
    module = CycleGAN(TINY).double()
    source, target = (torch.rand(2, 3, 32, 32, dtype=torch.float64) * 2 - 1 for _ in range(2))
    batch = Crops(source, target)
    cycle = module.cycle(batch, identity=True)
    losses = module.generator_losses(batch, cycle)
    torch.autograd.backward(module.objective(losses))
    gradients = [p.grad.clone() for network in module.generators for p in network.parameters() if p.grad is not None]

    module.zero_grad()
    to_target, to_source = module.to_target, module.to_source
    translated_source = torch.cat([to_target(image[None]) for image in source])
    translated_target = torch.cat([to_source(image[None]) for image in target])
    adversarial = F.mse_loss(module.of_target(translated_source), torch.ones(2, 1, 6, 6, dtype=torch.float64))
    adversarial = adversarial + F.mse_loss(module.of_source(translated_target), torch.ones(2, 1, 6, 6, dtype=torch.float64))
    cyclic = (to_source(translated_source) - source).abs().mean() + (to_target(translated_target) - target).abs().mean()
    identity = (to_target(target) - target).abs().mean() + (to_source(source) - source).abs().mean()
    plain = adversarial + 10 * cyclic + 5 * identity
    torch.autograd.backward(plain)
    torch.testing.assert_close(module.objective(losses), plain)
    reference = [p.grad for network in module.generators for p in network.parameters() if p.grad is not None]
    assert len(gradients) == len(reference)
    for gradient, expected in zip(gradients, reference, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)

    against = module.discriminator_losses(batch, cycle)
    real, fake = module.of_source(source), module.of_source(translated_target.detach())
    torch.testing.assert_close(against["discriminator_source"], ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2)


def test_without_identity_the_terms_are_absent() -> None:
    module = CycleGAN(TINY)
    batch = Crops(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))
    cycle = module.cycle(batch, identity=False)
    assert cycle.identity_source is None
    assert not any(name.startswith("identity") for name in module.generator_losses(batch, cycle))


def test_colours_move_to_the_targets(sets: tuple[Path, Path]) -> None:
    schedule = Schedule(seed=0, epochs=2, steps_per_epoch=40, batch_size=1)
    model = _train(sets, replace(TINY, schedule=schedule, loss=LossSettings(cycle=10.0, identity=0.0)))
    generators = load_generators(model, torch.device("cpu"))
    source, target = (np.stack([read_image(path) for path in sorted((root / "images").iterdir())]) for root in sets)
    translated = translate_images(generators.to_target, source, torch.device("cpu"))
    upper, wanted, reached = (images[:, :18].mean((0, 1, 2)) for images in (source, target, translated))
    assert np.abs(reached - wanted).sum() < np.abs(upper - wanted).sum() / 2
    rows = Path("model.csv").read_text().splitlines()
    assert len(rows) == 3
    assert rows[0].split(",")[0] == "step"
    write_samples(Path("samples.jpg"), *sets, generators, torch.device("cpu"), count=2)
    assert Path("samples.jpg").stat().st_size > 1000


def test_same_seed_same_bits_other_seed_other_bits(sets: tuple[Path, Path]) -> None:
    first, again = _train(sets, TINY, "first"), _train(sets, TINY, "again")
    other = _train(sets, replace(TINY, schedule=replace(TINY.schedule, seed=2)), "other")
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    assert Path("first.csv").read_bytes() == Path("again.csv").read_bytes()


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import pytorch_lightning, torch
torch.set_num_threads(1)
from synth2real.translation import cyclegan
from test_cyclegan import CPU, TINY
step, taken = cyclegan.CycleGAN.training_step, []
def killed(self, batch, batch_idx):
    taken.append(batch_idx)
    if len(taken) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, batch, batch_idx)
if {kill}:
    cyclegan.CycleGAN.training_step = killed
for name in {names}:
    cyclegan.train_translator(Path("source"), Path("target"), TINY, CPU, model=Path(name + ".ckpt"), curves=Path(name + ".csv"))
"""


def test_killed_and_run_again_gives_the_bits_of_a_whole_run(sets: tuple[Path, Path]) -> None:
    def run(*names: str, kill: bool) -> int:
        code = _KILLED.format(tests=str(Path(__file__).parent), kill=kill, names=names)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True).returncode

    assert run("resumed", kill=True) == -signal.SIGKILL
    assert not Path("resumed.ckpt").exists()
    (state,) = Path(".dvc/tmp/resume").glob("translator-*/last.ckpt")
    assert len(torch.load(state, weights_only=True)["image_pools"][0]) == TINY.pool_size
    assert run("resumed", "whole", kill=False) == 0
    assert not list(Path(".dvc/tmp/resume").iterdir())
    assert Path("resumed.ckpt").read_bytes() == Path("whole.ckpt").read_bytes()
    assert Path("resumed.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_one_image_and_empty_sets_are_refused(sets: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"one: expected at least 2 training images"):
        _train((make_frames(tmp_path / "one", (1, 2, 3), count=1), sets[1]), TINY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match=r"empty: no frames.csv"):
        _train((sets[0], tmp_path / "empty"), TINY)


def test_crops_too_small_for_the_discriminator() -> None:
    with pytest.raises(ValueError, match=r"crop.crop_size must be at least 64 on each side for a discriminator of 4 layers"):
        replace(TINY, discriminator=DiscriminatorSettings(width=4, layers=4))


def _save_untrained(path: Path) -> None:
    torch.manual_seed(0)
    module = CycleGAN(TINY)
    state = {name: value for name, value in module.state_dict().items() if name.startswith("to_")}
    save_model(path, "translator", {"generator": {"width": 4, "blocks": 1, "upsampling": "resize", "residual": False}}, state)


def test_frames_of_any_size_are_translated_at_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = [(33, 47), (33, 47), (40, 40), (21, 60)]
    rows = [Frame(f"f{index}", "train", *size) for index, size in enumerate(sizes)]
    for row in rows:
        image = np.random.default_rng(0).integers(0, 256, (row.height, row.width, 3), np.uint8)
        write_image(Path("source/images") / f"{row.frame_id}.png", image)
    write_frames(Path("source"), [*rows, Frame("held_out", "val", 8, 8)])
    _save_untrained(Path("model.ckpt"))
    translate_frames(Path("source"), Path("model.ckpt"), Path("out"), CPU)
    translated = read_frames(Path("out"))
    assert [frame.frame_id for frame in translated.frames] == ["f0", "f1", "f2", "f3"]
    assert [translated.image(frame).shape[:2] for frame in translated.frames] == sizes
    assert not list(Path(".dvc/tmp/resume").iterdir())


def test_interrupted_translation_goes_on(sets: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _save_untrained(Path("model.ckpt"))
    translate_frames(sets[0], Path("model.ckpt"), Path("whole"), CPU)
    monkeypatch.setattr(translate, "_PIXELS_AT_ONCE", 36 * 44)
    original, calls = translate.translate_images, []

    def interrupted(*arguments: object) -> np.ndarray:
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(translate, "translate_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate_frames(sets[0], Path("model.ckpt"), Path("resumed"), CPU)
    assert not Path("resumed").exists()
    translate_frames(sets[0], Path("model.ckpt"), Path("resumed"), CPU)
    assert len(calls) == 3 + 2  # two of four frames were left
    whole, resumed = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*.*")} for root in (Path("whole"), Path("resumed"))
    )
    assert whole.keys() == resumed.keys()
    assert len(whole) == 5


def test_a_model_whose_weights_do_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    _save_untrained(path)
    content = torch.load(path, weights_only=True)
    content["settings"]["generator"]["width"] = 8
    torch.save(content, path)
    with pytest.raises(ModelFileError, match=r"model.ckpt: its weights do not fit its settings"):
        load_generators(path, torch.device("cpu"))
