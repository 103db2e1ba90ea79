"""Networks in whose feature space sets of images are compared, and what is measured of each frame."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8, UInt16
from rich.progress import track
from timm import create_model
from torch import Tensor, nn
from torch_fidelity import FeatureExtractorInceptionV3

from synth2real.encoders import IMAGE_MEAN, IMAGE_STD, OFFLINE_ENCODER, load_encoder_weights
from synth2real.frames import Frame, FrameSet, resize_image
from synth2real.models import ModelFileError

INCEPTION: Final = "inception-v3-compat"
"""Torch-fidelity's name of the Inception-v3 that FID and KID are defined with, which is TensorFlow's of 2015."""
_BATCH = 8
_PIXELS = 32
"""Each frame gives the colours of a 32x32 grid of its pixels."""


class Protocol(NamedTuple):
    """How features are made; only features of one protocol can be compared."""

    network: str
    """``tf_efficientnet_lite0`` or ``inception-v3-compat``."""
    weights: str
    """The first sixteen hexadecimal digits of the SHA-256 of its weights."""
    size: str
    """``heightxwidth`` at which it sees every frame."""


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """A network that gives a vector for each image."""

    network: nn.Module
    protocol: Protocol
    device: torch.device
    size: tuple[int, int] | None
    """(height, width) to which frames are resized here; None where the network does it."""

    @torch.inference_mode()
    def __call__(self, images: list[UInt8[np.ndarray, "height width 3"]]) -> Float32[np.ndarray, "batch features"]:
        """Features of images of one size."""
        if self.size is not None:
            images = [resize_image(image, self.size) for image in images]
        batch = torch.from_numpy(np.stack(images)).to(self.device).permute(0, 3, 1, 2)
        output: Tensor = self.network(batch)
        return output.float().cpu().numpy()


class _Offline(nn.Module):
    """EfficientNet-Lite0's pooled features (1280) of 8-bit images."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = create_model(OFFLINE_ENCODER, num_classes=0)
        load_encoder_weights(self.encoder, OFFLINE_ENCODER, "offline")

    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> Tensor:
        scaled = (images.float() / 255 - IMAGE_MEAN) / IMAGE_STD
        pooled: Tensor = self.encoder(scaled.contiguous(memory_format=torch.channels_last))
        return pooled


class _Inception(nn.Module):
    """Inception-v3's pooled features (2048) of 8-bit images, resized to 299x299 as TensorFlow did."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.network = FeatureExtractorInceptionV3(INCEPTION, ["2048"], feature_extractor_weights_path=str(path))

    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> Tensor:
        (features,) = self.network(images)
        return features  # type: ignore[no-any-return]


def feature_extractor(inception_weights: Path | None, size: tuple[int, int], device: torch.device) -> FeatureExtractor:
    """The network that compares frames: Inception-v3 where its weights are at hand, else EfficientNet-Lite0.

    Args:
        inception_weights: Torch-fidelity's file ``weights-inception-2015-12-05-6726825d.pth``; None for EfficientNet-Lite0.
        size: (height, width) at which EfficientNet-Lite0 sees every frame; Inception-v3 always sees 299x299.
        device: Where it computes.

    Raises:
        ModelFileError: If the file is missing, damaged, or holds no weights of this network.
    """
    if inception_weights is None:
        network: nn.Module = _Offline()
        name, seen = OFFLINE_ENCODER, size
    else:
        network, name, seen = _load_inception(inception_weights), INCEPTION, (299, 299)
    protocol = Protocol(name, weights_digest(network), f"{seen[0]}x{seen[1]}")
    return FeatureExtractor(network.to(device).eval(), protocol, device, None if inception_weights else size)


def _load_inception(path: Path) -> nn.Module:
    remedy = "Set translation_scores.inception_weights to torch-fidelity's weights-inception-2015-12-05-6726825d.pth, or to null."
    try:
        torch.load(path, map_location="cpu", weights_only=True)  # refuses a file with code in it, before the library loads it
        return _Inception(path)
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file. {remedy}") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path}: no weights of Inception-v3 as torch-fidelity has it ({reason}). {remedy}") from None


def weights_digest(network: nn.Module) -> str:
    """The first sixteen hexadecimal digits of the SHA-256 of all weights."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]


# --- Colours along directions ------------------------------------------------------------------------------------------


def _half_sphere(count: int) -> Float64[np.ndarray, "3 count"]:
    """Unit vectors evenly spread on the half sphere, on a spiral of the golden angle."""
    heights = (np.arange(count) + 0.5) / count
    turns = np.arange(count) * np.pi * (3 - np.sqrt(5))
    radii = np.sqrt(1 - heights**2)
    return np.stack((radii * np.cos(turns), radii * np.sin(turns), heights))


_DIRECTIONS: Final = _half_sphere(64)
_LOWEST: Final = 255 * np.minimum(_DIRECTIONS, 0).sum(axis=0)
"""What the darkest colour of each direction is projected to."""
_BINS: Final = 1 + int(np.ceil(255 * np.sqrt(3)))
"""The colour cube is nowhere longer than this, in 8-bit steps."""


def colour_histograms(pixels: UInt8[np.ndarray, "pixels 3"]) -> UInt16[np.ndarray, "directions bins"]:
    """How many colours fall on each 8-bit step of their projections on 64 directions.

    Args:
        pixels: RGB, fewer than 65536.
    """
    steps = (pixels @ _DIRECTIONS - _LOWEST).astype(np.intp) + _BINS * np.arange(_DIRECTIONS.shape[1])
    counts = np.bincount(steps.ravel(), minlength=_BINS * _DIRECTIONS.shape[1])
    return counts.reshape(-1, _BINS).astype(np.uint16)


# --- What is measured of a frame set -----------------------------------------------------------------------------------


class Statistics(NamedTuple):
    """What the distances need of a frame set."""

    features: Float32[np.ndarray, "frames features"]
    colours: UInt16[np.ndarray, "frames directions bins"]
    """:func:`colour_histograms` of a grid of pixels of each frame."""
    protocol: Protocol

    def of(self, chosen: np.ndarray) -> "Statistics":
        """Those of some of the frames, by their numbers."""
        return Statistics(self.features[chosen], self.colours[chosen], self.protocol)


def _batches(frames: FrameSet) -> Iterator[list[Frame]]:
    """Neighbouring frames of one size. Which frames share a batch depends on the frame set alone, so bits do too."""
    for _, alike in groupby(frames.frames, key=lambda frame: (frame.height, frame.width)):
        run = list(alike)
        yield from (run[start : start + _BATCH] for start in range(0, len(run), _BATCH))


def statistics(frames: FrameSet, extractor: FeatureExtractor) -> Statistics:
    """Reads frames, a few at a time, and takes their features and colours.

    Raises:
        FrameError: If an image is missing or damaged.
    """
    features, colours = [], []
    with ThreadPoolExecutor(2) as pool:
        for batch in track(list(_batches(frames)), f"features of {frames.root}"):
            images = list(pool.map(partial(FrameSet.image, frames), batch))
            features.append(extractor(images))
            rows, columns = (np.linspace(0, side - 1, _PIXELS).round().astype(int) for side in images[0].shape[:2])
            colours += [colour_histograms(image[np.ix_(rows, columns)].reshape(-1, 3)) for image in images]
    return Statistics(np.concatenate(features), np.stack(colours), extractor.protocol)
