"""CycleGAN: two generators and two discriminators learn to translate between two unpaired sets of images.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from synth2real import tracking
from synth2real.adversarial import AdamSettings, AdversarialModule, SampleSettings, fit_adversarial
from synth2real.frames import read_frames
from synth2real.hardware import HardwareSettings
from synth2real.resuming import resume_folder
from synth2real.training import Schedule, TrainingError
from synth2real.translation.data import Crops, CropSettings, UnpairedCrops, evenly_spread
from synth2real.translation.discriminators import DiscriminatorSettings, MultiscaleDiscriminator
from synth2real.translation.generators import Generator, Generators, GeneratorSettings, save_generators
from synth2real.translation.image_pool import ImagePool
from synth2real.translation.losses import (
    LossSettings,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    reconstruction_loss,
    semantic_consistency_loss,
)
from synth2real.translation.samples import write_samples


class SourceSegmenter(NamedTuple):
    """A frozen segmenter that was trained on the source."""

    logits: Callable[[Float[Tensor, "batch 3 height width"]], Float[Tensor, "batch classes rows columns"]]
    """From images with values in [-1, 1], on whichever device they are; differentiable."""
    file: Path
    """Where it came from: a training that was interrupted goes on only with the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings(AdamSettings):
    """The section ``translation.optimizer`` of params.yaml: Adam for the generators, and for the discriminators."""

    gradient_norm: float | None
    """The gradients of the generators together, and of the discriminators together, are scaled down to this Euclidean norm
    (Pascanu et al., ICML 2013); null leaves them as they are, as in the paper."""
    average: float
    """Decay of the generators' exponential moving average, which is what is saved (0.999 in Karras et al., ICLR 2018); 0 saves
    the last weights, as in the paper. It is at most (1 + step) / (10 + step), so that short trainings forget their start."""

    def __post_init__(self) -> None:
        AdamSettings.__post_init__(self)
        if self.gradient_norm is not None and not self.gradient_norm > 0:
            raise ValueError(f"gradient_norm must be above 0, or null, got {self.gradient_norm}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be in [0, 1), got {self.average}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationSettings:
    """The section ``translation`` of params.yaml."""

    generator: GeneratorSettings
    discriminator: DiscriminatorSettings
    crop: CropSettings
    loss: LossSettings
    pool_size: int
    """Earlier translations that each discriminator is shown; 50 in the paper, 0 for none."""
    optimizer: OptimizerSettings
    seed: int
    schedule: Schedule
    samples: SampleSettings

    def __post_init__(self) -> None:
        if self.pool_size < 0:
            raise ValueError(f"pool_size must be at least 0, got {self.pool_size}")
        for name, network in (("discriminator", self.discriminator), ("generator", self.generator)):
            if min(self.crop.size) < network.minimum_size:
                raise ValueError(
                    f"training images must have at least {network.minimum_size} pixels on each side for this {name}, got "
                    f"{self.crop.size[0]}x{self.crop.size[1]}; change {name} or crop"
                )
        if self.optimizer.discriminator_steps > self.schedule.steps_per_epoch:
            raise ValueError(
                f"optimizer.discriminator_steps must be at most schedule.steps_per_epoch ({self.schedule.steps_per_epoch}), got "
                f"{self.optimizer.discriminator_steps}"
            )


class Cycle(NamedTuple):
    """Both directions' images for one batch, each with values in [-1, 1] and of its real image's shape."""

    translated_source: Float[Tensor, "batch 3 height width"]
    """Source content in the target's look."""
    translated_target: Float[Tensor, "batch 3 height width"]
    """Target content in the source's look."""
    reconstructed_source: Float[Tensor, "batch 3 height width"]
    reconstructed_target: Float[Tensor, "batch 3 height width"]
    identity_source: Float[Tensor, "batch 3 height width"] | None
    """Source images through the generator whose output should look like the source; None where not wanted."""
    identity_target: Float[Tensor, "batch 3 height width"] | None


class CycleGAN(AdversarialModule):
    """Both generators, both discriminators, and one step of their training.

    Direction is named by where it leads: ``to_target`` gives source content the target's look. Instance norm works on each image
    alone, so images that go through the same network share one pass.
    """

    def __init__(self, settings: TranslationSettings, *, segmenter: SourceSegmenter | None = None) -> None:
        """Builds the networks with random weights from PyTorch's global generator.

        Args:
            settings: Networks, losses, schedule.
            segmenter: For the semantic consistency loss.

        Raises:
            TrainingError: If the semantic consistency loss has a weight and no segmenter is given, or the other way round.
        """
        super().__init__(settings.schedule)
        if (settings.loss.semantic > 0) != (segmenter is not None):
            found = "a segmenter is given" if segmenter else "no segmenter is given"
            raise TrainingError(
                f"translation.loss.semantic is {settings.loss.semantic}, but {found}; it must be above 0 with one and 0 without "
                "(the preset semantic_consistency sets both)."
            )
        self.settings = settings
        self.segmenter = segmenter
        self.to_target = Generator(settings.generator)
        self.to_source = Generator(settings.generator)
        self.of_source = MultiscaleDiscriminator(settings.discriminator)
        self.of_target = MultiscaleDiscriminator(settings.discriminator)
        self.generators = Generators(self.to_target, self.to_source)
        self.discriminators = (self.of_source, self.of_target)
        kept = self.generators if settings.optimizer.average else ()
        self.averaged = nn.ModuleList(deepcopy(network).requires_grad_(False) for network in kept)
        self.source_pool = ImagePool(settings.pool_size)
        self.target_pool = ImagePool(settings.pool_size)

    @property
    def result(self) -> Generators:
        """The generators that are kept: their moving averages, or their last weights where ``optimizer.average`` is 0."""
        return Generators(*cast(Iterable[Generator], self.averaged)) if self.settings.optimizer.average else self.generators

    def cycle(self, batch: Crops, *, identity: bool) -> Cycle:
        """Translates a batch there and back.

        Args:
            batch: Real images.
            identity: Whether to give the identity images too.
        """
        identity_source: Tensor | None = None
        identity_target: Tensor | None = None
        if identity:
            translated_source, identity_target = self.to_target(torch.cat(batch)).chunk(2)
            identity_source, translated_target = self.to_source(torch.cat(batch)).chunk(2)
        else:
            translated_source, translated_target = self.to_target(batch.source), self.to_source(batch.target)
        return Cycle(
            translated_source,
            translated_target,
            self.to_source(translated_source),
            self.to_target(translated_target),
            identity_source,
            identity_target,
        )

    def generator_losses(self, batch: Crops, cycle: Cycle) -> dict[str, Tensor]:
        """The generators' terms, unweighted.

        Zhu et al. 2017, equation 3, with the identity terms (section 5.2) where ``cycle`` has them, and the semantic consistency
        (see :func:`semantic_consistency_loss`) where it has a weight.
        """
        objective = self.settings.loss.adversarial
        losses = {
            "generator_to_target": generator_loss(self.of_target(cycle.translated_source), objective),
            "generator_to_source": generator_loss(self.of_source(cycle.translated_target), objective),
            "cycle_source": reconstruction_loss(batch.source, cycle.reconstructed_source),
            "cycle_target": reconstruction_loss(batch.target, cycle.reconstructed_target),
        }
        if cycle.identity_source is not None and cycle.identity_target is not None:
            losses["identity_source"] = reconstruction_loss(batch.source, cycle.identity_source)
            losses["identity_target"] = reconstruction_loss(batch.target, cycle.identity_target)
        if self.segmenter is not None:
            with torch.no_grad():
                real = self.segmenter.logits(torch.cat(batch)).chunk(2)
            translated = self.segmenter.logits(torch.cat((cycle.translated_source, cycle.translated_target))).chunk(2)
            losses["semantic_source"] = semantic_consistency_loss(real[0], translated[0])
            losses["semantic_target"] = semantic_consistency_loss(real[1], translated[1])
        return losses

    def discriminator_losses(self, batch: Crops, translated: Crops) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The discriminators' terms, for real images and translations out of the pools (which this fills).

        Args:
            batch: Real images.
            translated: By what they look like: ``source`` holds the target's images in the source's look.

        Returns:
            The losses, which are minimised as they are, and the balance: mean logits of real and of translated images.
        """
        settings = self.settings.loss
        losses, balance = {}, {}
        for name, network, pool, real, made in (
            ("source", self.of_source, self.source_pool, batch.source, translated.source),
            ("target", self.of_target, self.target_pool, batch.target, translated.target),
        ):
            pooled = pool.exchange(made)
            pairs = [logits.chunk(2) for logits in network(torch.cat((real, pooled)))]
            of_real, of_made = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            losses[f"discriminator_{name}"] = discriminator_loss(of_real, of_made, settings.adversarial)
            if settings.adversarial == "wgan_gp":
                losses[f"penalty_{name}"] = settings.gradient_penalty * gradient_penalty(network, real, pooled)
            with torch.no_grad():
                balance[f"real_logit_{name}"] = torch.stack([logits.mean() for logits in of_real]).mean()
                balance[f"translated_logit_{name}"] = torch.stack([logits.mean() for logits in of_made]).mean()
        return losses, balance

    def objective(self, generator_losses: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """The weighted sum that the generators minimise."""
        loss = self.settings.loss
        weights = {"generator": 1.0, "cycle": loss.cycle, "identity": loss.identity, "semantic": loss.semantic}
        return torch.stack([weights[name.split("_")[0]] * loss for name, loss in generator_losses.items()]).sum()

    def training_step(self, batch: Crops, batch_idx: int) -> None:
        """One step of the generators against fixed discriminators, then one of the discriminators.

        Raises:
            LossNotFiniteError: Before a loss that is not finite reaches any weight.
        """
        of_generators, of_discriminators = cast(list[LightningOptimizer], self.optimizers())
        norm = self.settings.optimizer.gradient_norm
        step = self.step_number(batch_idx)
        losses: dict[str, Tensor] = {}
        if step % self.settings.optimizer.discriminator_steps == 0:
            _require_grad(self.discriminators, False)
            cycle = self.cycle(batch, identity=self.settings.loss.identity > 0)
            translated = Crops(cycle.translated_target, cycle.translated_source)
            losses = self.generator_losses(batch, cycle)
            self.descend(of_generators, losses, self.objective(losses), step, norm)
            self._average(step)
            _require_grad(self.discriminators, True)
        else:
            with torch.no_grad():
                translated = Crops(self.to_source(batch.target), self.to_target(batch.source))

        against, balance = self.discriminator_losses(batch, translated)
        self.descend(of_discriminators, against, torch.stack(list(against.values())).sum(), step, norm)
        self.end_step({**losses, **against, **balance}, len(batch.source))

    def _average(self, step: int) -> None:
        decay = min(self.settings.optimizer.average, (1 + step) / (10 + step))
        if decay > 0:
            averaged, current = list(self.averaged.parameters()), [*self.to_target.parameters(), *self.to_source.parameters()]
            get_ema_multi_avg_fn(decay)(averaged, current, None)  # type: ignore[no-untyped-call]

    def configure_optimizers(self) -> Any:
        """Adam for both generators and for both discriminators."""
        chosen = self.settings.optimizer
        return self.adam(self.generators, self.discriminators, settings=chosen, learning_rate=chosen.learning_rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the image pools with the rest of the state."""
        checkpoint["image_pools"] = [self.source_pool.state(), self.target_pool.state()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the image pools back."""
        for pool, state in zip((self.source_pool, self.target_pool), checkpoint["image_pools"], strict=True):
            pool.restore(state)


def _require_grad(networks: Iterable[nn.Module], required: bool) -> None:
    for network in networks:
        network.requires_grad_(required)


def train_translator(
    source: Path,
    target: Path,
    settings: TranslationSettings,
    hardware: HardwareSettings,
    *,
    model: Path,
    curves: Path,
    samples: Path,
    segmenter: SourceSegmenter | None = None,
) -> CycleGAN:
    """Trains on the split ``train`` of two frame sets and writes the generators.

    Args:
        source: Frame set with images of the source (and labels, where crops are matched by them).
        target: Frame set with images of the target.
        settings: Networks, losses, schedule.
        hardware: What to run on.
        model: The model file.
        curves: CSV file with each epoch's mean losses and mean logits of the discriminators.
        samples: Folder that gets a sheet ``step_<steps>.jpg`` each ``settings.samples.every`` steps: see :func:`write_samples`.
        segmenter: A segmenter of the source, for the semantic consistency loss.

    Returns:
        The trained networks.

    Raises:
        FrameError: If a frame set is unfinished, has fewer than two training frames, or a frame is smaller than the crop.
        TrainingError: If a loss is not finite (then it names step, frames and the last good state), a segmenter is wanted and not
            given, or gradients are to be clipped under precision 16-mixed.
    """
    if settings.optimizer.gradient_norm is not None and hardware.precision == "16-mixed":
        raise TrainingError(
            "translation.optimizer.gradient_norm cannot be used with hardware.precision 16-mixed, which scales the gradients; "
            "use bf16-mixed."
        )
    frames = read_frames(source).split("train"), read_frames(target).split("train")
    draw = UnpairedCrops(*frames, settings.crop, settings.seed)
    shown = [evenly_spread(one, settings.samples.frames) for one in frames]
    resume = resume_folder("translator", settings, [source, target, *([segmenter.file] if segmenter else [])])

    torch.manual_seed(settings.seed)
    module = CycleGAN(settings, segmenter=segmenter)

    def write_sheet(path: Path, step: int) -> None:
        write_samples(path, shown[0], shown[1], module.result, module.device, size=settings.crop.load_size)

    def files(index: int) -> list[Path]:
        return [one.image_path(frame) for one, frame in zip((draw.source, draw.target), draw.frames(index), strict=True)]

    fit_adversarial(
        module,
        draw,
        name="translation",
        settings=settings,
        seed=settings.seed,
        hardware=hardware,
        curves=curves,
        resume=resume,
        sheets=settings.samples,
        samples=samples,
        write_sheet=write_sheet,
        files=files,
    )
    save_generators(model, module.result)
    tracking.log_model(model)
    return module
