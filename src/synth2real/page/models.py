"""What the page finds on disk: label maps to start from, synthesizers and segmenters; and how it paints."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8

from synth2real.frames import FRAMES_FILE, resize_image
from synth2real.hardware import HardwareSettings
from synth2real.models import inference_device
from synth2real.page.maps import PageError
from synth2real.synthesis.checkpoints import MODEL_KIND, Synthesizer, load_synthesizer
from synth2real.synthesis.data import resize_map
from synth2real.synthesis.generators import set_dropout
from synth2real.synthesis.instance_maps import instances_from_labels
from synth2real.synthesis.synthesize import SynthesizeSettings, paint


def find_models(folder: Path) -> Mapping[str, Sequence[Path]]:
    """The model files at any depth of a folder, in order, by their kind (see :func:`synth2real.models.save_model`).

    A ``.pth`` counts as a synthesizer, as pix2pixHD's authors published theirs so; other files are passed over.
    """
    found = defaultdict(list)
    for path in sorted((*folder.rglob("*.ckpt"), *folder.rglob("*.pth"))):
        kind = MODEL_KIND if path.suffix == ".pth" else _kind(path)
        if kind is not None:
            found[kind].append(path)
    return found


def _kind(path: Path) -> str | None:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return str(content["kind"])
    except Exception:  # of another program, or damaged
        return None


def find_label_maps(data: Path) -> Sequence[Path]:
    """The frame sets with label maps, one to three folders below ``data``."""
    files = sorted(path for depth in (1, 2, 3) for path in data.glob("/".join([*("*" * depth), FRAMES_FILE])))
    return [path.parent for path in files if (path.parent / "labels").is_dir()]


class Randomness(NamedTuple):
    """What makes two photos of one label map differ."""

    dropout: float | None
    """The rate of the training; None where nothing is dropped."""
    noise: bool
    """Whether noise is added inside the network."""
    looks: bool
    """Whether each instance gets one of several looks."""


class Painter:
    """Paints label maps with any synthesizer. The last ones used stay in memory. Not for several threads at once."""

    def __init__(self, settings: SynthesizeSettings, hardware: HardwareSettings) -> None:
        """Loads nothing yet.

        Args:
            settings: Its ``size`` is used: where maps are painted at one size, photos are resized back.
            hardware: What to run on.
        """
        self._settings, self._hardware = settings, hardware
        self._load = lru_cache(maxsize=2)(self._load_anew)

    def _load_anew(self, path: Path, changed: float) -> Synthesizer:
        return load_synthesizer(path, inference_device(self._hardware))

    def _synthesizer(self, path: Path) -> Synthesizer:
        return self._load(path, path.stat().st_mtime if path.is_file() else 0.0)

    def randomness(self, path: Path) -> Randomness:
        """What a model file draws at random.

        Raises:
            ModelFileError: If it is missing, damaged or no synthesizer.
        """
        generator, _, clusters = self._synthesizer(path)
        settings = generator.settings
        return Randomness(settings.dropout or None, settings.noise > 0, clusters is not None)

    def paint(
        self, path: Path, label_ids: UInt8[np.ndarray, "height width"], *, dropout: float, seed: int
    ) -> UInt8[np.ndarray, "height width 3"]:
        """A photo of the map's size; instances are guessed from the map.

        Args:
            path: A synthesizer's model file.
            label_ids: Cityscapes' ids.
            dropout: Share of features that are dropped, by a network that drops any.
            seed: Of all that is random.

        Raises:
            ModelFileError: If the model file is missing, damaged or no synthesizer.
            PageError: If the map is too small for the network.
        """
        synthesizer = self._synthesizer(path)
        set_dropout(synthesizer.generator, dropout)
        size = self._settings.size or label_ids.shape
        instance_ids = instances_from_labels(label_ids)
        try:
            image = paint(
                synthesizer,
                resize_map(label_ids, size),
                resize_map(instance_ids, size),
                seed=seed,
                hardware=self._hardware,
            )
        except ValueError as error:
            raise PageError(f"The label map does not fit this network: {error}.") from None
        return resize_image(image, label_ids.shape)
