import csv

import numpy as np
import pytest

from synth2real.detections import Detection, encode_masks
from synth2real.instances.data import Instances, instances_of
from synth2real.instances.evaluate import average_precision, curves_table


def _detections(instances: Instances, score: float = 0.9) -> list[Detection]:
    codes = encode_masks(instances.masks)
    height, width = instances.masks.shape[1:]
    return [
        Detection(int(label), score, (float(x1), float(y1), float(x2 - x1), float(y2 - y1)), (height, width), code)
        for label, (x1, y1, x2, y2), code in zip(instances.labels, instances.boxes, codes, strict=True)
    ]


def _annotation(offset: int = 0) -> Instances:
    ids = np.zeros((40, 60), np.uint16)
    ids[5:25, 5 + offset : 25 + offset] = 24001
    ids[10:30, 30:55] = 26001
    return instances_of(ids, 1)


def test_perfect_detections_score_100() -> None:
    scores = average_precision([_annotation()], [_detections(_annotation())]).metrics
    assert (scores["ap"], scores["ap50"], scores["box_ap"], scores["box_ap50"]) == (100, 100, 100, 100)
    assert scores["per_class"]["person"] == 100
    assert scores["per_class"]["train"] is None


def test_a_shifted_mask_counts_at_the_lower_overlaps_only() -> None:
    # 3 of 20 columns off: intersection over union 17 / 23 = 0.739, so thresholds 0.50 to 0.70 of ten are met
    scores = average_precision([_annotation()], [_detections(_annotation(offset=3))]).metrics
    assert scores["per_class"]["person"] == pytest.approx(50)
    assert scores["per_class"]["car"] == 100
    assert scores["ap50"] == 100


def test_precision_and_recall_count_the_detections_from_a_score_on() -> None:
    person, car = _detections(_annotation(), 0.9)
    twice = person._replace(score=0.4)
    bus = car._replace(category_id=7, score=0.3)
    missed = _annotation()
    scores = average_precision([_annotation(), missed], [[person, car._replace(score=0.6), twice, bus], []]).metrics
    assert scores["at_score"]["0.75"] == {"precision": 100, "recall": 25}
    assert scores["at_score"]["0.5"] == {"precision": 100, "recall": 50}
    assert scores["at_score"]["0.25"] == {"precision": 50, "recall": 50}
    assert scores["half_right_from"] == 0.3
    alone = average_precision([_annotation()], [[bus]]).metrics
    assert alone["half_right_from"] is None
    assert alone["at_score"]["0.5"] == {"precision": None, "recall": 0}


def test_outcomes_say_which_detections_are_right() -> None:
    person, car = _detections(_annotation(), 0.9)
    first = [person, car._replace(score=0.6), person._replace(score=0.4), car._replace(category_id=7, score=0.3)]
    found = average_precision([_annotation()] * 2, [first, [car._replace(score=0.5)]]).outcomes
    assert found.frames.tolist() == [0, 0, 1, 0, 0]
    assert found.categories.tolist() == [3, 5, 5, 3, 7]
    assert found.scores.tolist() == [0.9, 0.6, 0.5, 0.4, 0.3]
    assert found.right.tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("frames", [1, 2])
def test_no_detection_scores_0(frames: int) -> None:
    scores = average_precision([_annotation()] * frames, [[]] * frames).metrics
    assert (scores["ap"], scores["box_ap50"]) == (0, 0)
    assert scores["per_class"]["car"] == 0
    assert scores["per_class"]["bicycle"] is None


def test_sizes_are_those_of_coco() -> None:
    ids = np.zeros((200, 200), np.uint16)
    ids[:20, :20], ids[30:80, :50], ids[90:190, :100] = 24001, 24002, 24003  # areas 400, 2500 and 10000
    instances = instances_of(ids, 1)
    small, medium, large = _detections(instances)
    assert average_precision([instances], [[small, medium]]).metrics["per_size"] == {"small": 100, "medium": 100, "large": 0}
    assert average_precision([instances], [[large]]).metrics["per_size"] == {"small": 0, "medium": 0, "large": 100}
    assert average_precision([_annotation()], [[]]).metrics["per_size"] == {"small": 0, "medium": None, "large": None}


def test_curves_fall_where_false_detections_begin() -> None:
    person, car = _detections(_annotation())
    wrong = person._replace(category_id=5, score=0.95)
    scores = average_precision([_annotation()] * 2, [[person, car, wrong], []])
    rows = list(csv.DictReader(curves_table(scores.precision).splitlines()))
    assert list(rows[0]) == ["recall", "precision", "person", "car"]
    assert [(row["person"], row["car"], row["precision"]) for row in (rows[0], rows[50], rows[51])] == [
        ("100.0", "50.0", "75.0"),
        ("100.0", "50.0", "75.0"),
        ("0.0", "0.0", "0.0"),
    ]


def test_a_frame_without_instances_only_adds_false_alarms() -> None:
    empty = instances_of(np.zeros((40, 60), np.uint16), 1)
    sure, unsure = _detections(_annotation(), 0.9), _detections(_annotation(), 0.5)
    before = average_precision([_annotation(), empty], [unsure, []]).metrics
    after = average_precision([_annotation(), empty], [unsure, sure]).metrics
    assert before["ap"] == 100
    assert after["ap"] < 60
