"""Mask R-CNNs of detectron2, an optional extra: what ``instances.backend: detectron2`` does.

Who decides what:

- The *config* decides the network with its losses, sampling of regions and normalisation: ``MODEL`` and ``INPUT.FORMAT``. The
  number of classes is the product's, and what a training starts from is ``instances.detectron2.weights``. Nothing else of a
  config is read: no data set, solver or augmentation.
- ``instances`` decides the rest, as for torchvision's network: ``network.size``, ``augmentation``, ``min_area``, ``copy_paste``,
  ``optimizer`` (``backbone_factor`` is the rate of the backbone below the pyramid) and ``schedule``. The rest of
  ``instances.network`` is not read.
- ``predict_instances`` decides which detections are kept.

The trainer is the product's own, not detectron2's: :class:`Detectron2Detector` maps images and targets to named losses, as
torchvision's detectors do, so that samples, seeds, resuming, curves and hardware are the same code for both, and the two
libraries can be compared on equal terms.

detectron2 (Wu et al., 2019, https://github.com/facebookresearch/detectron2) is imported where it is first used, as it is not
always there. Of its two sorts of config the YAML files serve; the other (Python files, "lazy") names any function to be called,
which a model file must not do.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from synth2real.encoders import EncoderError, load_encoder_weights
from synth2real.label_space import VEIS_LABELS

_LOSSES: Final = {
    "loss_cls": "loss_classifier",
    "loss_rpn_cls": "loss_objectness",
    "loss_rpn_loc": "loss_rpn_box_reg",
}
"""detectron2's names of losses that torchvision has under others."""


class MissingDetectron2Error(ImportError):
    """detectron2 is wanted and not installed."""


class Detectron2Error(ValueError):
    """A config or weights cannot serve; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectron2Settings:
    """Which detector of detectron2 to train; read with ``instances.backend: detectron2`` only."""

    config: str
    """YAML file with a config. Its ``_BASE_`` is a file beside it, or one of detectron2's model zoo by its path there, such as
    ``COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml``."""
    overrides: tuple[Any, ...]
    """Keys and values in turn that replace some of the config's, such as ``[MODEL.FPN.OUT_CHANNELS, 128]``."""
    weights: str | None
    """What the training starts from: None (random weights), ``offline`` (the ImageNet weights of the backbone
    ``tf_efficientnet_lite0``, see :mod:`synth2real.encoders`), or a file that detectron2 reads (``.pkl``, ``.pth``)."""

    def __post_init__(self) -> None:
        if len(self.overrides) % 2 or not all(isinstance(key, str) for key in self.overrides[::2]):
            raise ValueError(f"overrides must be keys and values in turn, got {list(self.overrides)}")


@dataclass(frozen=True, slots=True)
class Detectron2Network:
    """What rebuilds a detector of detectron2; :func:`describe` makes one."""

    detectron2: str
    """The whole config as YAML, without anything to start from."""
    size: tuple[int, int]
    """Height and width in pixels that the network sees, as :attr:`synth2real.instances.mask_rcnn.NetworkSettings.size`."""


def require_detectron2() -> None:
    """Imports detectron2, and the backbones that this package adds to it.

    Raises:
        MissingDetectron2Error: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch's deprecations
            import synth2real.instances.detectron2_backbone  # noqa: F401
        logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)  # advice to those who trace networks
    except ImportError as error:
        raise MissingDetectron2Error(
            f"detectron2 is wanted (instances.backend detectron2, or a model made with it) and cannot be imported: {error}. "
            "Install it: make detectron2."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences PyTorch's advice on how detectron2 lays out its anchors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"torch\.meshgrid")
        yield


def _default_config() -> Any:
    """detectron2's values for all keys, with those of :mod:`synth2real.instances.detectron2_backbone`."""
    from detectron2.config import CfgNode, get_cfg

    config = get_cfg()
    config.MODEL.TIMM = CfgNode({"NAME": ""})
    return config


def describe(settings: Detectron2Settings, size: tuple[int, int]) -> Detectron2Network:
    """The network that a config builds for the product's classes.

    Args:
        settings: The config.
        size: Height and width in pixels that the network sees.

    Raises:
        MissingDetectron2Error: If detectron2 is not installed.
        Detectron2Error: If the config or one that it is based on is missing or damaged, or has keys or values that detectron2
            does not know.
    """
    require_detectron2()
    import detectron2
    from detectron2.config import CfgNode

    path = Path(settings.config)
    zoo = Path(detectron2.__file__).parent / "model_zoo" / "configs"
    if not path.is_file():
        raise Detectron2Error(f"instances.detectron2.config: {path}: no such file; name a YAML config of detectron2.")

    class Config(CfgNode):
        @classmethod
        def _open_cfg(cls, filename: str) -> IO[str]:
            beside = Path(filename)
            return (beside if beside.is_file() else zoo / os.path.relpath(beside, path.parent)).open(encoding="utf-8")

    config = _default_config()
    try:
        config.merge_from_other_cfg(CfgNode(Config.load_yaml_with_base(str(path))))
        config.merge_from_list(list(settings.overrides))
    except Exception as error:
        raise Detectron2Error(f"{path}: not a config of detectron2 ({type(error).__name__}: {error}).") from error
    config.MODEL.ROI_HEADS.NUM_CLASSES = len(VEIS_LABELS)
    config.MODEL.WEIGHTS, config.MODEL.DEVICE, config.VIS_PERIOD = "", "cpu", 0
    return Detectron2Network(config.dump(), size)


class Detectron2Detector(nn.Module):
    """A Mask R-CNN of detectron2 that is called as torchvision's are."""

    def __init__(self, settings: Detectron2Network) -> None:
        """Builds it with random weights from PyTorch's global generator.

        Args:
            settings: Its description. Names in it are looked up among what is registered with detectron2; nothing else is called.

        Raises:
            MissingDetectron2Error: If detectron2 is not installed.
            Detectron2Error: If the description is of no network that proposes boxes and gives each a class and a mask.
        """
        super().__init__()
        require_detectron2()
        from detectron2.config import CfgNode
        from detectron2.modeling import GeneralizedRCNN, build_model

        try:
            config = _default_config()
            config.merge_from_other_cfg(CfgNode.load_cfg(settings.detectron2))
            network = build_model(config)
        except Exception as error:
            raise Detectron2Error(f"detectron2 cannot build it: {' '.join(str(error).split())}") from error
        if type(network) is not GeneralizedRCNN or not network.proposal_generator or not config.MODEL.MASK_ON:
            raise Detectron2Error("it must be a GeneralizedRCNN that makes its own proposals, with MODEL.MASK_ON")
        if config.MODEL.KEYPOINT_ON or config.INPUT.FORMAT not in ("BGR", "RGB"):
            raise Detectron2Error("MODEL.KEYPOINT_ON must be False, and INPUT.FORMAT BGR or RGB")
        self.settings = settings
        self.is_bgr = config.INPUT.FORMAT == "BGR"
        self.network = network.to(memory_format=torch.channels_last)
        self.backbone_name = "network.backbone.bottom_up." if hasattr(network.backbone, "bottom_up") else "network.backbone."
        """How the names of the backbone's parameters begin."""

    def _inputs(self, images: Sequence[Tensor]) -> list[dict[str, Any]]:
        return [{"image": (image.flip(0) if self.is_bgr else image) * 255} for image in images]

    def forward(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The losses, under torchvision's names where it has the same.

        Args:
            images: RGB in [0, 1], each float ``3 x height x width``.
            targets: For each image ``boxes`` (xyxy pixels), ``labels`` (1..10) and boolean ``masks``.

        Raises:
            FloatingPointError: If the training diverged.
        """
        from detectron2.structures import BitMasks, Boxes, Instances
        from detectron2.utils.events import EventStorage

        inputs = self._inputs(images)
        for image, target, sample in zip(images, targets, inputs, strict=True):
            sample["instances"] = Instances(
                tuple(image.shape[1:]),
                gt_boxes=Boxes(target["boxes"]),
                gt_classes=target["labels"] - 1,
                gt_masks=BitMasks(target["masks"]),
            )
        with _quiet(), EventStorage():  # where detectron2's layers leave their statistics
            losses: dict[str, Tensor] = self.network(inputs)
        return {_LOSSES.get(name, name): value for name, value in losses.items()}

    def limit(self, min_score: float, box_overlap: float, max_detections: int) -> None:
        """Sets which detections are kept: see :class:`synth2real.instances.predict.PredictionSettings`."""
        from detectron2.modeling.roi_heads import FastRCNNOutputLayers

        for layers in self.modules():
            if isinstance(layers, FastRCNNOutputLayers):
                layers.test_score_thresh, layers.test_nms_thresh, layers.test_topk_per_image = (
                    min_score, box_overlap, max_detections,
                )  # fmt: skip

    def find(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """What is found in each image, at the image's own size, as torchvision's heads give it; in evaluation mode.

        Args:
            images: See :meth:`forward`.

        Returns:
            For each image ``boxes`` (xyxy pixels), ``labels`` (1..10), ``scores``, and ``masks``, each the probability of the
            label over a square grid in its box, ``1 x side x side``.
        """
        with _quiet():
            found = self.network.inference(self._inputs(images), do_postprocess=False)
        return [
            {"boxes": one.pred_boxes.tensor, "labels": one.pred_classes + 1, "scores": one.scores, "masks": one.pred_masks}
            for one in found
        ]


def paste_masks(
    masks: Float[Tensor, "instances 1 side side"], boxes: Float[Tensor, "instances 4"], size: tuple[int, int]
) -> Bool[Tensor, "instances 1 height width"]:
    """Masks at a frame's size, with detectron2's boundaries: pixels count by their centres, where torchvision rounds boxes.

    Args:
        masks: See :meth:`Detectron2Detector.find`.
        boxes: xyxy in the frame's pixels.
        size: Height and width of the frame.
    """
    from detectron2.layers import paste_masks_in_image

    pasted: Tensor = paste_masks_in_image(masks[:, 0], boxes, size)
    return pasted[:, None].bool()


def load_start(detector: Detectron2Detector, weights: str | None) -> None:
    """Fills a detector with what its training starts from.

    Args:
        detector: Is changed in place. Of a file, what does not fit (heads of other classes, say) is left out with a warning.
        weights: See :attr:`Detectron2Settings.weights`.

    Raises:
        Detectron2Error: If there is no such file, or it cannot be read or has nothing for the backbone.
        EncoderError: If the backbone is none that the offline weights are for.
    """
    if weights is None:
        return
    if weights == "offline":
        bottom_up: Any = getattr(detector.network.backbone, "bottom_up", None)
        if not hasattr(bottom_up, "body"):
            raise EncoderError("instances.detectron2.weights: offline is for a backbone of timm only; see MODEL.TIMM.")
        load_encoder_weights(bottom_up.body, bottom_up.name, weights)
        return
    from detectron2.checkpoint import DetectionCheckpointer

    if not Path(weights).is_file():
        raise Detectron2Error(f"instances.detectron2.weights: {weights}: no such file; name one, offline, or null.")
    backbone = {name: value.clone() for name, value in detector.state_dict().items() if name.startswith(detector.backbone_name)}
    try:
        DetectionCheckpointer(detector.network).load(weights)
    except Exception as error:
        raise Detectron2Error(f"{weights}: not weights that detectron2 reads ({type(error).__name__}: {error}).") from error
    state = detector.state_dict()
    if all(torch.equal(value, state[name]) for name, value in backbone.items()):
        raise Detectron2Error(f"{weights}: nothing in it fits the backbone of the config; name weights of that network.")
