"""Instance-wise features: what each object looks like, beyond its class and outline (Wang et al. 2018, section 3.4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Integer
from torch import Tensor, nn

from synth2real.label_space import INSTANCE_FACTOR
from synth2real.synthesis.conditions import LABEL_CHANNELS
from synth2real.synthesis.generators import global_layers, padded
from synth2real.translation.generators import initialise


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSettings:
    """The section ``synthesis.features`` of params.yaml: the feature encoder (Wang et al. 2018, section 3.4)."""

    channels: int
    """Numbers that describe an instance; 3 in the paper, 0 for no encoder."""
    width: int
    """Channels of the encoder's first layer; 16 in the authors' code."""
    halvings: int
    """How often the encoder halves the features' height and width; 4 in the paper."""
    clusters: int
    """Looks that are kept for each class, the means of K-means; 10 in the paper."""

    def __post_init__(self) -> None:
        for name, least in (("channels", 0), ("width", 1), ("halvings", 1), ("clusters", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


class Clusters(NamedTuple):
    """Looks of each class."""

    centres: Float[Tensor, "classes clusters channels"]
    """By label id; zeros from the class's number of clusters on."""
    counts: Int[Tensor, " classes"]
    """Clusters of each label id; 0 for classes that the training images do not show."""


class FeatureEncoder(nn.Module):
    """From a photo, three numbers a pixel, each the mean over the pixel's instance.

    Wang et al. 2018, section 3.4 and appendix A: ``c7s1-16, d32, d64, d128, d256, u128, u64, u32, u16, c7s1-3``.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        super().__init__()
        self.layers = global_layers(3, settings.channels, width=settings.width, halvings=settings.halvings, blocks=0)
        self.stride = 2**settings.halvings
        initialise(self)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], instance_ids: Integer[Tensor, "batch height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Feature planes, constant over each instance.

        Args:
            images: Values in [-1, 1].
            instance_ids: Cityscapes instance ids.
        """
        height, width = images.shape[-2:]
        features = self.layers(padded(images, self.stride))[..., :height, :width]
        return average_over_instances(features, instance_ids)


def average_over_instances(
    features: Float[Tensor, "batch channels height width"], instance_ids: Integer[Tensor, "batch height width"]
) -> Float[Tensor, "batch channels height width"]:
    """Each pixel's features replaced by their mean over the pixels of its image with its instance id."""
    batch, channels, height, width = features.shape
    frame = torch.arange(batch, device=features.device)[:, None, None]
    _, place = torch.unique(instance_ids.long() * batch + frame, return_inverse=True)
    flat = features.permute(0, 2, 3, 1).reshape(-1, channels)
    place = place.reshape(-1)
    segments = int(place.max()) + 1
    sums = flat.new_zeros(segments, channels).index_add(0, place, flat)
    means = sums / torch.bincount(place, minlength=segments)[:, None]
    return means[place].reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def class_of(instance_ids: Integer[Tensor, "*shape"]) -> Integer[Tensor, "*shape"]:
    """The label id of an instance id."""
    return torch.where(instance_ids < INSTANCE_FACTOR, instance_ids, instance_ids // INSTANCE_FACTOR)


class Looks(NamedTuple):
    """Features of the instances of one image."""

    instance_ids: Int[np.ndarray, " instances"]
    features: Float32[np.ndarray, "instances channels"]


def looks(planes: Float[Tensor, "channels height width"], instance_ids: Integer[Tensor, "height width"]) -> Looks:
    """What :class:`FeatureEncoder` gives for one image, once for each instance."""
    ids, first = np.unique(instance_ids.cpu().numpy(), return_index=True)
    values = planes.detach().cpu().float().flatten(1).numpy()[:, first].T
    return Looks(ids.astype(np.int64), np.ascontiguousarray(values, dtype=np.float32))


def cluster(found: Iterable[Looks], settings: FeatureSettings, seed: int) -> Clusters:
    """K-means over the looks of each class (Wang et al. 2018, section 3.4).

    A class with fewer instances than ``settings.clusters`` keeps each of them.

    Args:
        found: Looks of the training images.
        settings: Number of clusters.
        seed: Of the first centres.
    """
    every = list(found)
    ids = torch.from_numpy(np.concatenate([one.instance_ids for one in every]))
    classes, features = class_of(ids).numpy(), np.concatenate([one.features for one in every])
    centres = torch.zeros(LABEL_CHANNELS, settings.clusters, settings.channels)
    counts = torch.zeros(LABEL_CHANNELS, dtype=torch.int64)
    for label_id in np.unique(classes):
        own = features[classes == label_id]
        if len(own) > settings.clusters:
            cv2.setRNGSeed(seed)
            stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-4)
            _, _, own = cv2.kmeans(own, settings.clusters, None, stop, 3, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
        centres[label_id, : len(own)] = torch.from_numpy(own)
        counts[label_id] = len(own)
    return Clusters(centres, counts)


def sample_features(
    instance_ids: Integer[Tensor, "batch height width"], clusters: Clusters, generator: np.random.Generator
) -> Float[Tensor, "batch channels height width"]:
    """Feature planes in which each instance has a random look of its class, and zeros where the class has none.

    Args:
        instance_ids: Cityscapes instance ids.
        clusters: Of the trained encoder.
        generator: Chooses.
    """
    planes = []
    for one in instance_ids:
        ids, place = torch.unique(one.long(), return_inverse=True)
        classes = class_of(ids).cpu()
        chosen = torch.from_numpy((generator.random(len(ids)) * clusters.counts[classes].numpy()).astype(np.int64))
        values = clusters.centres[classes, chosen].to(instance_ids.device)
        planes.append(values[place].permute(2, 0, 1))
    return torch.stack(planes)
