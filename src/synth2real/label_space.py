"""The only table of classes: Cityscapes label ids, train ids, categories, colours, and the mappings of other data sets onto them.

On disk the project always holds Cityscapes *label ids* (0..33); in memory networks see *train ids* (0..18, 255 = ignored).
Everything else (SYNTHIA's 16 and 13 classes, CamVid's 11, VEIS's 10, VIPER's 32) is derived here by look-up tables.

Sources: Cordts et al., CVPR 2016 (table of labels, as published with cityscapesScripts); Richter et al., ECCV 2016 (GTA5, whose
labels use the Cityscapes ids plus 34 = licence plate) and ICCV 2017 (VIPER, Playing for Benchmarks); Brostow et al., PRL 2009 and
Badrinarayanan et al., PAMI 2017 (CamVid, 32 colours and the 11-class protocol); Ros et al., CVPR 2016 (SYNTHIA);
Saleh et al., ECCV 2018 (VEIS).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8

IGNORE_INDEX: Final = 255
"""Train id of pixels that neither train nor count."""

UNLABELED_ID: Final = 0
"""Label id of a pixel that nobody labelled; every unknown falls to it."""

INSTANCE_FACTOR: Final = 1000
"""Cityscapes instance ids are ``label_id * 1000 + n`` for the n-th thing of a class, and ``label_id`` for stuff."""


class Label(NamedTuple):
    """One class of Cityscapes."""

    name: str
    label_id: int
    train_id: int
    """0..18, or 255 where the benchmark ignores the class."""
    category: str
    is_thing: bool
    """Whether Cityscapes counts instances of it."""
    colour: tuple[int, int, int]


LABELS: Final[tuple[Label, ...]] = (
    Label("unlabeled", 0, 255, "void", False, (0, 0, 0)),
    Label("ego vehicle", 1, 255, "void", False, (0, 0, 0)),
    Label("rectification border", 2, 255, "void", False, (0, 0, 0)),
    Label("out of roi", 3, 255, "void", False, (0, 0, 0)),
    Label("static", 4, 255, "void", False, (0, 0, 0)),
    Label("dynamic", 5, 255, "void", False, (111, 74, 0)),
    Label("ground", 6, 255, "void", False, (81, 0, 81)),
    Label("road", 7, 0, "flat", False, (128, 64, 128)),
    Label("sidewalk", 8, 1, "flat", False, (244, 35, 232)),
    Label("parking", 9, 255, "flat", False, (250, 170, 160)),
    Label("rail track", 10, 255, "flat", False, (230, 150, 140)),
    Label("building", 11, 2, "construction", False, (70, 70, 70)),
    Label("wall", 12, 3, "construction", False, (102, 102, 156)),
    Label("fence", 13, 4, "construction", False, (190, 153, 153)),
    Label("guard rail", 14, 255, "construction", False, (180, 165, 180)),
    Label("bridge", 15, 255, "construction", False, (150, 100, 100)),
    Label("tunnel", 16, 255, "construction", False, (150, 120, 90)),
    Label("pole", 17, 5, "object", False, (153, 153, 153)),
    Label("polegroup", 18, 255, "object", False, (153, 153, 153)),
    Label("traffic light", 19, 6, "object", False, (250, 170, 30)),
    Label("traffic sign", 20, 7, "object", False, (220, 220, 0)),
    Label("vegetation", 21, 8, "nature", False, (107, 142, 35)),
    Label("terrain", 22, 9, "nature", False, (152, 251, 152)),
    Label("sky", 23, 10, "sky", False, (70, 130, 180)),
    Label("person", 24, 11, "human", True, (220, 20, 60)),
    Label("rider", 25, 12, "human", True, (255, 0, 0)),
    Label("car", 26, 13, "vehicle", True, (0, 0, 142)),
    Label("truck", 27, 14, "vehicle", True, (0, 0, 70)),
    Label("bus", 28, 15, "vehicle", True, (0, 60, 100)),
    Label("caravan", 29, 255, "vehicle", True, (0, 0, 90)),
    Label("trailer", 30, 255, "vehicle", True, (0, 0, 110)),
    Label("train", 31, 16, "vehicle", True, (0, 80, 100)),
    Label("motorcycle", 32, 17, "vehicle", True, (0, 0, 230)),
    Label("bicycle", 33, 18, "vehicle", True, (119, 11, 32)),
)
"""All label ids that a frame set may hold: ``LABELS[i].label_id == i``. (Cityscapes' -1, licence plate, is stored as 0.)"""

NUM_LABEL_IDS: Final = len(LABELS)
LABEL_BY_NAME: Final[Mapping[str, Label]] = {label.name: label for label in LABELS}
TRAIN_LABELS: Final[tuple[Label, ...]] = tuple(
    sorted((label for label in LABELS if label.train_id != IGNORE_INDEX), key=lambda label: label.train_id)
)
"""The 19 classes of the benchmark, in the order of their train ids."""
NUM_CLASSES: Final = len(TRAIN_LABELS)

VEIS_LABELS: Final[tuple[Label, ...]] = tuple(
    LABEL_BY_NAME[name]
    for name in (
        "traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    )
)  # fmt: skip
"""The 10 foreground classes of VEIS; a detector's class k (1-based, 0 = background) is ``VEIS_LABELS[k - 1]``."""

FOREGROUND_TRAIN_IDS: Final[tuple[int, ...]] = tuple(label.train_id for label in VEIS_LABELS)


def lookup_table(mapping: Mapping[int, int], default: int) -> UInt8[np.ndarray, "256"]:
    """A table for ``table[values]``: ``mapping[value]`` where there is one, ``default`` elsewhere.

    Args:
        mapping: From 0..255 to 0..255.
        default: For every value that ``mapping`` does not name.
    """
    table = np.full(256, default, np.uint8)
    for value, mapped in mapping.items():
        table[value] = mapped
    table.setflags(write=False)
    return table


LABEL_ID_TO_TRAIN_ID: Final = lookup_table({label.label_id: label.train_id for label in LABELS}, IGNORE_INDEX)
"""``uint8[256]``: label id to train id; 255 for all that is ignored."""
TRAIN_ID_TO_LABEL_ID: Final = lookup_table({label.train_id: label.label_id for label in TRAIN_LABELS}, UNLABELED_ID)
"""``uint8[256]``: train id to label id; ignored becomes 0 (unlabeled)."""

PALETTE: Final = np.zeros((256, 3), np.uint8)
"""``uint8[256, 3]``: RGB colour of each label id."""
PALETTE[: len(LABELS)] = [label.colour for label in LABELS]
PALETTE.setflags(write=False)


# --- Label spaces that an evaluation may count in ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """Classes of an evaluation protocol, and how label ids fall into them."""

    name: str
    class_names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    """For each class, the Cityscapes classes that it is made of."""

    @property
    def table(self) -> UInt8[np.ndarray, "256"]:
        """Look-up table from label id to class index; 255 where ignored."""
        return lookup_table(
            {LABEL_BY_NAME[member].label_id: index for index, group in enumerate(self.groups) for member in group},
            IGNORE_INDEX,
        )

    @property
    def colours(self) -> UInt8[np.ndarray, "classes 3"]:
        """RGB colour of each class: that of the first Cityscapes class in it."""
        return PALETTE[[LABEL_BY_NAME[group[0]].label_id for group in self.groups]]


def _subset(name: str, class_names: Sequence[str]) -> LabelSpace:
    return LabelSpace(name, tuple(class_names), tuple((class_name,) for class_name in class_names))


_CITYSCAPES19: Final = tuple(label.name for label in TRAIN_LABELS)
_SYNTHIA16: Final = tuple(name for name in _CITYSCAPES19 if name not in {"terrain", "truck", "train"})
_SYNTHIA13: Final = tuple(name for name in _SYNTHIA16 if name not in {"wall", "fence", "pole"})

_CAMVID11: Final = LabelSpace(
    "camvid11",
    (
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    (
        ("sky",), ("building", "wall", "bridge", "tunnel"), ("pole", "polegroup"), ("road",), ("sidewalk", "parking"),
        ("vegetation", "terrain"), ("traffic sign", "traffic light"), ("fence", "guard rail"),
        ("car", "truck", "bus", "caravan", "trailer", "train"), ("person",), ("rider", "bicycle", "motorcycle"),
    ),
)  # fmt: skip

LABEL_SPACES: Final[Mapping[str, LabelSpace]] = {
    space.name: space
    for space in (
        _subset("cityscapes19", _CITYSCAPES19),
        _subset("synthia16", _SYNTHIA16),
        _subset("synthia13", _SYNTHIA13),
        _CAMVID11,
    )
}
"""The protocols by name. CamVid's 11 classes follow Badrinarayanan et al. 2017 (walls, bridges and tunnels are building; traffic
lights are sign; trucks, buses and trains are car; motorcyclists are bicyclist); grass has no class there and is tree."""


# --- Other data sets' ids ------------------------------------------------------------------------------------------------

CAMVID11_TO_LABEL_ID: Final = lookup_table(
    {
        0: 23, 1: 11, 2: 17, 3: 7, 4: 8, 5: 21, 6: 20, 7: 13, 8: 26, 9: 24, 10: 25, 11: UNLABELED_ID,
    },
    IGNORE_INDEX,
)  # fmt: skip
"""CamVid's 11 annotated classes (11 = void) to label ids; 255 for values that do not occur. Bicyclist becomes rider: person and
bicycle are one region there, so a map of it says nothing about where the bicycle begins. Evaluate in ``camvid11``."""

CAMVID32_TO_LABEL_ID: Final[Mapping[tuple[int, int, int], tuple[str, int]]] = {
    (64, 128, 64): ("Animal", 5),
    (192, 0, 128): ("Archway", 11),
    (0, 128, 192): ("Bicyclist", 25),
    (0, 128, 64): ("Bridge", 15),
    (128, 0, 0): ("Building", 11),
    (64, 0, 128): ("Car", 26),
    (64, 0, 192): ("CartLuggagePram", 5),
    (192, 128, 64): ("Child", 24),
    (192, 192, 128): ("Column_Pole", 17),
    (64, 64, 128): ("Fence", 13),
    (128, 0, 192): ("LaneMkgsDriv", 7),
    (192, 0, 64): ("LaneMkgsNonDriv", 7),
    (128, 128, 64): ("Misc_Text", 20),
    (192, 0, 192): ("MotorcycleScooter", 32),
    (128, 64, 64): ("OtherMoving", 26),
    (64, 192, 128): ("ParkingBlock", 9),
    (64, 64, 0): ("Pedestrian", 24),
    (128, 64, 128): ("Road", 7),
    (128, 128, 192): ("RoadShoulder", 7),
    (0, 0, 192): ("Sidewalk", 8),
    (192, 128, 128): ("SignSymbol", 20),
    (128, 128, 128): ("Sky", 23),
    (64, 128, 192): ("SUVPickupTruck", 26),
    (0, 0, 64): ("TrafficCone", 4),
    (0, 64, 64): ("TrafficLight", 19),
    (192, 64, 128): ("Train", 31),
    (128, 128, 0): ("Tree", 21),
    (192, 128, 192): ("Truck_Bus", 27),
    (64, 0, 64): ("Tunnel", 16),
    (192, 192, 0): ("VegetationMisc", 21),
    (0, 0, 0): ("Void", 0),
    (64, 192, 0): ("Wall", 12),
}
"""CamVid's original 32 colours (RGB) with their names and label ids."""


class ViperClass(NamedTuple):
    """One class of Playing for Benchmarks."""

    viper_id: int
    name: str
    label_id: int


VIPER_CLASSES: Final[tuple[ViperClass, ...]] = (
    ViperClass(0, "unlabeled", 0),
    ViperClass(1, "ambiguous", 0),
    ViperClass(2, "sky", 23),
    ViperClass(3, "road", 7),
    ViperClass(4, "sidewalk", 8),
    ViperClass(5, "railtrack", 10),
    ViperClass(6, "terrain", 22),
    ViperClass(7, "tree", 21),
    ViperClass(8, "vegetation", 21),
    ViperClass(9, "building", 11),
    ViperClass(10, "infrastructure", 4),
    ViperClass(11, "fence", 13),
    ViperClass(12, "billboard", 4),
    ViperClass(13, "traffic light", 19),
    ViperClass(14, "traffic sign", 20),
    ViperClass(15, "mobile barrier", 5),
    ViperClass(16, "fire hydrant", 4),
    ViperClass(17, "chair", 5),
    ViperClass(18, "trash", 5),
    ViperClass(19, "trash can", 4),
    ViperClass(20, "person", 24),
    ViperClass(21, "animal", 5),
    ViperClass(22, "bicycle", 33),
    ViperClass(23, "motorcycle", 32),
    ViperClass(24, "car", 26),
    ViperClass(25, "van", 26),
    ViperClass(26, "bus", 28),
    ViperClass(27, "truck", 27),
    ViperClass(28, "trailer", 30),
    ViperClass(29, "train", 31),
    ViperClass(30, "plane", 5),
    ViperClass(31, "boat", 5),
)
VIPER_TO_LABEL_ID: Final = lookup_table({item.viper_id: item.label_id for item in VIPER_CLASSES}, IGNORE_INDEX)
"""VIPER class ids 0..31 to label ids; 255 for values that do not occur. VIPER has no wall, pole or rider."""

GTA5_TO_LABEL_ID: Final = lookup_table(
    {**{label.label_id: label.label_id for label in LABELS}, 34: UNLABELED_ID, IGNORE_INDEX: UNLABELED_ID}, IGNORE_INDEX
)
"""GTA5 palette indices to label ids: the same, but for 34 (licence plate) and 255 (-1), which are ignored. 255 marks values that
do not occur."""
