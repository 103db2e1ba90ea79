"""Discriminators that see an image beside the planes that describe it, and give what they make of it layer by layer."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from synth2real.synthesis.generators import half_size
from synth2real.translation.generators import InstanceNorm, initialise

Judgement = tuple[Float[Tensor, "batch _ _ _"], ...]
"""Of one scale: the features of each layer, and last the logits, one a patch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisDiscriminatorSettings:
    """The section ``synthesis.discriminator`` of params.yaml."""

    network: Literal["patch", "sesame"]
    """``patch`` sees image and planes as one; ``sesame`` has a stream for each. See :class:`PatchDiscriminator`,
    :class:`SesameDiscriminator`."""
    width: int
    """Channels of the first layer; 64 in the papers."""
    layers: int
    """Convolutions of stride 2; 3 gives patches of 70x70 pixels."""
    scales: int
    """Discriminators, each of which sees half the size of the one before; 1 in pix2pix, 3 in pix2pixHD, 2 in SESAME."""
    norm: Literal["instance", "spectral"]
    """``instance`` as in pix2pix and pix2pixHD; ``spectral`` adds spectral norm to it, as SPADE and SESAME do."""

    def __post_init__(self) -> None:
        for name in ("width", "layers", "scales"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def minimum_size(self) -> int:
        """The least height and width: below, instance norm in the last layers has nothing to normalise."""
        return int(2 ** (self.layers + self.scales))


def _stream(settings: SynthesisDiscriminatorSettings, in_channels: int) -> nn.ModuleList:
    """``C64-C128-C256-C512``: 4x4 convolutions with padding 2, the last with stride 1, in steps of which each gives features."""
    widths = [settings.width * min(2**index, 8) for index in range(settings.layers + 1)]
    steps = nn.ModuleList()
    for index, width in enumerate(widths):
        stride = 2 if index < settings.layers else 1
        convolution = nn.Conv2d(widths[index - 1] if index else in_channels, width, 4, stride=stride, padding=2)
        norm = [InstanceNorm()] if index else []
        steps.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True)))
    return steps


def _logits(settings: SynthesisDiscriminatorSettings) -> nn.Conv2d:
    return nn.Conv2d(settings.width * min(2**settings.layers, 8), 1, 4, padding=2)


class PatchDiscriminator(nn.Module):
    """Isola et al. 2017 (appendix 6.1.2), as Wang et al. 2018 have it, with padding 2 as in the latter's code."""

    def __init__(self, settings: SynthesisDiscriminatorSettings, plane_channels: int) -> None:
        super().__init__()
        self.steps = _stream(settings, plane_channels + 3)
        self.logits = _logits(settings)

    def forward(self, planes: Tensor, images: Tensor) -> Judgement:
        """Features of each layer, then logits, which are high where a patch looks real and like what the planes say."""
        features = [torch.cat((planes, images), 1)]
        for step in self.steps:
            features.append(step(features[-1]))
        return (*features[1:], self.logits(features[-1]))


class SesameDiscriminator(nn.Module):
    """Two streams of equal form: one sees the image, the other the planes, and the latter says where the former matters.

    Ntavelis et al., "SESAME: Semantic Editing of Scenes by Adding, Manipulating or Erasing Objects", ECCV 2020: before the last
    convolution the image's features x become ``x + x * sum_c y_c`` with the planes' features y, akin to projection discriminators
    (Miyato & Koyama, ICLR 2018). The features for matching are those of the image's stream.
    """

    def __init__(self, settings: SynthesisDiscriminatorSettings, plane_channels: int) -> None:
        super().__init__()
        self.image_steps = _stream(settings, 3)
        self.plane_steps = _stream(settings, plane_channels)
        self.logits = _logits(settings)

    def forward(self, planes: Tensor, images: Tensor) -> Judgement:
        """As :meth:`PatchDiscriminator.forward`."""
        features = [images]
        for image_step, plane_step in zip(self.image_steps, self.plane_steps, strict=True):
            features.append(image_step(features[-1]))
            planes = plane_step(planes)
        joined = features[-1] * (1 + planes.sum(1, keepdim=True))
        return (*features[1:], self.logits(joined))


class ConditionalDiscriminator(nn.Module):
    """Discriminators of equal form and own weights on ever smaller images (Wang et al. 2018, section 3.2)."""

    def __init__(self, settings: SynthesisDiscriminatorSettings, plane_channels: int) -> None:
        super().__init__()
        kind = PatchDiscriminator if settings.network == "patch" else SesameDiscriminator
        self.scales = nn.ModuleList(kind(settings, plane_channels) for _ in range(settings.scales))
        initialise(self)
        if settings.norm == "spectral":
            for module in [module for module in self.modules() if isinstance(module, nn.Conv2d)]:
                spectral_norm(module)

    def forward(
        self, planes: Float[Tensor, "batch channels height width"], images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Judgement, ...]:
        """What each scale makes of the images, from the full size down.

        Args:
            planes: What describes the images; see :func:`synth2real.synthesis.conditions.encode`.
            images: Values in [-1, 1].
        """
        judgements = []
        for index, discriminator in enumerate(self.scales):
            if index:
                planes, images = half_size(planes), half_size(images)
            judgements.append(discriminator(planes, images))
        return tuple(judgements)
