"""How alike images are to a network that was trained to recognise things."""

from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import torch
from jaxtyping import Float
from timm import create_model
from torch import Tensor, nn
from torchvision.models import vgg19

from synth2real.encoders import OFFLINE_ENCODER, offline_state_dict
from synth2real.models import ModelFileError

PerceptualNetwork = Literal["vgg19", "tf_efficientnet_lite0"]
_LAYER_WEIGHTS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
_VGG19_ENDS: Final = (2, 7, 12, 21, 30)
"""One past the layers relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 of torchvision's ``vgg19().features``."""


class _Vgg19(nn.Module):
    """Five layers of VGG19 (Simonyan & Zisserman, ICLR 2015)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        with torch.device("meta"):
            whole = vgg19(weights=None).features[: _VGG19_ENDS[-1]]
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            weights = {name: state[f"features.{name}"] for name in whole.state_dict()}
            whole.load_state_dict(weights, assign=True)
        except FileNotFoundError:
            raise ModelFileError(f"{path}: no such file. {_REMEDY}") from None
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelFileError(
                f"{path}: no weights of torchvision's vgg19 ({type(error).__name__}: {reason}). {_REMEDY}"
            ) from None
        for module in whole:
            if isinstance(module, nn.ReLU):
                module.inplace = False
        self.parts = nn.ModuleList(whole[start:stop] for start, stop in pairwise((0, *_VGG19_ENDS)))

    def forward(self, images: Tensor) -> list[Tensor]:
        features = [images]
        for part in self.parts:
            features.append(part(features[-1]))
        return features[1:]


_REMEDY: Final = "Set synthesis.loss.vgg19_weights to torchvision's vgg19-dcbb9e9d.pth, or to null."


class _Offline(nn.Module):
    """EfficientNet-Lite0's features at strides 2, 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = create_model(OFFLINE_ENCODER, features_only=True)
        state = offline_state_dict()
        self.encoder.load_state_dict({name: state[name] for name in self.encoder.state_dict()})

    def forward(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.encoder(images)
        return features


class Perceptual(nn.Module):
    """Five layers' features of a frozen network; its distances reach the images, not its weights."""

    def __init__(self, vgg19_weights: Path | None) -> None:
        """Reads the weights.

        Args:
            vgg19_weights: State dict of torchvision's ``vgg19``; None takes EfficientNet-Lite0, whose weights come with the
                project. Distances of the two cannot be compared, so each bears its network's name.

        Raises:
            ModelFileError: If the file is missing, damaged, or holds no such weights.
        """
        super().__init__()
        self.name: PerceptualNetwork = "vgg19" if vgg19_weights else "tf_efficientnet_lite0"
        self.network = _Vgg19(vgg19_weights) if vgg19_weights else _Offline()
        self.requires_grad_(False).eval()

    def loss(
        self, real: Float[Tensor, "batch 3 height width"], painted: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, ""]:
        """``sum_i w_i mean |F_i(x) - F_i(G(s))|`` over five layers, with the weights 1/32, 1/16, 1/8, 1/4 and 1.

        Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016, in the form of
        pix2pixHD (Wang et al. 2018, section 4) and SPADE (Park et al., CVPR 2019), whose code gives VGG19 images in [-1, 1] as
        they are.

        Args:
            real: Values in [-1, 1]; no gradient flows into them.
            painted: Likewise; the gradient's goal.
        """
        with torch.no_grad():
            wanted = self.network(real)
        pairs = zip(_LAYER_WEIGHTS, wanted, self.network(painted), strict=True)
        return torch.stack([weight * (one - other).abs().mean() for weight, one, other in pairs]).sum()

    @torch.no_grad()
    def distance(
        self, first: Float[Tensor, "batch 3 height width"], second: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, " batch"]:
        """How different images look: ``sum_i mean over pixels ||u_i(x) - u_i(y)||^2`` with features u of unit length.

        Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, equation 1 with all
        channel weights 1 (LPIPS learns them), so figures are comparable with one another only.
        """
        total = torch.zeros(len(first), device=first.device)
        for one, other in zip(self.network(first), self.network(second), strict=True):
            units = [features / features.norm(dim=1, keepdim=True).clamp_min(1e-10) for features in (one, other)]
            total += (units[0] - units[1]).square().sum(1).mean((1, 2))
        return total
