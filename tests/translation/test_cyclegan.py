"""A step against a plain implementation, learning, determinism, and going on after a kill."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from synth2real.adversarial import SampleSettings
from synth2real.frames import Frame, FrameError, read_frames, read_image, resize_image, write_frames, write_image
from synth2real.hardware import HardwareSettings
from synth2real.models import ModelFileError
from synth2real.training import Schedule, TrainingError
from synth2real.translation import translate
from synth2real.translation.cyclegan import (
    CycleGAN,
    OptimizerSettings,
    SourceSegmenter,
    TranslationSettings,
    train_translator,
)
from synth2real.translation.data import Crops, CropSettings
from synth2real.translation.discriminators import DiscriminatorSettings
from synth2real.translation.generators import Generator, GeneratorSettings, InstanceNorm, load_generators, save_generators
from synth2real.translation.losses import AdversarialObjective, LossSettings
from synth2real.translation.translate import (
    TilesTooSmallError,
    TranslateSettings,
    tile_spans,
    translate_frames,
    translate_images,
    translate_tiles,
)

CPU = HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0, tracking=False)
GENERATOR = GeneratorSettings(network="resnet", width=4, blocks=1, depth=3, upsampling="resize", residual=False)
OPTIMIZER = OptimizerSettings(
    learning_rate=2e-3, beta1=0.5, constant_share=0.5, discriminator_steps=1, gradient_norm=None, average=0.0
)
LOSS = LossSettings(adversarial="lsgan", cycle=10.0, identity=5.0, semantic=0.0, gradient_penalty=10.0)
TINY = TranslationSettings(
    generator=GENERATOR,
    discriminator=DiscriminatorSettings(width=4, layers=2, scales=1, activation="leaky_relu", norm="instance"),
    crop=CropSettings(load_size=None, crop_size=(32, 32), flip=True, matching="none"),
    loss=LOSS,
    pool_size=3,
    optimizer=OPTIMIZER,
    seed=1,
    schedule=Schedule(epochs=3, steps_per_epoch=4, batch_size=1),
    samples=SampleSettings(every=5, frames=1),
)
WHOLE = TranslateSettings(size=None, tile=(1024, 2048), overlap=128)


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
    train_translator(*sets, settings, CPU, model=model, curves=Path(f"{name}.csv"), samples=Path(name))
    return model


@pytest.mark.parametrize("objective", ["lsgan", "vanilla", "hinge", "wgan_gp"])
@pytest.mark.parametrize("scales", [1, 2])
def test_losses_and_gradients_are_those_of_the_textbook(objective: AdversarialObjective, scales: int) -> None:
    """One pass an image and term, written down from the equations that the docstrings of the losses cite."""
    torch.manual_seed(0)
    settings = replace(
        TINY, loss=replace(LOSS, adversarial=objective), discriminator=replace(TINY.discriminator, scales=scales), pool_size=0
    )
    module = CycleGAN(settings).double()
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

    def deceive(logits: tuple[Tensor, ...]) -> Tensor:
        loss = torch.zeros((), dtype=torch.float64)
        for one in logits:
            if objective == "lsgan":
                loss = loss + F.mse_loss(one, torch.ones_like(one))
            elif objective == "vanilla":
                loss = loss + F.binary_cross_entropy(one.sigmoid(), torch.ones_like(one))
            else:
                loss = loss - one.mean()
        return loss

    def tell_apart(real: tuple[Tensor, ...], fake: tuple[Tensor, ...]) -> Tensor:
        loss = torch.zeros((), dtype=torch.float64)
        for yes, no in zip(real, fake, strict=True):
            if objective == "lsgan":
                loss = loss + ((yes - 1) ** 2).mean() / 2 + (no**2).mean() / 2
            elif objective == "vanilla":
                loss = loss - yes.sigmoid().log().mean() / 2 - (1 - no.sigmoid()).log().mean() / 2
            elif objective == "hinge":
                loss = loss + (1 - yes).clamp(min=0).mean() + (1 + no).clamp(min=0).mean()
            else:
                loss = loss + no.mean() - yes.mean()
        return loss

    adversarial = deceive(module.of_target(translated_source)) + deceive(module.of_source(translated_target))
    cyclic = (to_source(translated_source) - source).abs().mean() + (to_target(translated_target) - target).abs().mean()
    identity = (to_target(target) - target).abs().mean() + (to_source(source) - source).abs().mean()
    plain = adversarial + 10 * cyclic + 5 * identity
    torch.autograd.backward(plain)
    torch.testing.assert_close(module.objective(losses), plain)
    reference = [p.grad for network in module.generators for p in network.parameters() if p.grad is not None]
    assert len(gradients) == len(reference)
    for gradient, expected in zip(gradients, reference, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)

    module.zero_grad()
    against, balance = module.discriminator_losses(batch, Crops(translated_target, translated_source))
    names = [name for name in against if name.startswith("discriminator")]
    assert len(against) == (4 if objective == "wgan_gp" else 2)
    torch.autograd.backward(sum((against[name] for name in names), torch.zeros((), dtype=torch.float64)))
    gradients = [p.grad.clone() for network in module.discriminators for p in network.parameters() if p.grad is not None]
    module.zero_grad()
    of_source = tell_apart(module.of_source(source), module.of_source(translated_target.detach()))
    of_target = tell_apart(module.of_target(target), module.of_target(translated_source.detach()))
    torch.testing.assert_close(against["discriminator_source"], of_source)
    torch.testing.assert_close(against["discriminator_target"], of_target)
    torch.autograd.backward(of_source + of_target)
    reference = [p.grad for network in module.discriminators for p in network.parameters() if p.grad is not None]
    for gradient, expected in zip(gradients, reference, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)
    real_logits = module.of_source(source)
    expected = sum((one.mean() for one in real_logits), torch.zeros((), dtype=torch.float64)) / scales
    torch.testing.assert_close(balance["real_logit_source"], expected)


def test_without_identity_the_terms_are_absent() -> None:
    module = CycleGAN(TINY)
    batch = Crops(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))
    cycle = module.cycle(batch, identity=False)
    assert cycle.identity_source is None
    assert not any(name.startswith("identity") for name in module.generator_losses(batch, cycle))


def test_semantic_consistency_reaches_the_generators(tmp_path: Path) -> None:
    """Hoffman et al. 2018, equation 5, with a segmenter that knows bright from dark."""

    def logits(images: Tensor) -> Tensor:
        return torch.stack((images.mean(1), -images.mean(1)), 1)

    settings = replace(TINY, loss=replace(LOSS, semantic=2.0))
    with pytest.raises(TrainingError, match=r"semantic is 2\.0, but no segmenter is given"):
        CycleGAN(settings)
    torch.manual_seed(0)
    module = CycleGAN(settings, segmenter=SourceSegmenter(logits, tmp_path))
    batch = Crops(*torch.rand(2, 1, 3, 32, 32) * 2 - 1)
    cycle = module.cycle(batch, identity=False)
    losses = module.generator_losses(batch, cycle)
    for name, real, translated in (
        ("semantic_source", batch.source, cycle.translated_source),
        ("semantic_target", batch.target, cycle.translated_target),
    ):
        bright = real[0].mean(0) > -real[0].mean(0)
        shares = logits(translated)[0].softmax(0)
        expected = -torch.where(bright, shares[0], shares[1]).log().mean()
        torch.testing.assert_close(losses[name], expected)
    weights = {"generator": 1, "cycle": 10, "semantic": 2}
    total = sum((weights[name.split("_")[0]] * loss for name, loss in losses.items()), torch.zeros(()))
    torch.testing.assert_close(module.objective(losses), total)
    gradient = torch.autograd.grad(losses["semantic_source"], list(module.to_target.parameters()))[0]
    assert gradient.abs().max() > 0


def test_colours_move_to_the_targets(sets: tuple[Path, Path]) -> None:
    schedule = Schedule(epochs=2, steps_per_epoch=40, batch_size=1)
    settings = replace(TINY, schedule=schedule, loss=replace(LOSS, identity=0.0), samples=SampleSettings(every=50, frames=2))
    generators = load_generators(_train(sets, settings), torch.device("cpu"))
    source, target = (np.stack([read_image(path) for path in sorted((root / "images").iterdir())]) for root in sets)
    translated = translate_images(generators.to_target, source, torch.device("cpu"))
    upper, wanted, reached = (images[:, :18].mean((0, 1, 2)) for images in (source, target, translated))
    assert np.abs(reached - wanted).sum() < np.abs(upper - wanted).sum() / 2
    rows = Path("model.csv").read_text().splitlines()
    assert len(rows) == 3
    assert rows[0].split(",")[0] == "step"
    assert {"real_logit_source", "translated_logit_source", "real_logit_target", "translated_logit_target"} < set(
        rows[0].split(",")
    )
    assert [path.name for path in sorted(Path("model").iterdir())] == ["step_000050.jpg", "step_000080.jpg"]
    assert read_image(Path("model/step_000080.jpg")).shape[1] == 4 * 256 + 3 * 4


@pytest.mark.parametrize(
    "settings",
    [
        replace(TINY, loss=replace(LOSS, adversarial="wgan_gp"), optimizer=replace(OPTIMIZER, discriminator_steps=3)),
        replace(TINY, loss=replace(LOSS, adversarial="hinge"), optimizer=replace(OPTIMIZER, gradient_norm=0.1)),
        replace(TINY, generator=replace(GENERATOR, network="unet"), crop=replace(TINY.crop, load_size=(34, 38), crop_size=None)),
        replace(TINY, discriminator=replace(TINY.discriminator, norm="spectral")),
        replace(
            TINY, discriminator=replace(TINY.discriminator, scales=2, layers=1), schedule=replace(TINY.schedule, batch_size=2)
        ),
    ],
    ids=["wgan_gp", "clipped hinge", "whole images through a U-Net", "spectral norm", "two scales"],
)
def test_other_forms_train(sets: tuple[Path, Path], settings: TranslationSettings) -> None:
    generators = load_generators(_train(sets, settings), torch.device("cpu"))
    assert generators.to_target.settings == settings.generator
    torch.manual_seed(settings.seed)
    start = CycleGAN(settings).to_target.state_dict()
    assert any(not torch.equal(start[name], tensor) for name, tensor in generators.to_target.state_dict().items())
    assert np.isfinite(np.loadtxt("model.csv", delimiter=",", skiprows=1)).all()


def test_generators_wait_for_the_discriminators_steps(sets: tuple[Path, Path]) -> None:
    """With three steps of the discriminators for one of the generators, steps 0, 3, 6 and 9 of twelve move the generators."""
    moved: list[bool] = []
    step = CycleGAN.training_step

    def watched(module: CycleGAN, batch: Crops, batch_idx: int) -> None:
        before = next(module.to_target.parameters()).detach().clone(), next(module.of_target.parameters()).detach().clone()
        step(module, batch, batch_idx)
        moved.append(not torch.equal(before[0], next(module.to_target.parameters())))
        assert not torch.equal(before[1], next(module.of_target.parameters()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CycleGAN, "training_step", watched)
        _train(sets, replace(TINY, optimizer=replace(OPTIMIZER, discriminator_steps=3)))
    assert [index for index, it_did in enumerate(moved) if it_did] == [0, 3, 6, 9]


def test_the_moving_average_is_what_is_saved(sets: tuple[Path, Path]) -> None:
    settings = replace(TINY, optimizer=replace(OPTIMIZER, average=0.5))
    weights: list[Tensor] = []
    step = CycleGAN.training_step

    def watched(module: CycleGAN, batch: Crops, batch_idx: int) -> None:
        if not weights:
            weights.append(next(module.to_target.parameters()).detach().clone())
        step(module, batch, batch_idx)
        weights.append(next(module.to_target.parameters()).detach().clone())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CycleGAN, "training_step", watched)
        model = _train(sets, settings)
    averaged = weights[0]
    for index, current in enumerate(weights[1:]):
        decay = min(0.5, (1 + index) / (10 + index))
        averaged = decay * averaged + (1 - decay) * current
    saved = next(load_generators(model, torch.device("cpu")).to_target.parameters())
    torch.testing.assert_close(saved, averaged)
    assert not torch.equal(saved, weights[-1])


def test_clipping_bounds_the_gradients(sets: tuple[Path, Path]) -> None:
    norms: list[float] = []
    step = torch.optim.Adam.step

    def watched(optimizer: torch.optim.Adam, closure: Any = None) -> Any:
        result = step(optimizer, closure)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", watched)
        _train(sets, replace(TINY, optimizer=replace(OPTIMIZER, gradient_norm=0.05)))
    assert len(norms) == 2 * 12
    assert max(norms) == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(TrainingError, match=r"gradient_norm cannot be used with hardware\.precision 16-mixed"):
        train_translator(
            *sets, replace(TINY, optimizer=replace(OPTIMIZER, gradient_norm=1.0)), replace(CPU, precision="16-mixed"),
            model=Path("x"), curves=Path("x"), samples=Path("x"),
        )  # fmt: skip


def test_a_loss_that_is_no_number_stops_with_step_files_and_state(sets: tuple[Path, Path]) -> None:
    losses = CycleGAN.generator_losses
    calls: list[int] = []

    def broken(module: CycleGAN, batch: Crops, cycle: Any) -> dict[str, Tensor]:
        calls.append(0)
        found = losses(module, batch, cycle)
        return {**found, "cycle_source": found["cycle_source"] * float("nan")} if len(calls) == 7 else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CycleGAN, "generator_losses", broken)
        message = (
            r"cycle_source is nan at step 6, .*source_\d.png, .*target_\d.png.*last good state is .*last.ckpt.*learning_rate"
        )
        with pytest.raises(TrainingError, match=message) as caught:
            _train(sets, TINY)
    assert not Path("model.ckpt").exists()
    last = Path(str(caught.value).split("last good state is ")[1].split(". Look")[0])
    weights = torch.load(last, weights_only=True)["state_dict"].values()
    assert all(torch.isfinite(weight).all() for weight in weights)


def test_same_seed_same_bits_other_seed_other_bits(sets: tuple[Path, Path]) -> None:
    first, again = _train(sets, TINY, "first"), _train(sets, TINY, "again")
    other = _train(sets, replace(TINY, seed=2), "other")
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
    cyclegan.train_translator(Path("source"), Path("target"), TINY, CPU, model=Path(name + ".ckpt"), curves=Path(name + ".csv"),
                              samples=Path(name))
"""


def test_killed_and_run_again_gives_the_bits_of_a_whole_run(sets: tuple[Path, Path]) -> None:
    def run(*names: str, kill: bool) -> int:
        code = _KILLED.format(tests=str(Path(__file__).parent), kill=kill, names=names)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True).returncode

    assert run("resumed", kill=True) == -signal.SIGKILL
    assert not Path("resumed.ckpt").exists()
    shutil.rmtree("resumed")  # as DVC does with outputs before it runs a stage again
    (state,) = Path(".dvc/tmp/resume").glob("translator-*/last.ckpt")
    assert len(torch.load(state, weights_only=True)["image_pools"][0]) == TINY.pool_size
    assert run("resumed", "whole", kill=False) == 0
    assert not list(Path(".dvc/tmp/resume").iterdir())
    assert Path("resumed.ckpt").read_bytes() == Path("whole.ckpt").read_bytes()
    assert Path("resumed.csv").read_bytes() == Path("whole.csv").read_bytes()
    sheets = [sorted((path.name, path.read_bytes()) for path in Path(name).iterdir()) for name in ("resumed", "whole")]
    assert sheets[0] == sheets[1]
    assert [name for name, _ in sheets[0]] == ["step_000005.jpg", "step_000010.jpg", "step_000012.jpg"]


def test_one_image_and_empty_sets_are_refused(sets: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"one: expected at least 2 training images"):
        _train((make_frames(tmp_path / "one", (1, 2, 3), count=1), sets[1]), TINY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match=r"empty: no frames.csv"):
        _train((sets[0], tmp_path / "empty"), TINY)


def test_crops_too_small_for_the_networks() -> None:
    with pytest.raises(ValueError, match=r"at least 64 pixels on each side for this discriminator, got 32x32"):
        replace(TINY, discriminator=replace(TINY.discriminator, layers=4))
    with pytest.raises(ValueError, match=r"at least 33 pixels on each side for this generator, got 32x32"):
        replace(TINY, generator=replace(GENERATOR, network="unet", depth=6))
    with pytest.raises(ValueError, match=r"discriminator_steps must be at most schedule.steps_per_epoch \(4\), got 5"):
        replace(TINY, optimizer=replace(OPTIMIZER, discriminator_steps=5))


@pytest.mark.parametrize("change", [{"discriminator_steps": 0}, {"gradient_norm": 0.0}, {"average": 1.0}])
def test_settings_of_the_optimizer_out_of_range(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(OPTIMIZER, **change)


def _save_untrained(path: Path) -> None:
    torch.manual_seed(0)
    save_generators(path, CycleGAN(TINY).generators)


def test_frames_of_any_size_are_translated_at_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = [(33, 47), (33, 47), (40, 40), (21, 60)]
    rows = [Frame(f"f{index}", "train", *size) for index, size in enumerate(sizes)]
    for row in rows:
        image = np.random.default_rng(0).integers(0, 256, (row.height, row.width, 3), np.uint8)
        write_image(Path("source/images") / f"{row.frame_id}.png", image)
    write_frames(Path("source"), [*rows, Frame("held_out", "val", 8, 8)])
    _save_untrained(Path("model.ckpt"))
    translate_frames(Path("source"), Path("model.ckpt"), Path("out"), WHOLE, CPU)
    translated = read_frames(Path("out"))
    assert [frame.frame_id for frame in translated.frames] == ["f0", "f1", "f2", "f3"]
    assert [translated.image(frame).shape[:2] for frame in translated.frames] == sizes
    assert not list(Path(".dvc/tmp/resume").iterdir())


def test_interrupted_translation_goes_on(sets: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _save_untrained(Path("model.ckpt"))
    translate_frames(sets[0], Path("model.ckpt"), Path("whole"), WHOLE, CPU)
    monkeypatch.setattr(translate, "_PIXELS_AT_ONCE", 36 * 44)
    original, calls = translate.translate_images, []

    def interrupted(*arguments: object) -> np.ndarray:
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(translate, "translate_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate_frames(sets[0], Path("model.ckpt"), Path("resumed"), WHOLE, CPU)
    assert not Path("resumed").exists()
    translate_frames(sets[0], Path("model.ckpt"), Path("resumed"), WHOLE, CPU)
    assert len(calls) == 3 + 2  # two of four frames were left
    whole, resumed = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*.*")} for root in (Path("whole"), Path("resumed"))
    )
    assert whole.keys() == resumed.keys()
    assert len(whole) == 5


@settings(max_examples=200, deadline=None)
@given(st.integers(8, 3000), st.integers(16, 800), st.integers(0, 300), st.sampled_from([4, 8, 64]))
def test_tiles_cover_a_side(length: int, tile: int, overlap: int, stride: int) -> None:
    assume(overlap <= tile // 2 and tile - overlap >= stride)
    spans = tile_spans(length, tile, overlap, stride)
    assert (spans[0][0], spans[-1][1]) == (0, length)
    assert all(start % stride == 0 and stop - start <= tile for start, stop in spans)
    assert all(earlier[1] - later[0] >= overlap for earlier, later in itertools.pairwise(spans))
    assert all(earlier[0] < later[0] and earlier[1] < later[1] for earlier, later in itertools.pairwise(spans))
    fewest = -(-(length - overlap) // (tile - overlap)) if length > tile else 1
    assert len(spans) <= max(2 * fewest, -(-(length - overlap) // ((tile - overlap) // stride * stride)))


def test_tiles_agree_with_the_whole_image() -> None:
    """Without instance norm exactly, but near the edges of tiles; with it, statistics of a tile stand for those of the image."""
    torch.manual_seed(0)
    generator = CycleGAN(TINY).to_target
    images = torch.rand(1, 3, 150, 230) * 2 - 1
    reach = 18 + 8  # pixels that the convolutions see to each side
    far = [
        np.array([all(not start <= at < stop or ((start == 0 or at - start >= reach) and (stop == n or stop - at > reach))
                      for start, stop in tile_spans(n, 128, 64, 4)) for at in range(n)])
        for n in (150, 230)
    ]  # fmt: skip
    assert all(one.sum() >= 10 for one in far)
    inside = torch.from_numpy(far[0][:, None] & far[1])
    with torch.no_grad():
        difference = (translate_tiles(generator, images, (128, 128), 64) - generator(images)).abs()
        assert 0 < difference.max() < 0.2
        for module in list(generator.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, InstanceNorm):
                    setattr(module, name, torch.nn.Identity())
        for module in generator.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.normal_(module.weight, 0, 0.15)
        whole = generator(images)
        difference = (translate_tiles(generator, images, (128, 128), 64) - whole).abs()[0].amax(0)
    assert whole.std() > 0.05
    assert difference[inside].max() < 1e-5
    assert difference[~inside].max() > 1e-3
    assert difference.mean() < 0.02


def test_tiles_are_blended_linearly() -> None:
    """A generator that paints each of its calls in one grey: from the one to the other in equal steps over the overlap."""

    class Painter(Generator):
        calls = 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            return torch.full_like(images, float(self.calls))

    painter = Painter(GENERATOR)
    assert tile_spans(100, 64, 28, 4) == [(0, 64), (36, 100)]
    blended = translate_tiles(painter, torch.zeros(1, 3, 20, 100), (64, 64), 28)
    row = blended[0, 0, 0]
    torch.testing.assert_close(row[:36], torch.ones(36))
    torch.testing.assert_close(row[64:], torch.full((36,), 2.0))
    torch.testing.assert_close(row[36:64], 1 + (torch.arange(28) + 0.5) / 28)


def test_tiles_too_small_for_the_generator() -> None:
    with pytest.raises(
        TilesTooSmallError, match=r"tile must be at least 260 pixels high and wide .*, got 128; raise it, or lower"
    ):
        tile_spans(1000, 128, 4, 256)
    with pytest.raises(ValueError, match="overlap must be in"):
        TranslateSettings(size=None, tile=(64, 128), overlap=33)


def test_translation_at_another_size(sets: tuple[Path, Path]) -> None:
    _save_untrained(Path("model.ckpt"))
    translate_frames(sets[0], Path("model.ckpt"), Path("out"), replace(WHOLE, size=(24, 20)), CPU)
    frames, out = read_frames(sets[0]), read_frames(Path("out"))
    generator = load_generators(Path("model.ckpt"), torch.device("cpu")).to_target
    image = resize_image(frames.image(frames.frames[1]), (24, 20))
    expected = resize_image(translate_images(generator, image[None], torch.device("cpu"))[0], (36, 44))
    assert np.abs(out.image(out.frames[1]).astype(int) - expected).max() <= 1


def test_frames_too_small_for_the_translator_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _save_untrained(Path("model.ckpt"))
    write_image(Path("tiny/images/a.png"), np.zeros((7, 40, 3), np.uint8))
    write_frames(Path("tiny"), [Frame("a", "train", 7, 40)])
    with pytest.raises(FrameError, match=r"a\.png: is translated at 7x40 .* at least 8 pixels. Set translate.size"):
        translate_frames(Path("tiny"), Path("model.ckpt"), Path("out"), WHOLE, CPU)
    assert not Path("out").exists()
    translate_frames(Path("tiny"), Path("model.ckpt"), Path("out"), replace(WHOLE, size=(8, 40)), CPU)
    assert read_image(Path("out/images/a.png")).shape == (7, 40, 3)


def test_the_moving_average_is_kept_only_where_it_is_saved() -> None:
    kept = CycleGAN(replace(TINY, optimizer=replace(OPTIMIZER, average=0.9)))
    assert kept.result.to_target is kept.averaged[0]
    none = CycleGAN(TINY)
    assert none.result == none.generators
    assert not list(none.averaged.parameters())


def test_a_model_of_other_settings_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    _save_untrained(path)
    content = torch.load(path, weights_only=True)
    del content["settings"]["generator"]["upsampling"]
    torch.save(content, path)
    with pytest.raises(ModelFileError, match=r"(?s)model.ckpt: its settings are not those of a generator.*upsampling"):
        load_generators(path, torch.device("cpu"))


def test_a_model_whose_weights_do_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    _save_untrained(path)
    content = torch.load(path, weights_only=True)
    content["settings"]["generator"]["width"] = 8
    torch.save(content, path)
    with pytest.raises(ModelFileError, match=r"model.ckpt: its weights do not fit its settings"):
        load_generators(path, torch.device("cpu"))
