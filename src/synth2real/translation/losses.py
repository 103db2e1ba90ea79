"""The terms of CycleGAN's objective. Each is a mean, so it does not depend on batch or image size."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """The section ``translation.loss`` of params.yaml."""

    cycle: float
    """Weight of the cycle consistency loss; lambda = 10 in the paper."""
    identity: float
    """Weight of the identity loss; 0.5 lambda = 5 where the paper uses it, 0 switches it off (and saves its passes)."""

    def __post_init__(self) -> None:
        for name in ("cycle", "identity"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


def generator_loss(translated_logits: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, ""]:
    """What a generator pays where its discriminator sees through it: ``mean (D(G(x)) - 1)^2``.

    Least-squares GAN: Mao et al., ICCV 2017, equation 9 with a = 0, b = c = 1; Zhu et al. 2017, section 4.
    """
    return (translated_logits - 1).square().mean()


def discriminator_loss(
    real_logits: Float[Tensor, "batch 1 rows columns"], translated_logits: Float[Tensor, "batch 1 rows columns"]
) -> Float[Tensor, ""]:
    """Half of ``mean (D(y) - 1)^2 + mean D(G(x))^2``; 0.25 for a discriminator that always says 0.5.

    Mao et al. 2017, equation 9. Zhu et al. 2017 (section 7.1) halve it to slow the discriminator down relative to the generator.
    """
    return ((real_logits - 1).square().mean() + translated_logits.square().mean()) / 2


def reconstruction_loss(
    images: Float[Tensor, "batch 3 height width"], reconstructed: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, ""]:
    """``mean |F(G(x)) - x|`` of the cycle (Zhu et al. 2017, equation 2) and ``mean |G(y) - y|`` of the identity (section 5.2)."""
    return F.l1_loss(reconstructed, images)
