"""How different the images are that a synthesizer paints for one and the same label map."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from rich.progress import track

from synth2real.frames import read_frames
from synth2real.hardware import HardwareSettings
from synth2real.models import inference_device
from synth2real.synthesis.checkpoints import load_synthesizer
from synth2real.synthesis.data import instance_map
from synth2real.synthesis.generators import set_dropout
from synth2real.synthesis.perceptual import Perceptual
from synth2real.synthesis.synthesize import paint
from synth2real.translation.data import evenly_spread, to_tensor

_RESAMPLES = 1000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversitySettings:
    """The section ``synthesis_diversity`` of params.yaml."""

    frames: int
    """Label maps, evenly spread."""
    samples: int
    """Images of each, with different seeds."""
    dropout: float | None
    """As ``synthesize.dropout``: another rate than the training's."""

    def __post_init__(self) -> None:
        for name in ("frames", "samples"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


def score_diversity(annotations: Path, model: Path, settings: DiversitySettings, hardware: HardwareSettings) -> dict[str, Any]:
    """The mean perceptual distance between two images of one label map, over all pairs and maps.

    Zhu et al., "Toward Multimodal Image-to-Image Translation", NIPS 2017, section 5.2, with LPIPS; here with
    :meth:`synth2real.synthesis.perceptual.Perceptual.distance` over EfficientNet-Lite0, whose name the score bears. 0 for a
    network without randomness.

    Args:
        annotations: Frame set with label maps.
        model: A synthesizer's model file.
        settings: How many maps and images.
        hardware: What to run on.

    Returns:
        ``diversity_lite0`` with ``_low`` and ``_high`` (percentile bootstrap over the maps, 95%), and how it was measured.

    Raises:
        FrameError: If the frame set is unfinished or a map is damaged.
        ModelFileError: If the model is missing or no synthesizer.
    """
    device = inference_device(hardware)
    synthesizer, network = load_synthesizer(model, device), Perceptual(None).to(device)
    if settings.dropout is not None:
        set_dropout(synthesizer.generator, settings.dropout)
    frames = evenly_spread(read_frames(annotations), settings.frames)
    distances = []
    for frame in track(frames.frames, "diversity"):
        maps = frames.label(frame), instance_map(frames, frame)
        images = [paint(synthesizer, *maps, seed=seed, hardware=hardware) for seed in range(settings.samples)]
        tensors = [to_tensor(image)[None].to(device) for image in images]
        distances.append(np.mean([float(network.distance(one, other)) for one, other in combinations(tensors, 2)]))
    low, high = _interval(np.array(distances))
    return {
        "diversity_lite0": round(float(np.mean(distances)), 5),
        "diversity_lite0_low": round(low, 5),
        "diversity_lite0_high": round(high, 5),
        "protocol": {
            "frames": len(frames), "samples": settings.samples, "dropout": settings.dropout, "confidence": _CONFIDENCE,
        },
    }  # fmt: skip


def _interval(values: Float64[np.ndarray, " frames"]) -> tuple[float, float]:
    draws = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2))
    return float(low), float(high)
