"""Paints the label maps of a frame set."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.synthesis.synthesize import SynthesizeSettings, synthesize_frames


def main(
    annotations: Path,
    model: Path,
    out: Path,
    hood: Path | None = None,
    detections: Path | None = None,
    splits: tuple[str, ...] = (),
    changes: tuple[str, ...] = (),
) -> None:
    """Writes a frame set with a painted image for each label map, and the same labels and instances.

    Args:
        annotations: Frame set with label maps.
        model: A synthesizer's model file, or pix2pixHD's published generator.
        out: Frame set with images, labels and instances.
        hood: Frame set with the target's annotations, to measure synthesize.hood from.
        detections: Frame set with detections of the same frames, by which things are told apart; without, by the annotations'
            instance maps, or by regions where there are none.
        splits: Which splits to paint; all if none is named.
        changes: Values in place of those of the section synthesize, such as hood=bonnet.
    """
    settings = read_section("synthesize", SynthesizeSettings, changes=changes)
    hardware = read_section("hardware", HardwareSettings)
    synthesize_frames(annotations, model, out, settings, hardware, hood=hood, detections=detections, splits=splits)


if __name__ == "__main__":
    run(main)
