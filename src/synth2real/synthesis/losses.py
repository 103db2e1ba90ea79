"""The terms of the objective that translation does not have. Each is a mean, so it does not depend on batch or image size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from synth2real.synthesis.discriminators import Judgement
from synth2real.translation.losses import AdversarialObjective


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisLossSettings:
    """The section ``synthesis.loss`` of params.yaml."""

    adversarial: AdversarialObjective
    """See :func:`synth2real.translation.losses.generator_loss`; ``vanilla`` in pix2pix, ``lsgan`` in pix2pixHD."""
    l1: float
    """Weight of the mean absolute difference to the photo; 100 in pix2pix (Isola et al. 2017, equation 3), 0 in pix2pixHD."""
    feature_matching: float
    """Weight of :func:`feature_matching_loss`; 10 in pix2pixHD (Wang et al. 2018, equation 5), 0 in pix2pix."""
    perceptual: float
    """Weight of :meth:`synth2real.synthesis.perceptual.Perceptual.loss`; 10 in pix2pixHD and SPADE, 0 in pix2pix."""
    vgg19_weights: Path | None
    """State dict of torchvision's ``vgg19``, whose features that loss compares in the papers; null takes EfficientNet-Lite0."""
    gradient_penalty: float
    """Weight of ``wgan_gp``'s penalty; 10 in its paper. Other objectives do not use it."""

    def __post_init__(self) -> None:
        for name in ("l1", "feature_matching", "perceptual", "gradient_penalty"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


def feature_matching_loss(real: Sequence[Judgement], painted: Sequence[Judgement]) -> Float[Tensor, ""]:
    """How far the discriminators' features of painted images are from those of the photos.

    ``sum_i 1/N_i |D_k^(i)(s, x) - D_k^(i)(s, G(s))|_1`` (Wang et al. 2018, equation 4), over the layers i before the logits, in
    the form of the authors' code: the mean over layers and scales k, times 4.

    Args:
        real: What the discriminators make of the photos; no gradient flows into it.
        painted: What they make of the painted images.
    """
    differences = [
        (one.detach() - other).abs().mean()
        for of_real, of_painted in zip(real, painted, strict=True)
        for one, other in zip(of_real[:-1], of_painted[:-1], strict=True)
    ]
    return 4 * torch.stack(differences).mean()
