"""CycleGAN: two generators and two discriminators learn to translate between two unpaired sets of images.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pydantic import TypeAdapter
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from synth2real.frames import read_frames
from synth2real.hardware import HardwareSettings
from synth2real.training import ModelFileError, Schedule, fit, load_model, resume_folder, save_model
from synth2real.translation.data import Crops, CropSettings, UnpairedCrops
from synth2real.translation.discriminators import DiscriminatorSettings, PatchDiscriminator
from synth2real.translation.generators import GeneratorSettings, ResnetGenerator
from synth2real.translation.image_pool import ImagePool
from synth2real.translation.losses import LossSettings, discriminator_loss, generator_loss, reconstruction_loss

MODEL_KIND = "translator"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """The section ``translation.optimizer`` of params.yaml: Adam for the generators, and for the discriminators."""

    learning_rate: float
    """2e-4 in the paper."""
    beta1: float
    """Decay of the gradient's mean; 0.5 in the paper (beta2 is 0.999)."""
    constant_share: float
    """Share of the steps at the full learning rate; then it falls linearly to zero. 0.5 in the paper (100 of 200 epochs)."""

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.beta1 < 1:
            raise ValueError(f"beta1 must be in [0, 1), got {self.beta1}")
        if not 0 <= self.constant_share <= 1:
            raise ValueError(f"constant_share must be in [0, 1], got {self.constant_share}")


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
    schedule: Schedule

    def __post_init__(self) -> None:
        if self.pool_size < 0:
            raise ValueError(f"pool_size must be at least 0, got {self.pool_size}")
        shortest = 8 * 2 ** (self.discriminator.layers - 1)
        if min(self.crop.crop_size) < shortest:
            raise ValueError(
                f"crop.crop_size must be at least {shortest} on each side for a discriminator of {self.discriminator.layers} "
                f"layers, got {self.crop.crop_size[0]}x{self.crop.crop_size[1]}"
            )


def learning_rate_factor(step: int, steps: int, constant_share: float) -> float:
    """What the learning rate is multiplied by at a step: 1, then linearly down to 0 at the step after the last.

    Args:
        step: From 0.
        steps: Of the whole training.
        constant_share: Share of the steps at factor 1.
    """
    constant = round(constant_share * steps)
    return 1.0 if step < constant else (steps - step) / max(steps - constant, 1)


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


class CycleGAN(pl.LightningModule):
    """Both generators, both discriminators, and one step of their training.

    Direction is named by where it leads: ``to_target`` gives source content the target's look. Instance norm works on each image
    alone, so images that go through the same network share one pass.
    """

    def __init__(self, settings: TranslationSettings) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings = settings
        self.to_target = ResnetGenerator(settings.generator)
        self.to_source = ResnetGenerator(settings.generator)
        self.of_source = PatchDiscriminator(settings.discriminator)
        self.of_target = PatchDiscriminator(settings.discriminator)
        self.generators = (self.to_target, self.to_source)
        self.discriminators = (self.of_source, self.of_target)
        self.source_pool = ImagePool(settings.pool_size)
        self.target_pool = ImagePool(settings.pool_size)

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

        Zhu et al. 2017, equation 3 with least squares (section 4), and the identity terms (section 5.2) where ``cycle`` has them.
        """
        losses = {
            "generator_to_target": generator_loss(self.of_target(cycle.translated_source)),
            "generator_to_source": generator_loss(self.of_source(cycle.translated_target)),
            "cycle_source": reconstruction_loss(batch.source, cycle.reconstructed_source),
            "cycle_target": reconstruction_loss(batch.target, cycle.reconstructed_target),
        }
        if cycle.identity_source is not None and cycle.identity_target is not None:
            losses["identity_source"] = reconstruction_loss(batch.source, cycle.identity_source)
            losses["identity_target"] = reconstruction_loss(batch.target, cycle.identity_target)
        return losses

    def discriminator_losses(self, batch: Crops, cycle: Cycle) -> dict[str, Tensor]:
        """The discriminators' terms, for real images and translations out of the pools (which this fills)."""
        pooled_source = self.source_pool.exchange(cycle.translated_target)
        pooled_target = self.target_pool.exchange(cycle.translated_source)
        return {
            "discriminator_source": discriminator_loss(*self.of_source(torch.cat((batch.source, pooled_source))).chunk(2)),
            "discriminator_target": discriminator_loss(*self.of_target(torch.cat((batch.target, pooled_target))).chunk(2)),
        }

    def objective(self, generator_losses: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """The weighted sum that the generators minimise."""
        weights = {"generator": 1.0, "cycle": self.settings.loss.cycle, "identity": self.settings.loss.identity}
        return torch.stack([weights[name.split("_")[0]] * loss for name, loss in generator_losses.items()]).sum()

    def training_step(self, batch: Crops, batch_idx: int) -> None:
        """One step of the generators against fixed discriminators, then one of the discriminators."""
        of_generators, of_discriminators = cast(list[LightningOptimizer], self.optimizers())
        _require_grad(self.discriminators, False)
        cycle = self.cycle(batch, identity=self.settings.loss.identity > 0)
        losses = self.generator_losses(batch, cycle)
        of_generators.zero_grad()
        self.manual_backward(self.objective(losses))
        of_generators.step()

        _require_grad(self.discriminators, True)
        against = self.discriminator_losses(batch, cycle)
        of_discriminators.zero_grad()
        self.manual_backward(torch.stack(list(against.values())).sum())
        of_discriminators.step()

        for scheduler in cast(list[LambdaLR], self.lr_schedulers()):
            scheduler.step()
        losses = {name: loss.detach() for name, loss in {**losses, **against}.items()}
        self.log_dict(losses, on_step=False, on_epoch=True, batch_size=len(batch.source))

    def configure_optimizers(self) -> Any:
        """Adam for both generators and for both discriminators; see :func:`learning_rate_factor`."""
        settings, steps = self.settings.optimizer, self.settings.schedule.steps
        optimizers = [
            Adam(
                [parameter for network in networks for parameter in network.parameters()],
                lr=settings.learning_rate,
                betas=(settings.beta1, 0.999),
                fused=True,
            )
            for networks in (self.generators, self.discriminators)
        ]

        def factor(step: int) -> float:
            return learning_rate_factor(step, steps, settings.constant_share)

        return optimizers, [LambdaLR(optimizer, factor) for optimizer in optimizers]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the image pools with the rest of the state."""
        checkpoint["image_pools"] = [self.source_pool.state(), self.target_pool.state()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the image pools back."""
        for pool, state in zip((self.source_pool, self.target_pool), checkpoint["image_pools"], strict=True):
            pool.restore(state)


def _require_grad(networks: tuple[nn.Module, ...], required: bool) -> None:
    for network in networks:
        network.requires_grad_(required)


def train_translator(
    source: Path, target: Path, settings: TranslationSettings, hardware: HardwareSettings, *, model: Path, curves: Path
) -> CycleGAN:
    """Trains on the split ``train`` of two frame sets and writes the generators.

    Args:
        source: Frame set with images of the source.
        target: Frame set with images of the target.
        settings: Networks, losses, schedule.
        hardware: What to run on.
        model: The model file.
        curves: CSV file with each epoch's mean losses.

    Returns:
        The trained networks.

    Raises:
        FrameError: If a frame set is unfinished, has fewer than two training frames, or a frame is smaller than the crop.
        TrainingError: If a loss is not finite.
    """
    draw = UnpairedCrops(
        read_frames(source).split("train"), read_frames(target).split("train"), settings.crop, settings.schedule.seed
    )
    torch.manual_seed(settings.schedule.seed)
    module = CycleGAN(settings)
    resume = resume_folder("translator", settings, [source, target])
    fit(module, draw, schedule=settings.schedule, hardware=hardware, curves=curves, resume=resume)
    state = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(("to_target.", "to_source."))}
    save_model(model, MODEL_KIND, {"generator": dataclasses.asdict(settings.generator)}, state)
    return module


class Generators(NamedTuple):
    """A trained translator's two directions, ready for inference."""

    to_target: ResnetGenerator
    to_source: ResnetGenerator


def load_generators(path: Path, device: torch.device) -> Generators:
    """Reads a model file that :func:`train_translator` wrote.

    Raises:
        ModelFileError: If the file is missing, damaged, of another kind, or its weights do not fit its settings.
    """
    model = load_model(path, MODEL_KIND)
    settings = TypeAdapter(GeneratorSettings).validate_python(model.settings["generator"])
    generators = []
    for name in Generators._fields:
        network = ResnetGenerator(settings)
        prefix = f"{name}."
        weights = {key.removeprefix(prefix): tensor for key, tensor in model.state_dict.items() if key.startswith(prefix)}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelFileError(f"{path}: its weights do not fit its settings {settings}: {error}") from None
        generators.append(network.to(device).eval().requires_grad_(False))
    return Generators(*generators)
