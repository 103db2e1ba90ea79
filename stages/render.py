"""Renders one of the embedded worlds in the layout of the data set that it stands for."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.worlds.exporters import WorldName, WorldSettings, render_world


def main(world: WorldName, out: Path) -> None:
    """Renders one of the embedded worlds in the layout of the data set that it stands for.

    Args:
        world: gta, cityscapes, veis or viper.
        out: Folder of the data set; replaced when the new one is whole.
    """
    workers = read_section("hardware", HardwareSettings).workers
    render_world(world, out, read_section("worlds", WorldSettings), workers=workers)


if __name__ == "__main__":
    run(main)
