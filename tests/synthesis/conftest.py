"""Tiny settings, and two frame sets of a few pairs."""

from pathlib import Path

import numpy as np
import pytest

from synth2real.adversarial import SampleSettings
from synth2real.frames import Frame, write_frames, write_image, write_instances, write_label
from synth2real.hardware import HardwareSettings
from synth2real.label_space import PALETTE
from synth2real.synthesis.data import PairSettings
from synth2real.synthesis.discriminators import SynthesisDiscriminatorSettings
from synth2real.synthesis.features import FeatureSettings
from synth2real.synthesis.generators import SynthesisGeneratorSettings
from synth2real.synthesis.losses import SynthesisLossSettings
from synth2real.synthesis.train import CoarseToFineSettings, SynthesisOptimizerSettings, SynthesisSettings
from synth2real.training import Schedule

SIZE = (32, 64)


@pytest.fixture
def cpu() -> HardwareSettings:
    return HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0, tracking=False)


@pytest.fixture
def tiny() -> SynthesisSettings:
    """pix2pix on pairs of 32x64 pixels."""
    return SynthesisSettings(
        generator=SynthesisGeneratorSettings(
            network="global", width=4, halvings=2, blocks=1, local_blocks=1, dropout=0.0, noise=0.0
        ),
        boundaries=True,
        features=FeatureSettings(channels=0, width=2, halvings=2, clusters=2),
        discriminator=SynthesisDiscriminatorSettings(network="patch", width=4, layers=2, scales=1, norm="instance"),
        pairs=PairSettings(load_size=None, crop_size=SIZE, flip=False),
        loss=SynthesisLossSettings(
            adversarial="lsgan", l1=10.0, feature_matching=0.0, perceptual=0.0, vgg19_weights=None, gradient_penalty=10.0
        ),
        optimizer=SynthesisOptimizerSettings(
            learning_rate=2e-3, batch_scaling="none", beta1=0.5, constant_share=0.5, discriminator_steps=1
        ),
        coarse_to_fine=CoarseToFineSettings(coarse=0.0, enhancer=0.0),
        seed=1,
        schedule=Schedule(epochs=2, steps_per_epoch=3, batch_size=2),
        samples=SampleSettings(every=3, frames=2),
    )


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Frame sets of photos and of their annotations: blocks of a few classes, each painted in its palette colour with a ramp."""
    images, annotations = tmp_path / "images", tmp_path / "annotations"
    frames = [Frame(f"frame_{number}", "train", *SIZE) for number in range(4)] + [Frame("held_out", "val", *SIZE)]
    for number, frame in enumerate(frames):
        blocks = np.random.default_rng(number).choice(np.array([7, 8, 11, 21, 23, 24, 26], np.uint8), (4, 8))
        label_ids = np.kron(blocks, np.ones((8, 8), np.uint8))
        instance_ids = np.where(label_ids > 23, label_ids * np.uint16(1000), label_ids).astype(np.uint16)
        ramp = np.linspace(0.6, 1.0, SIZE[1])[None, :, None]
        write_image(images / "images" / f"{frame.frame_id}.png", (PALETTE[label_ids] * ramp).astype(np.uint8))
        write_label(annotations / "labels" / f"{frame.frame_id}.png", label_ids)
        write_instances(annotations / "instances" / f"{frame.frame_id}.png", instance_ids)
    write_frames(images, frames)
    write_frames(annotations, frames)
    return images, annotations
