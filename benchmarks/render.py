"""Frames a second that one core renders at 512x256, all in: building, image and id passes, sensor, files."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2

from synth2real.params import read_section
from synth2real.worlds.exporters import CityscapesSettings, WorldName, WorldSettings, render_world

DEFAULT = read_section("worlds", WorldSettings)
SETTINGS = replace(
    DEFAULT,
    height=256,
    width=512,
    gta=replace(DEFAULT.gta, streets=5, views=24),
    cityscapes=CityscapesSettings(train_streets=4, val_streets=1, views=24),
    veis=replace(DEFAULT.veis, multi_class=5, single_class=5, views=12),
    viper=replace(DEFAULT.viper, train_streets=4, val_streets=1, views=24),
)
FRAMES = 120


def main() -> None:
    cv2.setNumThreads(1)
    for world in get_args(WorldName):
        with tempfile.TemporaryDirectory() as folder:
            start, cpu = time.perf_counter(), time.process_time()
            render_world(world, Path(folder) / world, SETTINGS, workers=1)
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        print(f"render {world}: {FRAMES / seconds:.1f} frames/s, {FRAMES / cpu_seconds:.1f} frames a second of CPU time")


if __name__ == "__main__":
    main()
