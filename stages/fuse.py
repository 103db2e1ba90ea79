"""Fuses a semantic prediction with the detected instances of the same frames."""

from pathlib import Path

from synth2real.fusion import FusionSettings, fuse_frames
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run


def main(semantics: Path, instances: Path, out: Path, changes: tuple[str, ...] = ()) -> None:
    """Pastes detected instances over a semantic prediction.

    Args:
        semantics: Frame set with predicted label ids.
        instances: Frame set with detections of the same frames.
        out: Frame set with fused label ids and instance ids.
        changes: Values in place of those of the section fusion, such as score_threshold=0.5.
    """
    settings = read_section("fusion", FusionSettings, changes=changes)
    fuse_frames(semantics, instances, out, settings, workers=read_section("hardware", HardwareSettings).workers)


if __name__ == "__main__":
    run(main)
