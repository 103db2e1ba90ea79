"""What the detectors of all libraries do with a backbone of timm."""

from typing import Any

import torch
from torch import nn


def feature_info(body: nn.Module) -> Any:
    """What timm says of a ``features_only`` backbone's feature maps: their strides (``reduction()``) and ``channels()``."""
    return body.feature_info


def freeze(body: nn.Module, levels: int, stride: int) -> None:
    """Stops learning in all parameters that the first feature maps depend on.

    Args:
        body: A ``features_only`` backbone of timm.
        levels: How many of its feature maps; 0 changes nothing.
        stride: Of its coarsest feature map.
    """
    if levels:
        parameters = [parameter for parameter in body.parameters() if parameter.requires_grad]
        was_training = body.training
        maps = body.eval()(torch.zeros(1, 3, 2 * stride, 2 * stride))
        body.train(was_training)
        used = torch.autograd.grad(sum(features.sum() for features in maps[:levels]), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, used, strict=True):
            parameter.requires_grad_(gradient is None)
