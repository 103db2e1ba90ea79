"""Generators: planes that describe a street in, an image of the same size out."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from synth2real.translation.generators import InstanceNorm, initialise

_DROPPED_LEVELS = 3
"""Decoder layers of the U-Net with dropout, from the deepest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisGeneratorSettings:
    """The section ``synthesis.generator`` of params.yaml."""

    network: Literal["global", "local", "unet"]
    """``global`` is pix2pixHD's at half of its full size (with 2 halvings it is pix2pix's ResNet), ``local`` puts its enhancer
    around it, ``unet`` is pix2pix's. See :class:`GlobalGenerator`, :class:`LocalEnhancer`, :class:`UNet`."""
    width: int
    """Channels of the first layer; 64 in the papers, and 32 for ``local``, whose global part then has 64."""
    halvings: int
    """How often the features' height and width are halved; 4 in pix2pixHD's global generator, 8 in pix2pix's U-Net."""
    blocks: int
    """Residual blocks of the global generator; 9 in the papers."""
    local_blocks: int
    """Residual blocks of the enhancer; 3 in the paper."""
    dropout: float
    """Share of features that are dropped, in the training and after it; 0.5 in pix2pix (there the only noise), 0 in pix2pixHD."""
    noise: float
    """Scale at first of noise that is added after each normalisation; 0 for none. See :class:`Noise`."""

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("halvings", 1), ("blocks", 0), ("local_blocks", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.network == "unet" and self.halvings < 2:
            raise ValueError(f"halvings must be at least 2 for unet, got {self.halvings}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.noise < 0:
            raise ValueError(f"noise must be at least 0, got {self.noise}")

    @property
    def stride(self) -> int:
        """Pixels of the image a pixel of the deepest features: inputs are padded to a multiple of it."""
        return int(2 ** (self.halvings + (self.network == "local")))

    @property
    def minimum_size(self) -> int:
        """The least height and width: below, reflection padding has nothing to reflect."""
        return self.stride // 2 + 1 if self.network == "unet" else max(2 * self.stride, 4)


class Noise(nn.Module):
    """Adds Gaussian noise, one value a pixel, scaled for each channel by what is learned.

    Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019, section 2. There the
    scales start from 0. Draws from PyTorch's global generator.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels, 1, 1), scale))

    def forward(self, features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """The features with noise."""
        batch, _, height, width = features.shape
        noise = torch.randn(batch, 1, height, width, dtype=features.dtype, device=features.device)
        return features + self.scale * noise


class Dropout(nn.Module):
    """Dropout that stays on after the training, as pix2pix has it in place of a noise input (Isola et al. 2017, section 3.1).

    Draws from PyTorch's global generator.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, features: Tensor) -> Tensor:
        """The features, some of them 0 and the others scaled up."""
        return F.dropout(features, self.rate, training=True)


def set_dropout(network: nn.Module, rate: float) -> None:
    """Changes the rate of all dropout layers of a network."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.rate = rate


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d, noise: float, *last: nn.Module) -> list[nn.Module]:
    extra = [Noise(convolution.out_channels, noise)] if noise else []
    return [convolution, InstanceNorm(), *extra, *last]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with reflection padding; no ReLU after the sum (Johnson et al., ECCV 2016)."""

    def __init__(self, channels: int, dropout: float, noise: float) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normalised(nn.Conv2d(channels, channels, 3), noise, nn.ReLU(inplace=True)),
            *([Dropout(dropout)] if dropout else []),
            nn.ReflectionPad2d(1),
            *_normalised(nn.Conv2d(channels, channels, 3), noise),
        )

    def forward(self, features: Tensor) -> Tensor:
        """The features and what the block adds."""
        changed: Tensor = features + self.conv_block(features)
        return changed


def _doubled(channels: int, noise: float) -> list[nn.Module]:
    """A transposed convolution to half the channels at twice the size."""
    convolution = nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1)
    return _normalised(convolution, noise, nn.ReLU(inplace=True))


def image_layers(channels: int, out_channels: int) -> list[nn.Module]:
    """What ends a network: a 7x7 convolution and tanh."""
    return [nn.ReflectionPad2d(3), nn.Conv2d(channels, out_channels, 7), nn.Tanh()]


def global_layers(
    in_channels: int,
    out_channels: int,
    *,
    width: int,
    halvings: int,
    blocks: int,
    dropout: float = 0.0,
    noise: float = 0.0,
) -> nn.Sequential:
    """The global generator, ``c7s1-64, d128, d256, d512, d1024, R1024 x blocks, u512, u256, u128, u64, c7s1-3``.

    Wang, Liu, Zhu, Tao, Kautz, Catanzaro, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR
    2018, appendix A ("Generator: G1"). Instance norm and ReLU follow each convolution but the last, which tanh follows. With two
    halvings it is Johnson et al.'s network, which CycleGAN and pix2pix's authors' code call ResNet; with no block, the feature
    encoder.

    Args:
        in_channels: Of the input.
        out_channels: Of the output, in [-1, 1].
        width: Channels of the first layer.
        halvings: How often height and width are halved.
        blocks: Residual blocks.
        dropout: Share of features that each block drops between its convolutions.
        noise: Scale at first of the noise after each normalisation.
    """
    layers = [nn.ReflectionPad2d(3), *_normalised(nn.Conv2d(in_channels, width, 7), noise, nn.ReLU(inplace=True))]
    widths = [width * 2**index for index in range(halvings + 1)]
    for narrow, wide in pairwise(widths):
        layers += _normalised(nn.Conv2d(narrow, wide, 3, stride=2, padding=1), noise, nn.ReLU(inplace=True))
    layers += [ResidualBlock(widths[-1], dropout, noise) for _ in range(blocks)]
    for wide in reversed(widths[1:]):
        layers += _doubled(wide, noise)
    return nn.Sequential(*layers, *image_layers(width, out_channels))


class GlobalGenerator(nn.Module):
    """:func:`global_layers` under the name that the authors' checkpoints have."""

    def __init__(self, settings: SynthesisGeneratorSettings, in_channels: int) -> None:
        super().__init__()
        self.model = global_layers(
            in_channels, 3, width=settings.width, halvings=settings.halvings, blocks=settings.blocks,
            dropout=settings.dropout, noise=settings.noise,
        )  # fmt: skip

    def forward(self, planes: Tensor) -> Tensor:
        """An image with values in [-1, 1]."""
        image: Tensor = self.model(planes)
        return image


class LocalEnhancer(nn.Module):
    """The global generator at half size, and around it the local enhancer at full size.

    Wang et al. 2018, section 3.1, figure 3 and appendix A ("Generator: G2"): ``c7s1-32, d64, R64 x blocks, u32, c7s1-3``; the
    residual part gets the sum of the enhancer's features and of the last features of the global generator, which sees the input
    averaged over 3x3 pixels at every second one. The modules have the names and order of the authors' code, so that the state
    dict of the network that they published fits.
    """

    def __init__(self, settings: SynthesisGeneratorSettings, in_channels: int) -> None:
        super().__init__()
        width, noise = settings.width, settings.noise
        whole = global_layers(
            in_channels, 3, width=2 * width, halvings=settings.halvings, blocks=settings.blocks,
            dropout=settings.dropout, noise=noise,
        )  # fmt: skip
        self.model = whole[:-3]
        self.model1_1 = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normalised(nn.Conv2d(in_channels, width, 7), noise, nn.ReLU(inplace=True)),
            *_normalised(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), noise, nn.ReLU(inplace=True)),
        )
        self.model1_2 = nn.Sequential(
            *[ResidualBlock(2 * width, settings.dropout, noise) for _ in range(settings.local_blocks)],
            *_doubled(2 * width, noise),
            *image_layers(width, 3),
        )

    def forward(self, planes: Tensor) -> Tensor:
        """An image with values in [-1, 1]."""
        coarse = self.model(half_size(planes))
        image: Tensor = self.model1_2(self.model1_1(planes) + coarse)
        return image


def half_size(planes: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels _ _"]:
    """The mean over 3x3 pixels at every second one, as the authors' code has it for generators and discriminators."""
    return F.avg_pool2d(planes, 3, stride=2, padding=1, count_include_pad=False)


class UNet(nn.Module):
    """The U-Net of Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, appendix 6.1.1.

    Encoder ``C64-C128-C256-C512-C512-...`` of 4x4 convolutions with stride 2 and leaky ReLU of slope 0.2; the decoder mirrors it
    with ReLU, with dropout in its first three layers, and sees each level's features beside what comes from below. Departure, as
    in the authors' code for batches of one: instance norm, and none around the deepest features, which may be a single pixel.
    """

    def __init__(self, settings: SynthesisGeneratorSettings, in_channels: int) -> None:
        super().__init__()
        widths = [settings.width * min(2**index, 8) for index in range(settings.halvings)]
        deepest = settings.halvings - 1
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            convolution = nn.Conv2d(widths[level - 1] if level else in_channels, width, 4, stride=2, padding=1)
            bare = level in (0, deepest)
            layers = [convolution] if bare else _normalised(convolution, settings.noise)
            self.down.append(nn.Sequential(*([nn.LeakyReLU(0.2)] if level else []), *layers))
        for level in range(deepest, 0, -1):
            joined = widths[level] * (1 if level == deepest else 2)
            grown = nn.ConvTranspose2d(joined, widths[level - 1], 4, stride=2, padding=1)
            dropped = settings.dropout and level > deepest - _DROPPED_LEVELS
            last = [Dropout(settings.dropout)] if dropped else []
            self.up.append(nn.Sequential(nn.ReLU(), *_normalised(grown, settings.noise, *last)))
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * widths[0], 3, 4, stride=2, padding=1), nn.Tanh())

    def forward(self, planes: Tensor) -> Tensor:
        """An image with values in [-1, 1]."""
        levels = []
        features = planes
        for down in self.down:
            features = down(features)
            levels.append(features)
        levels.pop()
        for up in self.up:
            features = torch.cat((levels.pop(), up(features)), 1)
        image: Tensor = self.last(features)
        return image


class SynthesisGenerator(nn.Module):
    """Any of the three networks, for inputs of any size. Weights start from N(0, 0.02), as in both papers."""

    def __init__(self, settings: SynthesisGeneratorSettings, in_channels: int) -> None:
        super().__init__()
        kinds = {"global": GlobalGenerator, "local": LocalEnhancer, "unet": UNet}
        self.settings = settings
        self.network = kinds[settings.network](settings, in_channels)
        initialise(self)

    def forward(self, planes: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch 3 height width"]:
        """An image with values in [-1, 1] for what the planes describe.

        Args:
            planes: See :func:`synth2real.synthesis.conditions.encode`; then feature planes, where it was trained with them. Any
                size from ``settings.minimum_size`` on; see :func:`padded`.

        Raises:
            ValueError: If a side is too short.
        """
        height, width = planes.shape[-2:]
        least = self.settings.minimum_size
        if min(height, width) < least:
            raise ValueError(f"expected sides of at least {least} pixels, got {height}x{width}")
        image: Tensor = self.network(padded(planes, self.settings.stride))
        return image[..., :height, :width]


def padded(
    planes: Float[Tensor, "batch channels height width"], stride: int
) -> Float[Tensor, "batch channels padded_height padded_width"]:
    """Reflected at the bottom and the right as far as height and width become multiples of ``stride``."""
    height, width = planes.shape[-2:]
    return F.pad(planes, (0, -width % stride, 0, -height % stride), mode="reflect")
