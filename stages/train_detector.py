"""Trains the instance detector (Mask R-CNN)."""

from dataclasses import replace
from pathlib import Path

from synth2real import tracking
from synth2real.frames import read_frames
from synth2real.hardware import HardwareSettings
from synth2real.instances.anchors import with_fitted_anchors
from synth2real.instances.data import pair_frames
from synth2real.instances.detectron2_network import Detectron2Detector
from synth2real.instances.mask_rcnn import save_detector
from synth2real.instances.train import InstanceSettings, train_detector
from synth2real.params import read_section, run
from synth2real.resuming import resume_folder


def main(images: Path, annotations: Path, out: Path, curves: Path) -> None:
    """Trains Mask R-CNN on the training frames of a set with instances.

    Args:
        images: Frame set with images, such as translated or painted ones.
        annotations: Frame set with the instances of the same frames; may be the same.
        out: Model file.
        curves: CSV file with the losses.
    """
    settings = read_section("instances", InstanceSettings)
    frames = pair_frames(read_frames(images), read_frames(annotations).split("train"))
    data = [images, annotations]
    if settings.backend == "torchvision":
        settings = replace(settings, network=with_fitted_anchors(settings.network, frames, settings.min_area))
    else:
        data.append(Path(settings.detectron2.config))
    detector = train_detector(
        frames,
        settings,
        hardware=read_section("hardware", HardwareSettings),
        curves=curves,
        resume=resume_folder("train_detector", settings, data),
    )
    save_detector(out, detector.settings if isinstance(detector, Detectron2Detector) else settings.network, detector)
    tracking.log_model(out)


if __name__ == "__main__":
    run(main)
