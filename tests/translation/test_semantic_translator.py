"""The stage that teaches the translator with a segmenter: it sees what the segmenter's own prediction sees."""

from pathlib import Path

import numpy as np
import torch

from stages import train_semantic_translator as stage
from synth2real.segmentation.networks import NetworkSettings, Segmenter, TrainedSegmenter, save_segmenter
from synth2real.translation.data import to_tensor

SETTINGS = NetworkSettings(
    architecture="deeplabv3plus",
    encoder="resnet10t",
    weights="random",
    output_stride=16,
    decoder_channels=16,
    atrous_rates=(1, 2, 3),
    dropout=0.0,
)


def test_the_translator_sees_the_segmenters_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    segmenter = Segmenter(SETTINGS).eval()
    save_segmenter(tmp_path / "segmenter.ckpt", TrainedSegmenter(segmenter, SETTINGS, (64, 96)))
    taught = stage.load_source_segmenter(tmp_path / "segmenter.ckpt")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    images = to_tensor(image)[None].requires_grad_()
    logits = taught.logits(images)
    torch.testing.assert_close(logits, segmenter(torch.from_numpy(image)[None]), rtol=1e-3, atol=1e-4)
    torch.autograd.backward(logits[:, 3].sum())
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert taught.file == tmp_path / "segmenter.ckpt"


def test_images_of_other_sizes_keep_them(tmp_path: Path) -> None:
    save_segmenter(tmp_path / "s.ckpt", TrainedSegmenter(Segmenter(SETTINGS), SETTINGS, (64, 96)))
    assert stage.load_source_segmenter(tmp_path / "s.ckpt").logits(torch.zeros(1, 3, 49, 70)).shape == (1, 19, 49, 70)
