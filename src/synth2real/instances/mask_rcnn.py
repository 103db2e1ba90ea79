"""Mask R-CNN on a feature pyramid over any timm backbone.

He et al., "Mask R-CNN", ICCV 2017, with the feature pyramid of Lin et al., "Feature Pyramid Networks", CVPR 2017, as torchvision
implements them. A region proposal network (Ren et al., NeurIPS 2015) names boxes that hold something; for each, one head gives
class and refined box, another a binary mask per class, so that classes do not compete for pixels. The loss of a region is (He et
al., section 3) ``L = L_class + L_box + L_mask``, to which the proposal network adds its own objectness and box terms.

Departures: the backbone is a parameter (He et al.: ResNet-50/101), ``head_norm: group`` puts group normalisation into pyramid and
mask head (Wu & He, ECCV 2018), and all sizes are parameters, so that the network also trains on a CPU; params.yaml names the
published values.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, overload

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from synth2real.encoders import EncoderError, load_encoder_weights
from synth2real.instances.backbones import feature_info, freeze
from synth2real.instances.detectron2_network import Detectron2Detector, Detectron2Error, Detectron2Network
from synth2real.label_space import VEIS_LABELS
from synth2real.models import ModelFileError, load_model, save_model

NUM_DETECTOR_CLASSES: Final = 1 + len(VEIS_LABELS)
"""Background (0) and the ten foreground classes: class k is ``VEIS_LABELS[k - 1]``."""

_KIND: Final = "detector"
_GROUPS: Final = 8
_BOX_RESOLUTION: Final = 7
_MASK_RESOLUTION: Final = 14
"""Cells that a region is pooled to for the box head and the mask head; masks come out at twice that (He et al., figure 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """What the detector looks like."""

    backbone: str
    """timm's name of it."""
    backbone_weights: str
    """``offline``, ``timm``, ``random`` or a file: see :func:`synth2real.encoders.load_encoder_weights`."""
    backbone_norm: Literal["frozen", "batch"]
    """``frozen`` keeps the statistics of the pre-training, for batches of a few images; ``batch`` learns them."""
    frozen_levels: int
    """How many of the first pyramid levels' backbone layers keep their weights."""
    size: tuple[int, int]
    """Height and width in pixels that the network sees: training crops, and the box into which frames are fitted."""
    strides: tuple[int, ...]
    """Strides of the backbone's feature maps that make the pyramid; one coarser level for the largest boxes is added."""
    channels: int
    """Width of the pyramid."""
    head_norm: Literal["none", "group"]
    """Normalisation in pyramid and mask head."""
    anchor_sizes: tuple[int, ...] | Literal["fitted"]
    """Side in pixels of a square anchor on each level: one more than there are strides. ``fitted`` takes them from the training
    data, see :mod:`synth2real.instances.anchors`."""
    anchor_ratios: tuple[float, ...] | Literal["fitted"]
    """Height / width of the anchors; ``fitted`` takes three from the training data."""
    rpn_batch_size: int
    """Anchors an image that the proposal network's loss looks at."""
    proposals_per_level: int
    """Proposals that each level hands to non-maximum suppression."""
    proposals: int
    """Proposals an image that are left after it."""
    box_batch_size: int
    """Regions an image that the heads' losses look at."""
    box_features: int
    """Width of the box head's two layers."""
    mask_channels: tuple[int, ...]
    """Width of each of the mask head's layers."""
    class_agnostic: bool
    """One refined box and one mask for all classes instead of one each: every instance then trains the same weights."""

    def __post_init__(self) -> None:
        if self.frozen_levels < 0 or self.frozen_levels > len(self.strides):
            raise ValueError(f"frozen_levels must be 0..{len(self.strides)} (the number of strides), got {self.frozen_levels}")
        if len(self.size) != 2 or min(self.size) < 32:
            raise ValueError(f"size must be a height and a width of at least 32, got {self.size}")
        if not self.strides or list(self.strides) != [self.strides[0] << level for level in range(len(self.strides))]:
            raise ValueError(f"strides must double from one to the next, got {self.strides}")
        if self.anchor_sizes != "fitted":
            if len(self.anchor_sizes) != len(self.strides) + 1:
                raise ValueError(
                    f"anchor_sizes needs one value a stride and one more, got {self.anchor_sizes} for {self.strides}"
                )
            if min(self.anchor_sizes) < 1:
                raise ValueError(f"anchor_sizes must be positive or fitted, got {self.anchor_sizes}")
        if self.anchor_ratios != "fitted" and (not self.anchor_ratios or min(self.anchor_ratios) <= 0):
            raise ValueError(f"anchor_ratios must be positive or fitted, got {self.anchor_ratios}")
        for name in ("channels", "rpn_batch_size", "proposals_per_level", "proposals", "box_batch_size", "box_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.mask_channels or min(self.mask_channels) < 1:
            raise ValueError(f"mask_channels needs a width of at least 1 for each layer, got {self.mask_channels}")
        if self.head_norm == "group" and any(width % _GROUPS for width in (self.channels, *self.mask_channels)):
            raise ValueError(f"with head_norm group, channels and mask_channels must be multiples of {_GROUPS}")


DetectorNetwork: TypeAlias = NetworkSettings | Detectron2Network
"""What a detector of torchvision or of detectron2 looks like."""
Detector: TypeAlias = MaskRCNN | Detectron2Detector


class _Pyramid(nn.Module):
    """The backbone's feature maps, brought to one width from coarse to fine (Lin et al. 2017, figure 3)."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        reductions = feature_info(timm.create_model(settings.backbone, features_only=True)).reduction()
        if not set(settings.strides) <= set(reductions):
            raise EncoderError(f"backbone {settings.backbone} has feature maps of strides {reductions}, not {settings.strides}")
        levels = [reductions.index(stride) for stride in settings.strides]
        body = timm.create_model(settings.backbone, features_only=True, out_indices=levels)
        widths = feature_info(body).channels()
        load_encoder_weights(body, settings.backbone, settings.backbone_weights)
        norms = [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
        self.frozen_norms = norms if settings.backbone_norm == "frozen" else []
        for norm in self.frozen_norms:
            norm.requires_grad_(False)
        freeze(body, settings.frozen_levels, settings.strides[-1])
        self.body = body
        head_norm = partial(nn.GroupNorm, _GROUPS) if settings.head_norm == "group" else None
        self.fpn = FeaturePyramidNetwork(widths, settings.channels, LastLevelMaxPool(), head_norm)
        self.out_channels = settings.channels

    def train(self, mode: bool = True) -> "_Pyramid":
        super().train(mode)
        for norm in self.frozen_norms:
            norm.eval()
        return self

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        maps = self.body(images.contiguous(memory_format=torch.channels_last))
        pyramid: dict[str, Tensor] = self.fpn(OrderedDict((str(level), features) for level, features in enumerate(maps)))
        return pyramid


class _AgnosticBoxPredictor(FastRCNNPredictor):
    """Scores of each class, and the same refined box for all of them."""

    def __init__(self, features: int) -> None:
        super().__init__(features, NUM_DETECTOR_CLASSES)
        self.bbox_pred = nn.Linear(features, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, box = super().forward(x)
        return scores, box.repeat(1, NUM_DETECTOR_CLASSES)


class _AgnosticMaskPredictor(MaskRCNNPredictor):
    """The same mask for all classes (He et al. 2017, section 4.1, "class-specific vs. class-agnostic masks")."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mask: Tensor = super().forward(x)
        return mask.expand(-1, NUM_DETECTOR_CLASSES, -1, -1)


class _Normalise(GeneralizedRCNNTransform):
    """Normalises and batches images that already have the network's size."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        return image, target


@overload
def build_detector(settings: NetworkSettings, seed: int) -> MaskRCNN: ...


@overload
def build_detector(settings: Detectron2Network, seed: int) -> Detectron2Detector: ...


def build_detector(settings: DetectorNetwork, seed: int) -> Detector:
    """A Mask R-CNN with a pre-trained backbone and random heads; detectron2's starts with random weights everywhere.

    Args:
        settings: What it looks like, and of which library it is.
        seed: Of the random weights; the global generator is left as it was.

    Returns:
        torchvision's detector, or one that is called alike. In training it maps images (a list of float ``3 x height x width``
        in [0, 1]) and targets (``boxes`` as xyxy pixels, ``labels`` 1..10, boolean ``masks``) to named losses.

    Raises:
        MissingDetectron2Error: If it is one of detectron2, which is not installed.
        ValueError: If the backbone has no such strides, or its weights do not belong to it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Detectron2Detector(settings) if isinstance(settings, Detectron2Network) else _build(settings)


def _build(settings: NetworkSettings) -> MaskRCNN:
    if settings.anchor_sizes == "fitted" or settings.anchor_ratios == "fitted":
        raise ValueError("anchors must be fitted to training data before a network is built")
    backbone = _Pyramid(settings)
    levels = [str(level) for level in range(len(settings.strides))]
    norm = partial(nn.GroupNorm, _GROUPS) if settings.head_norm == "group" else None
    detector = MaskRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in settings.anchor_sizes), (settings.anchor_ratios,) * len(settings.anchor_sizes)
        ),
        rpn_batch_size_per_image=settings.rpn_batch_size,
        rpn_pre_nms_top_n_train=settings.proposals_per_level,
        rpn_pre_nms_top_n_test=settings.proposals_per_level,
        rpn_post_nms_top_n_train=settings.proposals,
        rpn_post_nms_top_n_test=settings.proposals,
        box_batch_size_per_image=settings.box_batch_size,
        box_roi_pool=MultiScaleRoIAlign(levels, _BOX_RESOLUTION, 2),
        box_head=TwoMLPHead(settings.channels * _BOX_RESOLUTION**2, settings.box_features),
        box_predictor=(
            _AgnosticBoxPredictor(settings.box_features)
            if settings.class_agnostic
            else FastRCNNPredictor(settings.box_features, NUM_DETECTOR_CLASSES)
        ),
        mask_roi_pool=MultiScaleRoIAlign(levels, _MASK_RESOLUTION, 2),
        mask_head=MaskRCNNHeads(settings.channels, settings.mask_channels, 1, norm),
        mask_predictor=(
            _AgnosticMaskPredictor(settings.mask_channels[-1])
            if settings.class_agnostic
            else MaskRCNNPredictor(settings.mask_channels[-1], settings.mask_channels[-1], NUM_DETECTOR_CLASSES)
        ),
    )
    seen: Any = backbone.body.pretrained_cfg
    detector.transform = _Normalise(min(settings.size), max(settings.size), list(seen["mean"]), list(seen["std"]))
    return detector.to(memory_format=torch.channels_last)


def fitted_size(frame: tuple[int, int], box: Sequence[int]) -> tuple[int, int]:
    """The largest height and width of the frame's shape that fit into ``box``; at least one pixel.

    Args:
        frame: Height and width of the frame.
        box: Height and width to stay within.
    """
    scale = min(box[0] / frame[0], box[1] / frame[1])
    return max(1, round(frame[0] * scale)), max(1, round(frame[1] * scale))


def save_detector(path: Path, settings: DetectorNetwork, detector: Detector) -> None:
    """Writes a trained detector: settings of its network and weights."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}
    save_model(path, _KIND, values, detector.state_dict())


def load_detector(path: Path) -> tuple[DetectorNetwork, Detector]:
    """Reads a trained detector.

    Raises:
        MissingDetectron2Error: If it is one of detectron2, which is not installed.
        ModelFileError: If the file is missing, damaged, or holds another kind of model.
    """
    model = load_model(path, _KIND)
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in model.settings.items()}
    settings: DetectorNetwork
    detector: Detector
    if "detectron2" in values:
        settings = Detectron2Network(**values)
        try:
            detector = build_detector(settings, seed=0)
        except Detectron2Error as error:
            raise ModelFileError(f"{path}: the network that it describes cannot be rebuilt; train it again. {error}") from error
    else:
        settings = NetworkSettings(**values)
        detector = build_detector(NetworkSettings(**{**values, "backbone_weights": "random"}), seed=0)
    detector.load_state_dict(model.state_dict)
    return settings, detector
