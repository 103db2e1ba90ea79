"""Evaluation on one core at 2048x1024 against cityscapesScripts and against decoding the files alone; the scores must be equal.

Frames are rendered streets in Cityscapes' own layout; predictions are their label maps with a network's errors.
"""

import contextlib
import io
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synth2real.evaluation.boundaries import boundary_f
from synth2real.evaluation.calibration import count_confidences
from synth2real.evaluation.evaluate import EvaluationSettings, evaluate
from synth2real.evaluation.resampling import BootstrapSettings
from synth2real.frames import Frame, read_label, write_frames, write_label
from synth2real.label_space import IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID, LABEL_SPACES, NUM_CLASSES, TRAIN_ID_TO_LABEL_ID
from synth2real.params import read_section
from synth2real.worlds.exporters import CityscapesSettings, WorldSettings, render_world

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813

WORLD = replace(
    read_section("worlds", WorldSettings),
    height=1024,
    width=2048,
    supersampling=1,
    cityscapes=CityscapesSettings(train_streets=1, val_streets=2, views=2),
)
COPIES = 12
"""Of each rendered frame, so that what is done once in a run weighs as little as in a longer one."""
ROUNDS = 3
"""The fastest counts."""


def make_frames(root: Path) -> list[tuple[str, str]]:
    """Writes annotations with instances, and predictions, as frame sets; gives the paths of both in Cityscapes' names."""
    render_world("cityscapes", root / "world", WORLD, workers=1)
    frames, pairs = [], []
    for number, source in enumerate(sorted((root / "world").glob("gtFine/val/*/*_labelIds.png")) * COPIES):
        frame = Frame(f"a_{number:06}_000000", "val", WORLD.height, WORLD.width)
        instances = source.with_name(source.name.replace("labelIds", "instanceIds"))
        for path, kind in ((source, "labels"), (instances, "instances")):
            target = root / "annotations" / kind / f"{frame.frame_id}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            named = root / "named" / f"{frame.frame_id}_gtFine_{'labelIds' if kind == 'labels' else 'instanceIds'}.png"
            named.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, named)
        prediction = root / "predictions/labels" / f"{frame.frame_id}.png"
        write_label(prediction, imperfect(read_label(source), number))
        frames.append(frame)
        pairs.append((str(root / "named" / f"{frame.frame_id}_gtFine_labelIds.png"), str(prediction)))
    for name in ("annotations", "predictions"):
        write_frames(root / name, frames)
    return pairs


def imperfect(label_ids: np.ndarray, seed: int) -> np.ndarray:
    """The map as a network may predict it: smooth outlines that are off by some pixels, and patches of wrong classes."""
    rng = np.random.default_rng(seed)
    size = label_ids.shape[::-1]
    train_ids = np.roll(LABEL_ID_TO_TRAIN_ID[label_ids], (3, 5), axis=(0, 1))
    is_wrong = cv2.resize(rng.random((32, 64)), size, interpolation=cv2.INTER_CUBIC) > 0.8
    wrong = cv2.resize(rng.integers(0, NUM_CLASSES, (16, 32), dtype=np.uint8), size, interpolation=cv2.INTER_NEAREST)
    mixed = np.where(is_wrong | (train_ids == IGNORE_INDEX), wrong, train_ids)
    predicted: np.ndarray = TRAIN_ID_TO_LABEL_ID[cv2.medianBlur(mixed, 5)]
    return predicted


def fastest(functions: dict[str, Callable[[], object]], frames: int) -> dict[str, float]:
    """Milliseconds of CPU time a frame of each function, run in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            start = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                function()
            seconds[name].append(time.process_time() - start)
    return {name: 1000 * min(values) / frames for name, values in seconds.items()}


def measure(root: Path, pairs: list[tuple[str, str]], *, with_instances: bool) -> None:
    """Prints times and ratios, once the scores are equal."""
    files = [path for pair in pairs for path in pair]
    if with_instances:
        files += [annotation.replace("labelIds", "instanceIds") for annotation, _ in pairs]
    official.args.evalInstLevelScore = with_instances
    settings = EvaluationSettings(
        label_space="cityscapes19",
        split="val",
        boundary_tolerance=None,
        bootstrap=BootstrapSettings(samples=1000, confidence=0.95, seed=1),
    )
    scores: dict[str, dict[str, Any]] = {}

    def ours() -> None:
        scores["ours"] = evaluate(root / "annotations", {"ours": root / "predictions"}, settings, workers=1).scores["ours"]

    def theirs() -> None:
        annotations, predictions = map(list, zip(*pairs, strict=True))
        scores["theirs"] = official.evaluateImgLists(predictions, annotations, official.args)

    def decoding() -> None:
        for path in files:
            assert cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) is not None

    times = fastest({"ours": ours, "theirs": theirs, "decoding": decoding}, len(pairs))
    keys = {"miou": "Classes", "category_miou": "Categories"}
    if with_instances:
        keys |= {"miiou": "InstClasses", "category_miiou": "InstCategories"}
    for mine, other in keys.items():
        assert scores["ours"][mine] == round(100 * scores["theirs"][f"averageScore{other}"], 2), mine
    print(
        f"evaluation, {'IoU and iIoU' if with_instances else 'IoU'}: equal scores in {times['ours']:.1f} ms of CPU time a frame; "
        f"cityscapesScripts {times['theirs']:.1f} ({times['theirs'] / times['ours']:.1f} times as long), "
        f"decoding the files alone {times['decoding']:.1f} (ours is {times['ours'] / times['decoding']:.2f} times that)"
    )


def measure_more(pairs: list[tuple[str, str]]) -> None:
    """Prints the times of what cityscapesScripts does not have."""
    annotation, prediction = (read_label(Path(path)) for path in pairs[0])
    space = LABEL_SPACES["cityscapes19"]
    confidence = np.random.default_rng(0).integers(0, 256, annotation.shape).astype(np.uint8)
    times = fastest(
        {
            "boundary F-score": lambda: boundary_f(annotation, prediction, space, 0.0075),
            "calibration": lambda: count_confidences(annotation, prediction, confidence, space),
        },
        1,
    )
    for name, milliseconds in times.items():
        print(f"evaluation, {name}: {milliseconds:.1f} ms of CPU time a frame more")


def main() -> None:
    cv2.setNumThreads(1)
    setattr(np, "in1d", np.isin)  # gone from NumPy 2.4, which cityscapesScripts 2.2 does not know
    official.args.quiet, official.args.JSONOutput = True, False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pairs = make_frames(root)
        measure(root, pairs, with_instances=True)
        shutil.rmtree(root / "annotations/instances")
        measure(root, pairs, with_instances=False)
        measure_more(pairs)


if __name__ == "__main__":
    main()
