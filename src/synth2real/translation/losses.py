"""The terms of the objective. Each is a mean, so it does not depend on batch or image size.

Adversarial terms take one tensor of logits a scale and sum over the scales (Wang et al., CVPR 2018, equation 3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

AdversarialObjective = Literal["lsgan", "vanilla", "hinge", "wgan_gp"]
Logits = Sequence[Float[Tensor, "batch 1 _ _"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """The section ``translation.loss`` of params.yaml."""

    adversarial: AdversarialObjective
    """See :func:`generator_loss`; ``lsgan`` in the paper."""
    cycle: float
    """Weight of the cycle consistency loss; lambda = 10 in the paper."""
    identity: float
    """Weight of the identity loss; 0.5 lambda = 5 where the paper uses it, 0 switches it off (and saves its passes)."""
    semantic: float
    """Weight of the semantic consistency loss (see :func:`semantic_consistency_loss`), which needs a trained segmenter; 0 in
    CycleGAN, 1 in CyCADA."""
    gradient_penalty: float
    """Weight of ``wgan_gp``'s penalty; 10 in its paper. Other objectives do not use it."""

    def __post_init__(self) -> None:
        for name in ("cycle", "identity", "semantic", "gradient_penalty"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


def generator_loss(translated_logits: Logits, objective: AdversarialObjective) -> Float[Tensor, ""]:
    """What a generator pays where its discriminator sees through it.

    - ``lsgan``: ``mean (D(G(x)) - 1)^2``. Mao et al., ICCV 2017, equation 9 with a = 0, b = c = 1; Zhu et al. 2017, section 4.
    - ``vanilla``: ``-mean log sigmoid(D(G(x)))``, the non-saturating form. Goodfellow et al., NIPS 2014, section 3.
    - ``hinge``: ``-mean D(G(x))``. Lim & Ye, "Geometric GAN", 2017; Miyato et al., ICLR 2018, equation 17.
    - ``wgan_gp``: ``-mean D(G(x))``. Gulrajani et al., "Improved Training of Wasserstein GANs", NIPS 2017, algorithm 1.
    """
    return torch.stack([_generator_loss(logits, objective) for logits in translated_logits]).sum()


def _generator_loss(logits: Tensor, objective: AdversarialObjective) -> Tensor:
    if objective == "lsgan":
        return (logits - 1).square().mean()
    if objective == "vanilla":
        return F.softplus(-logits).mean()
    return -logits.mean()


def discriminator_loss(real_logits: Logits, translated_logits: Logits, objective: AdversarialObjective) -> Float[Tensor, ""]:
    """What a discriminator pays for taking the one for the other.

    - ``lsgan``: half of ``mean (D(y) - 1)^2 + mean D(G(x))^2``; 0.25 for a discriminator that always says 0.5.
    - ``vanilla``: half of ``-mean log sigmoid(D(y)) - mean log(1 - sigmoid(D(G(x))))``; log 2 for one that always says 0.
    - ``hinge``: ``mean max(0, 1 - D(y)) + mean max(0, 1 + D(G(x)))``.
    - ``wgan_gp``: ``mean D(G(x)) - mean D(y)``, to which :func:`gradient_penalty` is added.

    Sources as in :func:`generator_loss`; Miyato et al. 2018, equation 16. The halves are those of Isola et al. 2017 (section 3.3)
    and Zhu et al. 2017 (section 7.1), to slow the discriminator down relative to the generator.
    """
    pairs = zip(real_logits, translated_logits, strict=True)
    return torch.stack([_discriminator_loss(real, translated, objective) for real, translated in pairs]).sum()


def _discriminator_loss(real: Tensor, translated: Tensor, objective: AdversarialObjective) -> Tensor:
    if objective == "lsgan":
        return ((real - 1).square().mean() + translated.square().mean()) / 2
    if objective == "vanilla":
        return (F.softplus(-real).mean() + F.softplus(translated).mean()) / 2
    if objective == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + translated).mean()
    return translated.mean() - real.mean()


def gradient_penalty(
    discriminator: Callable[[Tensor], Logits],
    real: Float[Tensor, "batch 3 height width"],
    translated: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, ""]:
    """``mean (||gradient of D at x||_2 - 1)^2`` for x on the lines between real and translated images.

    Gulrajani et al. 2017, equation 3. D is the mean over an image's patches, as in the loss; x is one random point for each pair
    of images, drawn from PyTorch's global generator. Its own gradient reaches the discriminator only.

    Args:
        discriminator: Gives logits a scale; each scale has a penalty of its own.
        real: Real images.
        translated: As many translated ones.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(translated.detach(), real, share).requires_grad_(True)
    penalties = []
    for logits in discriminator(between):
        (gradient,) = torch.autograd.grad(logits.mean((1, 2, 3)).sum(), between, create_graph=True)
        penalties.append((gradient.flatten(1).norm(dim=1) - 1).square().mean())
    return torch.stack(penalties).sum()


def reconstruction_loss(
    images: Float[Tensor, "batch 3 height width"], reconstructed: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, ""]:
    """``mean |F(G(x)) - x|`` of the cycle (Zhu et al. 2017, equation 2) and ``mean |G(y) - y|`` of the identity (section 5.2)."""
    return F.l1_loss(reconstructed, images)


def semantic_consistency_loss(
    real_logits: Float[Tensor, "batch classes height width"], translated_logits: Float[Tensor, "batch classes height width"]
) -> Float[Tensor, ""]:
    """Cross-entropy between a frozen segmenter's view of translated images and its arg max on the images before translation.

    Hoffman et al., "CyCADA: Cycle-Consistent Adversarial Domain Adaptation", ICML 2018, equation 5 (one of its two terms). It
    keeps trees out of the sky: what was sky to the segmenter must still be sky to it.

    Args:
        real_logits: Before translation; no gradient flows into them.
        translated_logits: After it.
    """
    return F.cross_entropy(translated_logits, real_logits.detach().argmax(1))
