import numpy as np

from synth2real.detections import Detection, encode_masks
from synth2real.instances.data import instances_of
from synth2real.instances.pictures import draw_annotation, draw_detections, sheet
from synth2real.label_space import LABEL_BY_NAME

_GREY = np.full((160, 200, 3), 100, np.uint8)
_IDS = np.zeros((160, 200), np.uint16)
_IDS[60:140, 20:90] = 26000


def _car(score: float) -> Detection:
    return Detection(5, score, (20.0, 60.0, 70.0, 80.0), (160, 200), encode_masks(_IDS[None] > 0)[0])


def test_masks_are_tinted_and_the_rest_is_left_as_it_is() -> None:
    blend = (100 + np.array(LABEL_BY_NAME["car"].colour)) // 2
    for drawn in (draw_annotation(_GREY, instances_of(_IDS, 1)), draw_detections(_GREY, [_car(0.9)], 0.5)):
        assert drawn.shape == (320, 400, 3)  # magnified to a height at which names can be read
        assert (drawn[200, 100] == blend).all()
        assert (drawn[300, 300] == 100).all()
        assert (drawn[120:280, 40] == LABEL_BY_NAME["car"].colour).all()  # the box's left edge


def test_what_prediction_drops_is_not_drawn() -> None:
    assert (draw_detections(_GREY, [_car(0.4)], 0.5) == 100).all()
    assert (_GREY == 100).all()


def test_the_highest_score_lies_on_top() -> None:
    person = _car(0.6)._replace(category_id=3)
    one, other = (draw_detections(_GREY, items, 0.5) for items in ([person, _car(0.9)], [_car(0.9), person]))
    assert (one == other).all()
    assert (one[200, 100] == (100 + np.array(LABEL_BY_NAME["car"].colour)) // 2).all()


def test_rows_of_unequal_width_are_filled_with_white() -> None:
    one, two = np.zeros((10, 20, 3), np.uint8), np.zeros((10, 30, 3), np.uint8)
    pictures = sheet([[one, one], [two]])
    assert pictures.shape == (28, 48, 3)
    assert pictures[:10, 24:44].max() == 0
    assert pictures[14:, 30:].min() == 255
