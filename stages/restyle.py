"""Gives the source's training images the target's look without training."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.translation.restyle import Method, RestyleSettings, restyle_frames


def main(source: Path, target: Path, method: Method, out: Path) -> None:
    """Writes the split train of the source with the colours or the coarse look of the target.

    Args:
        source: Frame set with the source's images.
        target: Frame set with the target's images.
        method: `fda` for the coarse look (Yang & Soatto 2020), `colour_statistics` for the colours (Reinhard et al. 2001).
        out: Frame set with the restyled images.
    """
    workers = read_section("hardware", HardwareSettings).workers
    restyle_frames(source, target, out, method, read_section("restyle", RestyleSettings), workers=workers)


if __name__ == "__main__":
    run(main)
