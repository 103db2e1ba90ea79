from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from synth2real.frames import FrameError, FrameSet, read_frames, resize_image, write_frames
from synth2real.hardware import HardwareSettings
from synth2real.models import ModelFileError
from synth2real.segmentation.batch_norm import BatchNormSettings, batch_norm_layers, reestimate_batch_norm
from synth2real.segmentation.networks import Segmenter, TrainedSegmenter, load_segmenter, save_segmenter
from synth2real.segmentation.train import SegmentationSettings

TWO = BatchNormSettings(batch_size=2, frames=None)


@pytest.fixture
def model(settings: SegmentationSettings, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = replace(settings.network, dropout=0.5)
    save_segmenter(tmp_path / "model.ckpt", TrainedSegmenter(Segmenter(network), network, settings.size))
    return tmp_path / "model.ckpt"


def batch_statistics(segmenter: Segmenter, frames: FrameSet, indices: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and unbiased variance of what enters each batch-norm layer, when each normalises by the batch; by NumPy."""
    layers, found = batch_norm_layers(segmenter), []

    def look(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        values = inputs[0].double().movedim(1, 0).flatten(1).numpy()
        found.append((values.mean(1), values.var(1, ddof=1)))

    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    for layer in layers:
        layer.train()
    with torch.no_grad():
        segmenter(torch.from_numpy(np.stack([resize_image(frames.image(frames.frames[index]), (32, 64)) for index in indices])))
    for handle in handles:
        handle.remove()
    return found


def test_statistics_are_those_of_the_images_batch_by_batch(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("target", 5, size=(40, 90))
    reestimate_batch_norm(root, model, tmp_path / "new.ckpt", TWO, hardware)
    frames, segmenter = read_frames(root), load_segmenter(model).segmenter
    assert isinstance(segmenter, Segmenter)
    batches = [batch_statistics(segmenter, frames, indices) for indices in ([0, 1, 2], [3, 4])]
    loaded = load_segmenter(tmp_path / "new.ckpt")
    layers = batch_norm_layers(loaded.segmenter)
    assert len(layers) == len(batches[0]) > 20
    for number, layer in enumerate(layers):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, variance = (np.mean([batch[number][kind] for batch in batches], axis=0) for kind in (0, 1))
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(layer.running_var.numpy(), variance, rtol=1e-3, atol=1e-5)


def test_no_weight_changes_and_equal_input_gives_equal_bytes(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("target", 4)
    for name in ("one.ckpt", "two.ckpt"):
        torch.manual_seed(len(name))
        reestimate_batch_norm(root, model, tmp_path / name, TWO, hardware)
    assert (tmp_path / "one.ckpt").read_bytes() == (tmp_path / "two.ckpt").read_bytes()
    old, new = load_segmenter(model), load_segmenter(tmp_path / "one.ckpt")
    assert old[1:] == new[1:]
    after = new.segmenter.state_dict()
    changed = {name for name, tensor in old.segmenter.state_dict().items() if not torch.equal(tensor, after[name])}
    layers = [name for name, layer in old.segmenter.named_modules() if isinstance(layer, _BatchNorm)]
    assert changed == {f"{name}.{kind}" for name in layers for kind in ("running_mean", "running_var", "num_batches_tracked")}


def test_only_training_images_count_and_no_more_than_wanted(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("target", 7)
    frames = read_frames(root).frames
    write_frames(root, [frame._replace(split="val" if number in (1, 5) else "train") for number, frame in enumerate(frames)])
    (root / "images" / "target_1.png").unlink()
    reestimate_batch_norm(root, model, tmp_path / "few.ckpt", replace(TWO, frames=3), hardware)
    write_frames(root, [frames[number] for number in (0, 3, 6)])
    reestimate_batch_norm(root, model, tmp_path / "same.ckpt", TWO, hardware)
    assert (tmp_path / "few.ckpt").read_bytes() == (tmp_path / "same.ckpt").read_bytes()


def test_what_has_no_statistics_is_refused(
    make_frames: Callable[..., Path], settings: SegmentationSettings, hardware: HardwareSettings, model: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"encoder": "vgg16", "output_stride": 8, "atrous_rates": (12,)}
    network = replace(settings.network, architecture="largefov", **changes)
    save_segmenter(tmp_path / "vgg.ckpt", TrainedSegmenter(Segmenter(network), network, settings.size))
    with pytest.raises(ModelFileError, match=r"vgg\.ckpt: its network has no batch normalisation"):
        reestimate_batch_norm(make_frames("target", 2), tmp_path / "vgg.ckpt", tmp_path / "new.ckpt", TWO, hardware)
    with pytest.raises(FrameError, match="needs two training images at least, found 1"):
        reestimate_batch_norm(make_frames("single", 1), model, tmp_path / "new.ckpt", TWO, hardware)
    assert not (tmp_path / "new.ckpt").exists()
    for wrong in ({"batch_size": 1}, {"frames": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least 2"):
            replace(TWO, **wrong)
