"""Exported predictions are found and read by the benchmark's own scripts."""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth2real.evaluation.export import export_predictions
from synth2real.frames import Frame, FrameError, write_frames, write_label

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813


def _predictions(root: Path, label_ids: np.ndarray, name: str = "aachen_000000_000019") -> Path:
    write_label(root / f"labels/{name}.png", label_ids)
    write_frames(root, [Frame(name, "val", *label_ids.shape)])
    return root


def test_the_archive_is_what_the_server_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label_ids = np.random.default_rng(0).choice([7, 26, 33], (128, 256)).astype(np.uint8)
    predictions = _predictions(tmp_path / "predictions", label_ids)
    export_predictions(predictions, "val", tmp_path / "one.zip")
    export_predictions(predictions, "val", tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        archive.extractall(tmp_path / "results")
        content = archive.read("aachen_000000_000019_pred_labelIds.png")
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), np.kron(label_ids, np.ones((8, 8), np.uint8)))
    monkeypatch.setenv("CITYSCAPES_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(official.args, "predictionPath", None)
    monkeypatch.setattr(official.args, "predictionWalk", None)
    found = official.getPrediction(official.args, "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png")
    assert Path(found).name == "aachen_000000_000019_pred_labelIds.png"


def test_frames_that_the_server_does_not_know_are_refused(tmp_path: Path) -> None:
    road = np.full((128, 256), 7, np.uint8)
    for name, label_ids, message in (
        ("frame_1", road, "frame 'frame_1' has no name of Cityscapes"),
        ("aachen_000000_000019", road[:, :200], r"aachen_000000_000019\.png: 128x200 .* not of the shape of 1024x2048"),
        ("aachen_000000_000020", road * 0, r"aachen_000000_000020\.png: predicts 'unlabeled'"),
    ):
        predictions = _predictions(tmp_path / name, label_ids, name)
        with pytest.raises(FrameError, match=message):
            export_predictions(predictions, "val", tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()
