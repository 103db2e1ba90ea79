"""Shapes and types in annotations are checked while the tests run; fixtures of several folders."""

from dataclasses import replace

import pytest
from jaxtyping import install_import_hook

install_import_hook("synth2real", "beartype.beartype")

from synth2real.augmentation import AugmentationSettings  # noqa: E402  (after the hook)


@pytest.fixture
def augmentation() -> AugmentationSettings:
    """Changes nothing."""
    return AugmentationSettings(
        scale=(1.0, 1.0), flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, tint=0.0, gamma=1.0, grey=0.0,
        blur=0.0, noise=0.0,
    )  # fmt: skip


@pytest.fixture
def strong_augmentation(augmentation: AugmentationSettings) -> AugmentationSettings:
    return replace(
        augmentation, scale=(0.5, 2.0), flip=0.5, brightness=0.4, contrast=0.4, saturation=0.6, hue=0.1, tint=0.2, gamma=1.5,
        grey=0.2, blur=1.0, noise=8.0,
    )  # fmt: skip
