"""What a synthesizer sees: one channel for each label id, and one for the boundaries of instances."""

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer, UInt8
from torch import Tensor

LABEL_CHANNELS: Final = 35
"""Of the one-hot label map: Cityscapes' ids 0..33, and one that stays empty, for what pix2pixHD's authors' networks take."""


def boundaries(instance_ids: Integer[Tensor, "*batch height width"]) -> Bool[Tensor, "*batch height width"]:
    """Pixels of which a neighbour above, below, left or right has another instance id.

    Wang et al. 2018, section 3.3: "a pixel in the instance boundary map is 1 if its object ID is different from any of its 4
    neighbors, and 0 otherwise".
    """
    edges = torch.zeros(instance_ids.shape, dtype=torch.bool, device=instance_ids.device)
    below = instance_ids[..., 1:, :] != instance_ids[..., :-1, :]
    beside = instance_ids[..., 1:] != instance_ids[..., :-1]
    edges[..., 1:, :] |= below
    edges[..., :-1, :] |= below
    edges[..., 1:] |= beside
    edges[..., :-1] |= beside
    return edges


def encode(
    label_ids: UInt8[Tensor, "batch height width"], instance_ids: Integer[Tensor, "batch height width"] | None
) -> Float[Tensor, "batch channels height width"]:
    """The network's input: 35 channels that are 1 where the pixel has the label id, and that of the boundaries.

    Args:
        label_ids: Cityscapes' ids, up to 33.
        instance_ids: Instance ids; None leaves the last channel out.
    """
    planes = F.one_hot(label_ids.long(), LABEL_CHANNELS).permute(0, 3, 1, 2)
    if instance_ids is not None:
        planes = torch.cat((planes, boundaries(instance_ids)[:, None]), 1)
    return planes.float()
