"""The PatchGAN discriminator: says for each overlapping patch of an image whether it looks real."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from synth2real.translation.generators import InstanceNorm, initialise


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorSettings:
    """The section ``translation.discriminator`` of params.yaml."""

    width: int
    """Channels of the first layer; 64 in the paper."""
    layers: int
    """Convolutions of stride 2; 3 gives the paper's patches of 70x70 pixels, 2 gives 34x34, 1 gives 16x16."""

    def __post_init__(self) -> None:
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class PatchDiscriminator(nn.Module):
    """Logits for overlapping patches (Isola et al., CVPR 2017).

    Zhu et al. 2017, appendix 7.2: ``C64-C128-C256-C512`` of 4x4 convolutions with stride 2 (the last one with stride 1), instance
    norm but in the first, leaky ReLU of slope 0.2, and a convolution to one channel. With more layers the width stays at 8 times
    the first one's.
    """

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        widths = [settings.width * min(2**index, 8) for index in range(settings.layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for index in range(1, len(widths)):
            stride = 2 if index < settings.layers else 1
            layers += [
                nn.Conv2d(widths[index - 1], widths[index], 4, stride=stride, padding=1),
                InstanceNorm(),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1))
        initialise(self)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows columns"]:
        """Gives one logit a patch, high where the patch looks real.

        Args:
            images: Values in [-1, 1].
        """
        logits: Tensor = self.layers(images)
        return logits
