"""Networks of mmsegmentation, an optional extra, with the interface of :class:`synth2real.segmentation.networks.Segmenter`.

mmsegmentation (OpenMMLab; maintained as ``onedl-mmsegmentation``) is imported where it is first used, as it is not always there.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from synth2real.label_space import NUM_CLASSES

_STRIDE: Final = 32
"""Most pixels of the input a pixel of the features, in mmsegmentation's networks."""
_START: Final = ("init_cfg", "pretrained", "checkpoint_path")
"""What a config says of weights to start from."""


class MissingExtraError(ImportError):
    """mmsegmentation is wanted and not installed."""


def require_mmseg() -> None:
    """Imports mmsegmentation, so that its networks can be built by their names.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of compiled operators that are not installed, and of PyTorch's deprecations
            from mmseg.utils import register_all_modules

            register_all_modules()
    except ImportError as error:
        raise MissingExtraError(
            f"mmsegmentation is wanted (segmentation.backend mmseg, or a model made with it) and cannot be imported: {error}. "
            "Install the extra: make mmseg."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silences mmsegmentation's advice on configs, which it gives as warnings."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(mmcv|mmengine|mmseg)\b")
        yield


@dataclass(frozen=True, slots=True)
class MMSegNetwork:
    """What rebuilds a network of mmsegmentation; :func:`describe` makes one."""

    config: dict[str, Any]
    """The part ``model`` of a config as numbers, strings, lists, tuples and dictionaries, without anything to start from."""


def describe(model: Mapping[str, Any]) -> MMSegNetwork:
    """The network that the part ``model`` of a config builds, without its starting weights and what only training reads."""
    kept = {name: value for name, value in model.items() if name != "train_cfg"}
    padding = ("size", "size_divisor", "test_cfg")
    kept["data_preprocessor"] = {name: value for name, value in model["data_preprocessor"].items() if name not in padding}
    return MMSegNetwork({name: _plain(value) for name, value in kept.items() if name not in _START})


def _plain(value: object) -> object:
    """Plain values: classes become their names, and batch normalisation over several devices that of one."""
    if isinstance(value, Mapping):
        kept = {str(name): _plain(inner) for name, inner in value.items() if name not in _START}
        return kept | {"pretrained": False} if kept.get("type") == "TIMMBackbone" else kept  # where its default is a download
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, type):
        return value.__name__
    return "BN" if value == "SyncBN" else value


def _types(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        if "type" in value:
            yield value["type"]
        for inner in value.values():
            yield from _types(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _types(inner)


def _is_registered(name: object) -> bool:
    from mmseg.registry import MODELS, TASK_UTILS

    scope, _, key = str(name).rpartition(".")
    for root in (MODELS, TASK_UTILS):
        with root.switch_scope_and_registry(scope or "mmseg") as found:
            registry = found
            while registry is not None:
                registry.import_from_location()
                if key in registry.module_dict:
                    return True
                registry = registry.parent
    return False


class MMSegmenter(nn.Module):
    """Images of any size to logits of the 19 train ids, by a network of mmsegmentation; normalisation is part of it."""

    def __init__(self, network: MMSegNetwork) -> None:
        """Builds the network with random weights from PyTorch's global generator.

        Args:
            network: Its description.

        Raises:
            MissingExtraError: If mmsegmentation is not installed.
            ValueError: If the description is of no network that gives logits of 19 classes, or has names that are not registered
                with mmsegmentation: nothing else is imported or called by its name.
        """
        super().__init__()
        require_mmseg()
        from mmengine.config import ConfigDict
        from mmseg.models import EncoderDecoder
        from mmseg.registry import MODELS

        for name in _types(network.config):
            if not _is_registered(name):
                raise ValueError(f"type {name!r} is not registered with mmsegmentation")
        try:
            with quiet():
                self.network = MODELS.build(ConfigDict(network.config))
        except Exception as error:
            raise ValueError(f"mmsegmentation cannot build it: {' '.join(str(error).split())}") from error
        if not isinstance(self.network, EncoderDecoder):
            raise ValueError(f"type {type(self.network).__name__} is no EncoderDecoder of mmsegmentation")
        if not self.network.num_classes == self.network.out_channels == NUM_CLASSES:
            raise ValueError(f"num_classes of decode_head is {self.network.num_classes}, expected {NUM_CLASSES}")

    def logits(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 19 height width"]:
        """Logits at the input's size.

        Where a side is no multiple of 32, the last row or column is repeated for the network, and what it says of the repetitions
        is cut off.

        Args:
            pixels: RGB in [0, 255]; the network gets BGR, which mmsegmentation reads.
        """
        height, width = pixels.shape[2:]
        right, below = -width % _STRIDE, -height % _STRIDE
        if right or below:
            pixels = F.pad(pixels, (0, right, 0, below), mode="replicate")
        inputs = self.network.data_preprocessor({"inputs": list(pixels.flip(1))})["inputs"]
        shape = tuple(pixels.shape[2:])
        frames = [{"ori_shape": shape, "img_shape": shape, "pad_shape": shape} for _ in inputs]
        logits: Tensor = self.network.encode_decode(inputs, frames)
        return logits[:, :, :height, :width]

    def forward(self, images: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 19 height width"]:
        """Logits at the input's size, of RGB images."""
        return self.logits(images.permute(0, 3, 1, 2).float())
