"""Discriminators: say for each part of an image whether it looks real."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from synth2real.translation.generators import InstanceNorm, initialise


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorSettings:
    """The section ``translation.discriminator`` of params.yaml."""

    width: int
    """Channels of the first layer; 64 in the paper."""
    layers: int
    """Convolutions of stride 2; 3 gives the paper's patches of 70x70 pixels, 2 gives 34x34, 1 gives 16x16, and 0 judges each
    pixel by itself."""
    scales: int
    """Discriminators, each of which sees the image at half the size of the one before; 1 in the paper, 3 in pix2pixHD."""
    activation: Literal["leaky_relu", "relu"]
    """``leaky_relu`` has slope 0.2, as in the paper."""
    norm: Literal["instance", "spectral"]
    """``instance`` as in the paper, which takes each image's own brightness and contrast out of what the later layers see; or
    ``spectral``, which divides each layer's weights by their largest singular value instead and leaves the features as they are
    (Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018)."""

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("layers", 0), ("scales", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    @property
    def minimum_size(self) -> int:
        """The least height and width: below, instance norm in the last layers has nothing to normalise."""
        return int(max(2, 8 * 2 ** (self.layers - 1)) * 2 ** (self.scales - 1))


class PatchDiscriminator(nn.Module):
    """Logits for overlapping patches (Isola et al., CVPR 2017).

    Zhu et al. 2017, appendix 7.2: ``C64-C128-C256-C512`` of 4x4 convolutions with stride 2 (the last one with stride 1), instance
    norm but in the first, leaky ReLU of slope 0.2, and a convolution to one channel. With more layers the width stays at 8 times
    the first one's. Without a layer of stride 2 it is Isola et al.'s PixelGAN (appendix 6.1.2): ``C64-C128`` of 1x1 convolutions.
    """

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        widths = [settings.width * min(2**index, 8) for index in range(max(settings.layers, 1) + 1)]
        kernel, padding = (4, 1) if settings.layers else (1, 0)

        def activation() -> nn.Module:
            return nn.ReLU(inplace=True) if settings.activation == "relu" else nn.LeakyReLU(0.2, inplace=True)

        first = nn.Conv2d(3, widths[0], kernel, stride=2 if settings.layers else 1, padding=padding)
        layers: list[nn.Module] = [first, activation()]
        for index in range(1, len(widths)):
            stride = 2 if index < settings.layers else 1
            layers.append(nn.Conv2d(widths[index - 1], widths[index], kernel, stride=stride, padding=padding))
            layers += [InstanceNorm(), activation()] if settings.norm == "instance" else [activation()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, kernel, stride=1, padding=padding))
        initialise(self)
        if settings.norm == "spectral":
            for module in self.layers:
                if isinstance(module, nn.Conv2d):
                    spectral_norm(module)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows columns"]:
        """Gives one logit a patch, high where the patch looks real.

        Args:
            images: Values in [-1, 1].
        """
        logits: Tensor = self.layers(images)
        return logits


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators of equal form and own weights on ever smaller images.

    Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR 2018, section 3.2. Each
    size is the mean over 3x3 pixels of the one before, at every second pixel, as in the authors' code.
    """

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(settings) for _ in range(settings.scales))

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> tuple[Float[Tensor, "batch 1 _ _"], ...]:
        """The logits of each scale, from the full size down.

        Args:
            images: Values in [-1, 1].
        """
        logits = []
        for index, discriminator in enumerate(self.scales):
            if index:
                images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
            logits.append(discriminator(images))
        return tuple(logits)
