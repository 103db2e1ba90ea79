"""Trains a synthesizer on pairs of label map and photo: pix2pix and pix2pixHD, by their settings.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017; Wang et al., "High-Resolution Image
Synthesis and Semantic Manipulation with Conditional GANs", CVPR 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from synth2real import tracking
from synth2real.adversarial import AdamSettings, AdversarialModule, SampleSettings, fit_adversarial
from synth2real.frames import FrameSet, read_frames, write_image
from synth2real.hardware import HardwareSettings
from synth2real.label_space import PALETTE
from synth2real.resuming import resume_folder
from synth2real.synthesis.checkpoints import Synthesizer, save_synthesizer
from synth2real.synthesis.conditions import LABEL_CHANNELS, encode
from synth2real.synthesis.data import Pair, PairedCrops, PairSettings, to_ids
from synth2real.synthesis.discriminators import ConditionalDiscriminator, SynthesisDiscriminatorSettings
from synth2real.synthesis.features import Clusters, FeatureEncoder, FeatureSettings, Looks, cluster, looks
from synth2real.synthesis.generators import (
    LocalEnhancer,
    SynthesisGenerator,
    SynthesisGeneratorSettings,
    image_layers,
    padded,
)
from synth2real.synthesis.losses import SynthesisLossSettings, feature_matching_loss
from synth2real.synthesis.perceptual import Perceptual
from synth2real.training import Schedule
from synth2real.translation.data import evenly_spread, to_image, to_tensor
from synth2real.translation.generators import initialise
from synth2real.translation.losses import discriminator_loss, generator_loss, gradient_penalty
from synth2real.translation.samples import sheet

Phase = Literal["coarse", "enhancer", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisOptimizerSettings(AdamSettings):
    """The section ``synthesis.optimizer`` of params.yaml: Adam for the generator, and for the discriminators."""

    batch_scaling: Literal["none", "sqrt", "linear"]
    """What the rate is multiplied by for larger batches: 1, the root of the batch size (usual for Adam), or the batch size
    (Goyal et al., "Accurate, Large Minibatch SGD", 2017)."""

    def rate(self, batch_size: int) -> float:
        """The learning rate for batches of this size."""
        return float(self.learning_rate * {"none": 1.0, "sqrt": batch_size**0.5, "linear": batch_size}[self.batch_scaling])


@dataclass(frozen=True, slots=True, kw_only=True)
class CoarseToFineSettings:
    """The section ``synthesis.coarse_to_fine`` of params.yaml: the schedule of ``local`` (Wang et al. 2018, section 3.1).

    First the global generator learns by itself at half size, then the enhancer around it as it is, then both together. With both
    shares 0 all learns from the first step.
    """

    coarse: float
    """Share of the steps for the global generator alone."""
    enhancer: float
    """Share of the steps for the enhancer alone; the authors' code has 10 of the 100 epochs that follow the coarse ones."""

    def __post_init__(self) -> None:
        if self.coarse < 0 or self.enhancer < 0 or self.coarse + self.enhancer >= 1:
            raise ValueError(
                f"coarse and enhancer must be at least 0 and below 1 together, got {self.coarse} and {self.enhancer}"
            )
        if self.enhancer and not self.coarse:
            raise ValueError("enhancer must be 0 where coarse is 0: around what has learnt nothing there is nothing to enhance")

    def phase(self, share: float) -> Phase:
        """What learns after this share of the steps."""
        if share < self.coarse:
            return "coarse"
        return "enhancer" if share < self.coarse + self.enhancer else "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisSettings:
    """The section ``synthesis`` of params.yaml."""

    generator: SynthesisGeneratorSettings
    boundaries: bool
    """Whether generator and discriminators see where instances end (Wang et al. 2018, section 3.3)."""
    features: FeatureSettings
    discriminator: SynthesisDiscriminatorSettings
    pairs: PairSettings
    loss: SynthesisLossSettings
    optimizer: SynthesisOptimizerSettings
    coarse_to_fine: CoarseToFineSettings
    seed: int
    schedule: Schedule
    samples: SampleSettings

    def __post_init__(self) -> None:
        crop, coarse = self.pairs.crop_size, self.coarse_to_fine.coarse > 0
        if self.generator.network != "local" and (coarse or self.coarse_to_fine.enhancer):
            raise ValueError(f"coarse_to_fine is for the network local, not for {self.generator.network}; set its shares to 0")
        stride = self.generator.stride
        if any(side % stride for side in crop):
            raise ValueError(f"pairs.crop_size must be multiples of {stride} for these networks, got {crop[0]}x{crop[1]}")
        smallest = min(crop) // (2 if coarse else 1)
        least = max(self.generator.minimum_size // (2 if coarse else 1), self.discriminator.minimum_size)
        if smallest < least:
            raise ValueError(f"training images must have at least {least} pixels on each side for these networks, got {smallest}")
        if self.optimizer.discriminator_steps > self.schedule.steps_per_epoch:
            raise ValueError(
                f"optimizer.discriminator_steps must be at most schedule.steps_per_epoch ({self.schedule.steps_per_epoch}), got "
                f"{self.optimizer.discriminator_steps}"
            )

    def phase(self, step: int) -> Phase:
        """What learns at a step (from 0)."""
        return self.coarse_to_fine.phase(step / self.schedule.steps)


class Synthesis(AdversarialModule):
    """The generator, its discriminators, and one step of their training."""

    def __init__(self, settings: SynthesisSettings) -> None:
        """Builds the networks with random weights from PyTorch's global generator.

        Args:
            settings: Networks, losses, schedule.

        Raises:
            ModelFileError: If the perceptual loss has a weight and its network's file is missing or damaged.
        """
        super().__init__(settings.schedule)
        self.settings = settings
        planes = LABEL_CHANNELS + settings.boundaries
        self.generator = SynthesisGenerator(settings.generator, planes + settings.features.channels)
        self.encoder = FeatureEncoder(settings.features) if settings.features.channels else None
        self.coarse_image: nn.Module | None = None
        if settings.coarse_to_fine.coarse:
            self.coarse_image = nn.Sequential(*image_layers(2 * settings.generator.width, 3))
            initialise(self.coarse_image)
        self.discriminator = ConditionalDiscriminator(settings.discriminator, planes)
        # in a tuple, as it is neither trained nor saved
        self.perceptual = (Perceptual(settings.loss.vgg19_weights),) if settings.loss.perceptual else ()

    def planes(self, batch: Pair) -> Float[Tensor, "batch channels height width"]:
        """What generator and discriminators see of a pair's maps."""
        return encode(batch.label_ids, batch.instance_ids if self.settings.boundaries else None)

    def paint(self, batch: Pair, planes: Tensor, phase: Phase) -> Float[Tensor, "batch 3 height width"]:
        """Images for the batch's maps; with a feature encoder, in the looks of its photos.

        Args:
            batch: In the phase ``coarse``, at half size.
            planes: Of the batch.
            phase: In the phase ``coarse`` the global generator paints alone.
        """
        if self.encoder is not None:
            planes = torch.cat((planes, self.encoder(batch.image, batch.instance_ids)), 1)
        if phase != "coarse":
            return cast(Tensor, self.generator(planes))
        assert self.coarse_image is not None
        features = self._network.model(padded(planes, self.settings.generator.stride // 2))
        image: Tensor = self.coarse_image(features)
        return image[..., : planes.shape[-2], : planes.shape[-1]]

    @property
    def _network(self) -> LocalEnhancer:
        return cast(LocalEnhancer, self.generator.network)

    def generator_losses(self, planes: Tensor, real: Tensor, painted: Tensor) -> dict[str, Tensor]:
        """The generator's terms, unweighted; those whose weight is 0 are left out."""
        weights = self.settings.loss
        judged = self.discriminator(planes, painted)
        losses = {"generator": generator_loss([one[-1] for one in judged], weights.adversarial)}
        if weights.l1:
            losses["l1"] = F.l1_loss(painted, real)
        if weights.feature_matching:
            with torch.no_grad():
                of_real = self.discriminator(planes, real)
            losses["feature_matching"] = feature_matching_loss(of_real, judged)
        for network in self.perceptual:
            losses[f"perceptual_{network.name}"] = network.loss(real, painted)
        return losses

    def objective(self, losses: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """The weighted sum that the generator minimises."""
        loss = self.settings.loss
        weights = {"generator": 1.0, "l1": loss.l1, "feature": loss.feature_matching, "perceptual": loss.perceptual}
        return torch.stack([weights[name.split("_")[0]] * value for name, value in losses.items()]).sum()

    def discriminator_losses(self, planes: Tensor, real: Tensor, painted: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The discriminators' terms, minimised as they are, and the balance: mean logits of photos and of painted images."""
        settings = self.settings.loss
        judged = self.discriminator(torch.cat((planes, planes)), torch.cat((real, painted)))
        of_real, of_painted = ([one[-1].chunk(2)[part] for one in judged] for part in (0, 1))
        losses = {"discriminator": discriminator_loss(of_real, of_painted, settings.adversarial)}
        if settings.adversarial == "wgan_gp":

            def logits(images: Tensor) -> list[Tensor]:
                return [one[-1] for one in self.discriminator(planes, images)]

            losses["penalty"] = settings.gradient_penalty * gradient_penalty(logits, real, painted)
        with torch.no_grad():
            balance = {
                "real_logit": torch.stack([one.mean() for one in of_real]).mean(),
                "painted_logit": torch.stack([one.mean() for one in of_painted]).mean(),
            }
        return losses, balance

    def training_step(self, batch: Pair, batch_idx: int) -> None:
        """One step of the generator against fixed discriminators, then one of the discriminators.

        Raises:
            LossNotFiniteError: Before a loss that is not finite reaches any weight.
        """
        of_generator, of_discriminator = cast(list[LightningOptimizer], self.optimizers())
        step = self.step_number(batch_idx)
        phase = self.settings.phase(step)
        if phase == "coarse":
            batch = halved(batch)
        if self.settings.coarse_to_fine.enhancer:
            self._network.model.requires_grad_(phase != "enhancer")
        planes = self.planes(batch)
        losses: dict[str, Tensor] = {}
        if step % self.settings.optimizer.discriminator_steps == 0:
            self.discriminator.requires_grad_(False)
            painted = self.paint(batch, planes, phase)
            losses = self.generator_losses(planes, batch.image, painted)
            self.descend(of_generator, losses, self.objective(losses), step)
            self.discriminator.requires_grad_(True)
        else:
            with torch.no_grad():
                painted = self.paint(batch, planes, phase)

        against, balance = self.discriminator_losses(planes, batch.image, painted.detach())
        self.descend(of_discriminator, against, torch.stack(list(against.values())).sum(), step)
        self.end_step({**losses, **against, **balance}, len(batch.image))

    def on_fit_start(self) -> None:
        """Moves what the module does not own to its device."""
        for network in self.perceptual:
            network.to(self.device)

    def configure_optimizers(self) -> Any:
        """Adam for the generator (and what feeds it) and for the discriminators."""
        chosen = self.settings.optimizer
        return self.adam(
            [module for module in (self.generator, self.encoder, self.coarse_image) if module is not None],
            [self.discriminator],
            settings=chosen,
            learning_rate=chosen.rate(self.schedule.batch_size),
        )


def halved(batch: Pair) -> Pair:
    """The batch at half its height and width: every second id, and the mean colour of 2x2 pixels."""
    return Pair(batch.label_ids[..., ::2, ::2], batch.instance_ids[..., ::2, ::2], F.avg_pool2d(batch.image, 2))


def _as_batch(draw: PairedCrops, frames: FrameSet, index: int, device: torch.device) -> Pair:
    label_ids, instance_ids, image = draw.whole(frames.frames[index])
    tensors = (to_ids(label_ids), to_ids(instance_ids.astype("int32")), to_tensor(image))
    return Pair(*(tensor[None].to(device) for tensor in tensors))


@torch.no_grad()
def write_samples(path: Path, module: Synthesis, draw: PairedCrops, frames: FrameSet, step: int) -> None:
    """Writes a sheet with each frame's label map, painted image and photo.

    Args:
        path: JPEG or PNG file.
        module: The networks.
        draw: Knows the frames' maps.
        frames: Frames to show.
        step: How many steps were done: the global generator paints alone as long as it learns alone.
    """
    phase = module.settings.phase(step - 1)
    rows = []
    for index in range(len(frames)):
        batch = _as_batch(draw, frames, index, module.device)
        shown = halved(batch) if phase == "coarse" else batch
        painted = to_image(module.paint(shown, module.planes(shown), phase)[0])
        rows.append([PALETTE[batch.label_ids[0].cpu().numpy()], painted, to_image(batch.image[0])])
    write_image(path, sheet(rows, ("labels", "painted", "photo")))


@torch.no_grad()
def _clusters(module: Synthesis, draw: PairedCrops) -> Clusters | None:
    """The looks that the trained encoder sees in all training frames."""
    if module.encoder is None:
        return None
    found: list[Looks] = []
    for index in range(len(draw.images)):
        batch = _as_batch(draw, draw.images, index, module.device)
        found.append(looks(module.encoder(batch.image, batch.instance_ids)[0], batch.instance_ids[0]))
    return cluster(found, module.settings.features, module.settings.seed)


def train_synthesizer(
    images: Path,
    annotations: Path,
    settings: SynthesisSettings,
    hardware: HardwareSettings,
    *,
    model: Path,
    curves: Path,
    samples: Path,
    detections: Path | None = None,
) -> Synthesis:
    """Trains on the photos of the split ``train`` and their label maps, and writes the synthesizer.

    Args:
        images: Frame set with photos.
        annotations: Frame set with label maps of the same frames (and maybe instance maps).
        settings: Networks, losses, schedule.
        hardware: What to run on.
        model: The model file.
        curves: CSV file with each epoch's mean losses and mean logits of the discriminators.
        samples: Folder that gets a sheet ``step_<steps>.jpg`` each ``settings.samples.every`` steps: see :func:`write_samples`.
        detections: See :func:`synth2real.synthesis.data.instance_map`.

    Returns:
        The trained networks.

    Raises:
        FrameError: If a frame set is unfinished, a photo has no label map, or a frame is smaller than the crop.
        TrainingError: If a loss is not finite: it names step, frames and the last good state.
        ModelFileError: If the perceptual loss wants weights that are not there.
    """
    frames = read_frames(images).split("train")
    draw = PairedCrops(frames, read_frames(annotations), settings.pairs, settings.seed, detections)
    shown = evenly_spread(frames, settings.samples.frames)
    weights = [settings.loss.vgg19_weights] if settings.loss.vgg19_weights else []
    resume = resume_folder("synthesizer", settings, [images, annotations, *([detections] if detections else []), *weights])

    torch.manual_seed(settings.seed)
    module = Synthesis(settings)
    fit_adversarial(
        module,
        draw,
        name="synthesis",
        settings=settings,
        seed=settings.seed,
        hardware=hardware,
        curves=curves,
        resume=resume,
        sheets=settings.samples,
        samples=samples,
        write_sheet=lambda path, step: write_samples(path, module, draw, shown, step),
        files=lambda index: [frames.image_path(draw.frame(index))],
    )
    save_synthesizer(model, Synthesizer(module.generator, settings.boundaries, _clusters(module, draw)))
    tracking.log_model(model)
    return module
