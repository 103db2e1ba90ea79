from hypothesis import given
from hypothesis import strategies as st

from synth2real.sampling import seed_of, shuffled


@given(count=st.integers(1, 50), seed=st.integers(0, 2**62), turn=st.integers(0, 5))
def test_each_turn_shows_every_item_once(count: int, seed: int, turn: int) -> None:
    shown = [shuffled(count, seed, turn * count + index) for index in range(count)]
    assert sorted(shown) == list(range(count))


def test_turns_differ() -> None:
    assert [shuffled(50, 1, index) for index in range(50)] != [shuffled(50, 1, index) for index in range(50, 100)]


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=3))
def test_seeds_fit_pytorch_and_depend_on_the_whole_key(key: list[int]) -> None:
    assert 0 <= seed_of(*key) < 2**63
    assert seed_of(*key) == seed_of(*key)
    assert seed_of(*key) != seed_of(*key[:-1], key[-1] + 1)
