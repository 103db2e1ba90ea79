from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from synth2real.frames import FrameError, read_frames, write_frames
from synth2real.hardware import HardwareSettings
from synth2real.label_space import TRAIN_ID_TO_LABEL_ID
from synth2real.segmentation.networks import Segmenter, TrainedSegmenter, save_segmenter
from synth2real.segmentation.predict import SemanticPredictionSettings, load_predictor, predict_frames
from synth2real.segmentation.train import SegmentationSettings
from synth2real.training import ModelFileError, save_model


@pytest.fixture
def model(settings: SegmentationSettings, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.ckpt"
    save_segmenter(path, TrainedSegmenter(Segmenter(settings.network), settings.network, settings.size))
    return path


@pytest.mark.parametrize("size", [(32, 64), (33, 65), (7, 5), (95, 120)])
def test_a_prediction_has_the_size_of_its_image(model: Path, hardware: HardwareSettings, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    prediction = load_predictor(model, hardware)(image)
    assert prediction.shape == size
    assert prediction.dtype == np.uint8
    assert prediction.max() < 19


def test_at_the_trained_size_a_prediction_is_the_arg_max(
    model: Path, settings: SegmentationSettings, hardware: HardwareSettings
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*settings.size, 3), np.uint8)
    torch.manual_seed(0)
    with torch.inference_mode():
        expected = Segmenter(settings.network).eval()(torch.from_numpy(image)[None])[0].argmax(0)
    assert (load_predictor(model, hardware)(image) == expected.numpy()).mean() > 0.999


def test_with_flipping_the_mirror_image_gives_the_mirrored_prediction(model: Path, hardware: HardwareSettings) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    predict = load_predictor(model, hardware, flip=True)
    assert (predict(image[:, ::-1])[:, ::-1] == predict(image)).mean() > 0.999
    plain = load_predictor(model, hardware)
    assert (plain(image[:, ::-1])[:, ::-1] == plain(image)).mean() < 0.99


def test_predictions_are_those_of_the_predictor_frame_by_frame(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("target", 20, size=(40, 50))
    out = tmp_path / "predictions"
    predict_frames(root, model, ("train",), out, SemanticPredictionSettings(flip=False), hardware)
    images, predictions = read_frames(root), read_frames(out)
    assert predictions.frames == images.frames
    assert sorted(path.name for path in out.iterdir()) == ["frames.csv", "labels"]
    predict = load_predictor(model, hardware)
    for frame in images.frames:
        expected = TRAIN_ID_TO_LABEL_ID[predict(images.image(frame))]
        np.testing.assert_array_equal(predictions.label(frame), expected)


def test_frames_of_the_chosen_splits_are_predicted_and_all_if_none_is_chosen(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("target", 4, size=(40, 50))
    frames = [frame._replace(split="val" if number % 2 else "train") for number, frame in enumerate(read_frames(root).frames)]
    write_frames(root, frames)
    settings = SemanticPredictionSettings(flip=False)
    for splits, expected in (((), frames), (("val",), frames[1::2])):
        out = tmp_path / "_".join(("predictions", *splits))
        predict_frames(root, model, splits, out, settings, hardware)
        assert list(read_frames(out).frames) == expected


def test_a_missing_split_or_image_leaves_no_frame_set(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, out, settings = make_frames("target", 3), tmp_path / "predictions", SemanticPredictionSettings(flip=False)
    with pytest.raises(FrameError, match="no frame of split val"):
        predict_frames(root, model, ("train", "val"), out, settings, hardware)
    (root / "images" / "target_2.png").unlink()
    with pytest.raises(FrameError, match="no image target_2"):
        predict_frames(root, model, ("train",), out, settings, hardware)
    assert not (out / "frames.csv").exists()


def test_an_image_with_four_channels_is_refused(model: Path, hardware: HardwareSettings) -> None:
    with pytest.raises((TypeError, ValueError)):
        load_predictor(model, hardware)(np.zeros((32, 64, 4), np.uint8))


def test_a_model_of_another_kind_is_refused(hardware: HardwareSettings, tmp_path: Path) -> None:
    save_model(tmp_path / "translator.ckpt", "translator", {}, {})
    with pytest.raises(ModelFileError, match="expected a segmenter, found a translator"):
        load_predictor(tmp_path / "translator.ckpt", hardware)
