"""Fusion of 100 instances at 2048x1024 on one core, against decoding and encoding the frame's PNGs alone.

The frame is a rendered street; the instances are the masks of its and other views' objects, moved about at random.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from synth2real.detections import Detection, decode_mask, detections_path, encode_masks, write_detections
from synth2real.frames import Frame, FrameSet, read_instances, read_label, write_frames, write_instances, write_label
from synth2real.fusion import FusionSettings, fuse, fuse_frames
from synth2real.label_space import INSTANCE_FACTOR, VEIS_LABELS
from synth2real.params import read_section
from synth2real.worlds.exporters import CityscapesSettings, WorldSettings, render_world

WORLD = replace(
    read_section("worlds", WorldSettings),
    height=1024,
    width=2048,
    supersampling=1,
    cityscapes=CityscapesSettings(train_streets=1, val_streets=1, views=6),
)
INSTANCES = 100
LEAST_AREA = 200
ROUNDS = 7
"""The fastest counts."""


def make_frame(root: Path) -> tuple[np.ndarray, list[Detection]]:
    """A semantic prediction, and instances of all sizes that a street has."""
    render_world("cityscapes", root / "world", WORLD, workers=1)
    annotations = root / "world/gtFine"
    categories = {label.label_id: number for number, label in enumerate(VEIS_LABELS, start=1)}
    rng = np.random.default_rng(0)
    detections: list[Detection] = []
    paths = sorted(annotations.glob("*/*/*_instanceIds.png"))
    while len(detections) < INSTANCES:
        for path in paths:
            instance_ids = read_instances(path)
            for value, area in zip(*np.unique(instance_ids[instance_ids >= INSTANCE_FACTOR], return_counts=True), strict=True):
                if int(value) // INSTANCE_FACTOR in categories and area >= LEAST_AREA and len(detections) < INSTANCES:
                    shift = (int(rng.integers(-40, 41)), int(rng.integers(-200, 201)))
                    mask = np.roll(instance_ids == value, shift, axis=(0, 1))
                    category = categories[int(value) // INSTANCE_FACTOR]
                    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
                    box = (float(left), float(top), float(width), float(height))
                    detections.append(
                        Detection(category, float(rng.random()), box, (WORLD.height, WORLD.width), encode_masks(mask[None])[0])
                    )
    return read_label(next(annotations.glob("*/*/*_labelIds.png"))), detections


def fastest(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of CPU time of each function, run in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            start = time.process_time()
            function()
            seconds[name].append(time.process_time() - start)
    return {name: 1000 * min(values) for name, values in seconds.items()}


def main() -> None:
    cv2.setNumThreads(1)
    paper = read_section("fusion", FusionSettings)
    variants = {
        "riders": replace(paper, rider_overlap=0.3),
        "suppression": replace(paper, mask_overlap=0.5),
        "votes": replace(paper, semantic_weight=0.3),
        "background holes": replace(paper, holes="background"),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        semantic, detections = make_frame(root)
        expected = semantic.copy()
        for item in sorted(detections, key=lambda item: item.score):
            expected[decode_mask(item)] = VEIS_LABELS[item.category_id - 1].label_id
        fused = fuse(semantic, detections, paper)
        assert (fused.label_ids == expected).all()
        confidence = np.random.default_rng(0).integers(0, 256, semantic.shape).astype(np.uint8)
        frame = Frame("frame", "val", *semantic.shape)
        semantics, instances, files = root / "semantics", root / "instances", FrameSet(root / "files", (frame,))
        write_label(FrameSet(semantics, (frame,)).label_path(frame), semantic)
        write_detections(detections_path(instances, frame.frame_id), detections)
        for path in (semantics, instances):
            write_frames(path, [frame])

        def pngs() -> None:
            read_label(FrameSet(semantics, (frame,)).label_path(frame))
            write_label(files.label_path(frame), fused.label_ids)
            write_instances(files.instances_path(frame), fused.instance_ids)

        times = fastest(
            {
                "pngs": pngs,
                "fusion": lambda: fuse(semantic, detections, paper),
                "stage": lambda: fuse_frames(semantics, instances, root / "out", paper, workers=1),
            }
            | {
                name: lambda settings=settings: fuse(semantic, detections, settings, confidence)  # type: ignore[misc]
                for name, settings in variants.items()
            }
        )
    covered, ratio = float((fused.instance_ids >= INSTANCE_FACTOR).mean()), times["fusion"] / times["pngs"]
    print(
        f"fusion of {len(detections)} instances at {frame.width}x{frame.height}, which cover {covered:.0%}: "
        f"{times['fusion']:.1f} ms of CPU time; decoding and encoding its PNGs alone {times['pngs']:.1f} "
        f"(fusion is {ratio:.2f} times that); the whole stage {times['stage']:.1f}"
    )
    print("fusion, variants: " + ", ".join(f"{name} {times[name]:.1f} ms" for name in variants))


if __name__ == "__main__":
    main()
