"""The ResNet generator of CycleGAN: an image in, an image of the same size out."""

from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STRIDE = 4
"""The residual blocks work at a quarter of the image's height and width."""
MINIMUM_SIZE: Final = 8
"""Below this, reflection padding has nothing to reflect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSettings:
    """The section ``translation.generator`` of params.yaml."""

    width: int
    """Channels of the first layer; 64 in the paper."""
    blocks: int
    """Residual blocks; 6 for images of 128x128, 9 from 256x256 on in the paper."""
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


class ResnetGenerator(nn.Module):
    """Translates images from one look to the other.

    Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017, appendix 7.2:
    ``c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3``, instance norm and ReLU after each but the last, tanh at the end;
    weights start from N(0, 0.02). Departures, each by parameter: width, upsampling, residual output.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        width = settings.width
        self.residual = settings.residual
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), InstanceNorm(), nn.ReLU(inplace=True)]
        for channels in (width, 2 * width):
            layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), InstanceNorm(), nn.ReLU(inplace=True)]
        layers += [_ResidualBlock(4 * width) for _ in range(settings.blocks)]
        for channels in (4 * width, 2 * width):
            if settings.upsampling == "transposed":
                layers.append(nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1))
            else:
                layers += [_Resize(), nn.ReflectionPad2d(1), nn.Conv2d(channels, channels // 2, 3)]
            layers += [InstanceNorm(), nn.ReLU(inplace=True)]
        last = nn.Conv2d(width, 3, 7)
        self.layers = nn.Sequential(*layers, nn.ReflectionPad2d(3), last)
        initialise(self)
        if self.residual:
            nn.init.zeros_(last.weight)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Translates images with values in [-1, 1].

        Args:
            images: Of any size from 8x8; sides that are no multiple of 4 are padded by reflection, the result is cropped back.
                Instance norm takes its statistics over the whole image, so a crop is translated slightly differently.

        Raises:
            ValueError: If a side is below 8.
        """
        height, width = images.shape[-2:]
        if min(height, width) < MINIMUM_SIZE:
            raise ValueError(f"expected images with sides of at least {MINIMUM_SIZE} pixels, got {height}x{width}")
        padded = F.pad(images, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        change = self.layers(padded)[..., :height, :width]
        if self.residual:
            change = change + torch.atanh(_ALMOST_ONE * images)
        return torch.tanh(change)


def initialise(network: nn.Module) -> None:
    """Draws all convolution weights from N(0, 0.02) and zeroes their biases (appendix 7.1 of the paper)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
