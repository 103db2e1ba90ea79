"""Instance average precision against the official program, on the same files."""

import contextlib
import io
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from synth2real.detections import Detection, decode_mask, encode_masks
from synth2real.instances.cityscapes import CITYSCAPES_THINGS, cityscapes_average_precision
from synth2real.label_space import LABEL_BY_NAME, VEIS_LABELS

_SIZE = (60, 90)
_CATEGORY = {label.name: number for number, label in enumerate(VEIS_LABELS, start=1)}


@pytest.fixture(scope="module")
def official() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cityscapesscripts.evaluation import evalInstanceLevelSemanticLabeling as program  # noqa: N813
    assert isinstance(program, ModuleType)
    return program


def _detection(mask: np.ndarray, category_id: int, score: float) -> Detection:
    height, width = mask.shape
    return Detection(category_id, score, (0.0, 0.0, float(width), float(height)), (height, width), encode_masks(mask[None])[0])


def _frame(rng: np.random.Generator) -> tuple[np.ndarray, list[Detection]]:
    """Annotated rectangles of all kinds, and detections of them that are moved, doubled, of another class, or of nothing."""
    ids = rng.choice(np.array([0, 7, 11, 21], np.uint16), (3, 3)).repeat(20, 0).repeat(30, 1)
    names = ("person", "car", "truck", "bicycle")
    detections = []
    for number in range(10):
        label = LABEL_BY_NAME[names[rng.integers(4)]]
        top, left = int(rng.integers(0, 45)), int(rng.integers(0, 70))
        height, width = int(rng.integers(4, 16)), int(rng.integers(5, 25))
        kind = rng.integers(6)
        value = label.label_id if kind == 0 else 29 if kind == 1 else label.label_id * 1000 + number
        ids[top : top + height, left : left + width] = value
        for _ in range(rng.integers(3)):
            mask = np.zeros(_SIZE, bool)
            up, aside = rng.integers(-2, 3, 2)
            mask[max(0, top + up) : top + up + height, max(0, left + aside) : left + aside + width] = True
            category = _CATEGORY[label.name] if rng.random() < 0.8 else int(rng.integers(1, 11))
            detections.append(_detection(mask, category, round(float(rng.random()), 1)))
    detections.append(_detection(rng.random(_SIZE) < 0.3, int(rng.integers(1, 11)), 0.7))
    detections.append(_detection(np.zeros(_SIZE, bool), 5, 0.9))
    return ids, detections


def _official_scores(
    program: ModuleType, folder: Path, frames: list[tuple[np.ndarray, list[Detection]]], monkeypatch: pytest.MonkeyPatch
) -> Any:
    annotations, predictions = [], []
    for number, (ids, detections) in enumerate(frames):
        annotations.append(str(folder / f"{number}_gtFine_instanceIds.png"))
        cv2.imwrite(annotations[-1], ids)
        lines = []
        for index, item in enumerate(detections):
            cv2.imwrite(str(folder / f"{number}_{index}.png"), decode_mask(item).astype(np.uint8) * 255)
            lines.append(f"{number}_{index}.png {VEIS_LABELS[item.category_id - 1].label_id} {item.score}")
        predictions.append(str(folder / f"{number}.txt"))
        Path(predictions[-1]).write_text("\n".join(lines) + "\n" * bool(lines))
    monkeypatch.setattr(program, "writeDict2JSON", lambda *_: None)  # of its working state; cannot write NumPy's numbers
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # gone from NumPy 2.4
    for name, value in {
        "quiet": True,
        "JSONOutput": False,
        "predictionPath": str(folder),
        "gtInstancesFile": str(folder / "gt"),
    }.items():
        monkeypatch.setattr(program.args, name, value)
    with contextlib.redirect_stdout(io.StringIO()):
        return program.evaluateImgLists(predictions, annotations, program.args)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_official_program(official: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [_frame(rng) for _ in range(5)]
    expected = _official_scores(official, tmp_path, frames, monkeypatch)
    scores = cityscapes_average_precision(*zip(*frames, strict=True))
    averages = expected["averages"]
    assert (scores["ap"], scores["ap50"]) == (round(100 * averages["allAp"], 3), round(100 * averages["allAp50%"], 3))
    assert 0 < scores["ap"] < scores["ap50"] < 100
    assert expected["instLabels"] == [label.name for label in CITYSCAPES_THINGS]
    for name, values in averages["classes"].items():
        for mine, value in ((scores["per_class"], values["ap"]), (scores["per_class_50"], values["ap50%"])):
            assert mine[name] == (None if np.isnan(value) else round(100 * value, 3)), name


def test_no_detection_scores_0_and_no_annotation_nothing() -> None:
    ids = np.zeros(_SIZE, np.uint16)
    ids[10:30, 10:30] = 26001
    scores = cityscapes_average_precision([ids], [[]])
    assert (scores["ap"], scores["per_class"]["car"], scores["per_class"]["bus"]) == (0, 0, None)
    nothing = cityscapes_average_precision([np.zeros(_SIZE, np.uint16)], [[_detection(np.ones(_SIZE, bool), 5, 0.5)]])
    assert (nothing["ap"], nothing["ap50"]) == (None, None)


def test_what_lies_on_void_groups_and_small_instances_is_forgiven() -> None:
    ids = np.full(_SIZE, 7, np.uint16)
    ids[5:25, 5:25] = 26000
    ids[40:45, 5:15] = 26001  # 50 pixels
    ids[40:50, 30:50] = 26  # a group
    ids[40:50, 60:80] = 0
    boxes = {"small": np.s_[40:45, 5:15], "group": np.s_[40:50, 30:40], "void": np.s_[42:50, 62:80], "road": np.s_[25:35, 60:80]}

    def ap50(*names: str) -> float | None:
        detections = [_detection(ids == 26000, 5, 0.3)]
        for name in names:
            mask = np.zeros(_SIZE, bool)
            mask[boxes[name]] = True
            detections.append(_detection(mask, 5, 0.9))
        value: float | None = cityscapes_average_precision([ids], [detections])["per_class_50"]["car"]
        return value

    assert ap50("small", "group", "void") == ap50() == 100
    assert ap50("road") == 25  # precision is 1/2 at recall 1, 0 before
