"""Generators: an image in, an image of the same size out."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from synth2real.models import ModelFileError, load_model, save_model

MODEL_KIND = "translator"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSettings:
    """The section ``translation.generator`` of params.yaml."""

    network: Literal["resnet", "unet"]
    """``resnet`` as in the CycleGAN paper (see :func:`resnet_layers`) or ``unet`` as in pix2pix (see :class:`UNetLevel`)."""
    width: int
    """Channels of the first layer; 64 in the papers."""
    blocks: int
    """Residual blocks of the ResNet; 6 for images of 128x128, 9 from 256x256 on in the paper."""
    depth: int
    """How often the U-Net halves its features' height and width; 8 in pix2pix, for images of 256x256."""
    upsampling: Literal["resize", "transposed"]
    """``transposed`` convolutions as in the paper, or bilinear ``resize`` and convolution (Odena et al., "Deconvolution and
    Checkerboard Artifacts", Distill 2016)."""
    residual: bool
    """Whether the network gives a change that is added to the image before the final tanh, and starts from none, so that an
    untrained translator keeps its input (Shen & Liu, "Learning Residual Images for Face Attribute Manipulation", CVPR 2017).
    Not in the CycleGAN paper; it spares a short training from first learning to copy."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")
        if self.blocks < 0:
            raise ValueError(f"blocks must be at least 0, got {self.blocks}")
        if not 2 <= self.depth <= 10:
            raise ValueError(f"depth must be in [2, 10], got {self.depth}")

    @property
    def stride(self) -> int:
        """Pixels of the image a pixel of the deepest features: images are padded to a multiple of it."""
        return 4 if self.network == "resnet" else int(2**self.depth)

    @property
    def minimum_size(self) -> int:
        """The least height and width: below, reflection padding has nothing to reflect."""
        return 8 if self.network == "resnet" else self.stride // 2 + 1


_ALMOST_ONE: Final = 0.98
"""Images are scaled by it before the inverse tanh, which is infinite at 1."""


class InstanceNorm(nn.Module):
    """Instance normalisation without learned scale (Ulyanov et al. 2016).

    Computed as group normalisation with one channel a group: the same function, for which PyTorch has the faster code (a
    generator's forward and backward pass takes a fifth less time on CPU).
    """

    def forward(self, features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """``(x - mean) / sqrt(variance + 1e-5)``, both over height and width."""
        return F.group_norm(features, features.shape[1])


class _ResidualBlock(nn.Module):
    """Rk: two 3x3 convolutions with reflection padding; no ReLU after the sum (He et al. 2016; Johnson et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = features + self.layers(features)
        return changed


class _Resize(nn.Module):
    """Doubles height and width bilinearly."""

    def forward(self, features: Tensor) -> Tensor:
        return F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def _resized(channels: int, out_channels: int) -> list[nn.Module]:
    return [_Resize(), nn.ReflectionPad2d(1), nn.Conv2d(channels, out_channels, 3)]


def resnet_layers(settings: GeneratorSettings) -> nn.Sequential:
    """The generator of Zhu et al. 2017, appendix 7.2: ``c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3``.

    Instance norm and ReLU follow each convolution but the last.
    """
    width = settings.width
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), InstanceNorm(), nn.ReLU(inplace=True)]
    for channels in (width, 2 * width):
        layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), InstanceNorm(), nn.ReLU(inplace=True)]
    layers += [_ResidualBlock(4 * width) for _ in range(settings.blocks)]
    for channels in (4 * width, 2 * width):
        if settings.upsampling == "transposed":
            layers.append(nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1))
        else:
            layers += _resized(channels, channels // 2)
        layers += [InstanceNorm(), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7))


class UNetLevel(nn.Module):
    """One level of the U-Net of Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.

    Appendix 6.1.1: encoder ``C64-C128-C256-C512-C512-...`` of 4x4 convolutions with stride 2 and leaky ReLU of slope 0.2, decoder
    mirrored with ReLU, and each level's input joined to its output. Departures, as in the CycleGAN authors' code: instance norm
    (not around the deepest features, which may be a single pixel), no dropout.
    """

    def __init__(self, settings: GeneratorSettings, level: int = 0) -> None:
        """Builds this level and all below.

        Args:
            settings: Width, depth and upsampling.
            level: 0 is the outermost, which joins nothing.
        """
        super().__init__()
        self.level = level
        outer, inner = (settings.width * min(2**index, 8) for index in (max(level - 1, 0), level))
        deepest = level == settings.depth - 1
        down: list[nn.Module] = [nn.LeakyReLU(0.2)] if level else []
        down.append(nn.Conv2d(outer if level else 3, inner, 4, stride=2, padding=1))
        if level and not deepest:
            down.append(InstanceNorm())
        below = [] if deepest else [UNetLevel(settings, level + 1)]
        joined, given = (1 if deepest else 2) * inner, outer if level else 3
        up: list[nn.Module] = [nn.ReLU()]
        if settings.upsampling == "transposed":
            up.append(nn.ConvTranspose2d(joined, given, 4, stride=2, padding=1))
        else:
            up += _resized(joined, given)
        self.layers = nn.Sequential(*down, *below, *up, *([InstanceNorm()] if level else []))

    def forward(self, features: Tensor) -> Tensor:
        """The level's input beside what this level and those below make of it."""
        made: Tensor = self.layers(features)
        return torch.cat((features, made), 1) if self.level else made


class Generator(nn.Module):
    """Translates images from one look to the other.

    Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017, appendix 7: the
    network ends in tanh; weights start from N(0, 0.02). Departures, each by parameter: network, width, upsampling, residual.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.layers = resnet_layers(settings) if settings.network == "resnet" else UNetLevel(settings)
        initialise(self)
        if settings.residual:
            convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
            nn.init.zeros_(convolutions[-1].weight)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Translates images with values in [-1, 1].

        Args:
            images: Of any size from ``settings.minimum_size``; sides that are no multiple of ``settings.stride`` are padded by
                reflection, the result is cropped back. Instance norm takes its statistics over the whole image, so a crop is
                translated slightly differently.

        Raises:
            ValueError: If a side is too short.
        """
        height, width = images.shape[-2:]
        stride, least = self.settings.stride, self.settings.minimum_size
        if min(height, width) < least:
            raise ValueError(f"expected images with sides of at least {least} pixels, got {height}x{width}")
        padded = F.pad(images, (0, -width % stride, 0, -height % stride), mode="reflect")
        change = self.layers(padded)[..., :height, :width]
        if self.settings.residual:
            change = change + torch.atanh(_ALMOST_ONE * images)
        return torch.tanh(change)


def initialise(network: nn.Module) -> None:
    """Draws all convolution weights from N(0, 0.02) and zeroes their biases (appendix 7.1 of the paper)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Generators(NamedTuple):
    """Both directions, each named by where it leads: ``to_target`` gives source content the target's look."""

    to_target: Generator
    to_source: Generator


def save_generators(path: Path, generators: Generators) -> None:
    """Writes a model file for :func:`load_generators`."""
    state = {
        f"{name}.{key}": tensor
        for name, network in zip(Generators._fields, generators, strict=True)
        for key, tensor in network.state_dict().items()
    }
    save_model(path, MODEL_KIND, {"generator": dataclasses.asdict(generators.to_target.settings)}, state)


def load_generators(path: Path, device: torch.device) -> Generators:
    """Reads a trained translator, ready for inference.

    Raises:
        ModelFileError: If the file is missing, damaged, of another kind, or its settings are others than now, or do not fit its
            weights.
    """
    model = load_model(path, MODEL_KIND)
    try:
        settings = TypeAdapter(GeneratorSettings).validate_python(model.settings["generator"])
    except (KeyError, ValidationError) as error:
        raise ModelFileError(f"{path}: its settings are not those of a generator ({error}); train it again.") from None
    generators = []
    for name in Generators._fields:
        network = Generator(settings)
        prefix = f"{name}."
        weights = {key.removeprefix(prefix): tensor for key, tensor in model.state_dict.items() if key.startswith(prefix)}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelFileError(f"{path}: its weights do not fit its settings {settings}: {error}") from None
        generators.append(network.to(device).eval().requires_grad_(False))
    return Generators(*generators)
