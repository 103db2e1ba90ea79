"""The order of samples as a pure function of seeds and numbers, so that nothing of it need be saved."""

from functools import lru_cache

import numpy as np


def seed_of(*key: int) -> int:
    """A 63-bit seed that depends on all of ``key``; different keys give independent streams."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=8)
def _permutation(count: int, seed: int, turn: int) -> np.ndarray:
    return np.random.default_rng((seed, turn)).permutation(count)


def shuffled(count: int, seed: int, index: int) -> int:
    """Which of ``count`` items the ``index``-th sample shows, when each turn through them has an order of its own.

    Args:
        count: How many items there are.
        seed: Chooses the orders.
        index: Number of the sample, from 0, without bound.
    """
    return int(_permutation(count, seed, index // count)[index % count])
