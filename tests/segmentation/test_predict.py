import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F

from synth2real.frames import FrameError, read_frames, resize_image, write_frames
from synth2real.hardware import HardwareSettings
from synth2real.label_space import TRAIN_ID_TO_LABEL_ID
from synth2real.models import ModelFileError, save_model
from synth2real.segmentation.networks import Segmenter, TrainedSegmenter, load_segmenter, save_segmenter
from synth2real.segmentation.predict import ONE_VIEW, load_predictor, predict_frames, window_logits, window_starts
from synth2real.segmentation.train import SegmentationSettings


@pytest.fixture
def model(settings: SegmentationSettings, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.ckpt"
    segmenter = Segmenter(settings.network)
    segmenter.network.get_parameter("segmentation_head.0.weight").data *= 100  # so that probabilities differ
    save_segmenter(path, TrainedSegmenter(segmenter, settings.network, settings.size))
    return path


def random_image(*size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def probabilities(segmenter: Segmenter, image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """The plain computation: of the whole image at one size, in the network's resolution."""
    with torch.inference_mode():
        found: torch.Tensor = segmenter(torch.from_numpy(resize_image(image, size))[None]).softmax(1)
    return found


def upsampled(scores: torch.Tensor, image: np.ndarray) -> torch.Tensor:
    return F.interpolate(scores, size=image.shape[:2], mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("size", [(32, 64), (33, 65), (7, 5), (95, 120)])
def test_a_single_view_gives_the_arg_max_and_its_probability(
    model: Path, hardware: HardwareSettings, size: tuple[int, int]
) -> None:
    image, segmenter = random_image(*size), load_segmenter(model).segmenter
    segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode():
        logits = upsampled(segmenter(torch.from_numpy(resize_image(image, (32, 64)))[None]), image)
    prediction = load_predictor(model, hardware, replace(ONE_VIEW, confidence=True))(image)
    assert prediction.train_ids.dtype == np.uint8
    np.testing.assert_array_equal(prediction.train_ids, logits.argmax(0).numpy())  # to the bit
    assert prediction.confidence is not None
    assert prediction.confidence.dtype == np.uint8
    assert len(np.unique(prediction.confidence)) > 20
    assert np.abs(prediction.confidence - 255 * logits.softmax(0).amax(0).numpy()).max() < 0.501
    assert load_predictor(model, hardware)(image).confidence is None


def test_with_flipping_the_mirror_image_gives_the_mirrored_prediction(model: Path, hardware: HardwareSettings) -> None:
    image = random_image(32, 64)
    predict = load_predictor(model, hardware, replace(ONE_VIEW, flip=True))
    assert (predict(image[:, ::-1]).train_ids[:, ::-1] == predict(image).train_ids).mean() > 0.999
    plain = load_predictor(model, hardware)
    assert (plain(image[:, ::-1]).train_ids[:, ::-1] == plain(image).train_ids).mean() < 0.99


def test_probabilities_of_scales_and_mirror_images_are_averaged(model: Path, hardware: HardwareSettings) -> None:
    image, segmenter = random_image(50, 70), load_segmenter(model).segmenter
    assert isinstance(segmenter, Segmenter)
    total = torch.zeros(19, 50, 70)
    for size in ((24, 48), (32, 64), (42, 83)):  # 1.3 * (32, 64) is no whole number, nor divided by the stride
        mirrored = probabilities(segmenter, image[:, ::-1], size).flip(3)
        total += upsampled(probabilities(segmenter, image, size) + mirrored, image) / 6
    settings = replace(ONE_VIEW, flip=True, scales=(0.75, 1.0, 1.3), confidence=True)
    prediction = load_predictor(model, hardware, settings)(image)
    assert (prediction.train_ids == total.argmax(0).numpy()).mean() > 0.999
    assert prediction.confidence is not None
    assert np.abs(prediction.confidence - 255 * total.amax(0).numpy()).max() < 0.6
    assert (prediction.train_ids != load_predictor(model, hardware)(image).train_ids).any()


@given(length=st.integers(1, 60), window=st.integers(1, 70), overlap=st.integers(0, 69))
def test_windows_cover_all_and_share_what_they_should(length: int, window: int, overlap: int) -> None:
    assume(overlap < window)
    starts = window_starts(length, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - window)
    assert all(1 <= after - before <= window - overlap for before, after in itertools.pairwise(starts))
    assert len(starts) == 1 or (len(starts) - 1) * (window - overlap) + overlap < length  # one window less would not do


def test_logits_of_windows_are_averaged_where_they_overlap(model: Path) -> None:
    segmenter = load_segmenter(model).segmenter
    images = torch.from_numpy(random_image(32, 64))[None]
    with torch.inference_mode():
        left, right = segmenter(images[:, :, :40]), segmenter(images[:, :, 24:])
        found = window_logits(segmenter, images, (48, 40), 16)
    torch.testing.assert_close(found[..., :24], left[..., :24])
    torch.testing.assert_close(found[..., 24:40], (left[..., 24:] + right[..., :16]) / 2)
    torch.testing.assert_close(found[..., 40:], right[..., 16:])


def test_a_window_that_covers_the_image_shows_it_whole(model: Path, hardware: HardwareSettings) -> None:
    image = random_image(45, 81)
    whole = load_predictor(model, hardware, replace(ONE_VIEW, confidence=True))(image)
    assert whole.confidence is not None
    for window, equal in (((32, 64), True), ((100, 64), True), ((32, 63), False)):
        seen = load_predictor(model, hardware, replace(ONE_VIEW, confidence=True, window=window, overlap=4))(image)
        assert seen.confidence is not None
        assert (np.array_equal(seen.train_ids, whole.train_ids) and np.array_equal(seen.confidence, whole.confidence)) == equal


def test_predicting_changes_nothing_and_depends_on_the_image_alone(
    model: Path, hardware: HardwareSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_segmenter(model)
    monkeypatch.setattr("synth2real.segmentation.predict.load_segmenter", lambda path: trained)
    before = {name: tensor.clone() for name, tensor in trained.segmenter.state_dict().items()}
    predict = load_predictor(model, hardware, replace(ONE_VIEW, flip=True, scales=(1.0, 1.5), window=(32, 48), confidence=True))
    image, other = random_image(40, 60), np.full((40, 60, 3), 250, np.uint8)
    first, _, again = predict(image), predict(other), predict(image)
    np.testing.assert_array_equal(np.stack(first), np.stack(again))  # type: ignore[arg-type]
    assert not any(module.training for module in trained.segmenter.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.segmenter.state_dict().items())


@pytest.mark.parametrize(
    "wrong",
    [{"scales": ()}, {"scales": (1.0, 0.0)}, {"scales": (math.inf,)}, {"overlap": -1}, {"window": (8, 16), "overlap": 8}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(ONE_VIEW, **wrong)


def test_predictions_are_those_of_the_predictor_frame_by_frame(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("target", 20, size=(40, 50))
    out, settings = tmp_path / "predictions", replace(ONE_VIEW, confidence=True)
    predict_frames(root, model, ("train",), out, settings, hardware)
    images, predictions = read_frames(root), read_frames(out)
    assert predictions.frames == images.frames
    assert sorted(path.name for path in out.iterdir()) == ["confidences", "frames.csv", "labels"]
    predict = load_predictor(model, hardware, settings)
    for frame in images.frames:
        expected = predict(images.image(frame))
        np.testing.assert_array_equal(predictions.label(frame), TRAIN_ID_TO_LABEL_ID[expected.train_ids])
        np.testing.assert_array_equal(predictions.confidence(frame), expected.confidence)


def test_frames_of_the_chosen_splits_are_predicted_and_all_if_none_is_chosen(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root = make_frames("target", 4, size=(40, 50))
    frames = [frame._replace(split="val" if number % 2 else "train") for number, frame in enumerate(read_frames(root).frames)]
    write_frames(root, frames)
    for splits, expected in (((), frames), (("val",), frames[1::2])):
        out = tmp_path / "_".join(("predictions", *splits))
        predict_frames(root, model, splits, out, ONE_VIEW, hardware)
        assert list(read_frames(out).frames) == expected
        assert sorted(path.name for path in out.iterdir()) == ["frames.csv", "labels"]


def test_a_missing_split_or_image_leaves_no_frame_set(
    make_frames: Callable[..., Path], model: Path, hardware: HardwareSettings, tmp_path: Path
) -> None:
    root, out = make_frames("target", 3), tmp_path / "predictions"
    with pytest.raises(FrameError, match="no frame of split val"):
        predict_frames(root, model, ("train", "val"), out, ONE_VIEW, hardware)
    (root / "images" / "target_2.png").unlink()
    write_frames(out, read_frames(root).frames)  # of an earlier run
    with pytest.raises(FrameError, match="no image target_2"):
        predict_frames(root, model, ("train",), out, ONE_VIEW, hardware)
    assert not (out / "frames.csv").exists()


def test_an_image_with_four_channels_is_refused(model: Path, hardware: HardwareSettings) -> None:
    with pytest.raises((TypeError, ValueError)):
        load_predictor(model, hardware)(np.zeros((32, 64, 4), np.uint8))


def test_a_model_of_another_kind_is_refused(hardware: HardwareSettings, tmp_path: Path) -> None:
    save_model(tmp_path / "translator.ckpt", "translator", {}, {})
    with pytest.raises(ModelFileError, match="expected a segmenter, found a translator"):
        load_predictor(tmp_path / "translator.ckpt", hardware)
