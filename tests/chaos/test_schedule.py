"""The schedule of faults follows from the seed, and every kind strikes equally often."""

from collections import Counter
from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.chaos.schedule import GAP_SECONDS, PROCESSES, Kind, Strike, schedule


@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_schedule(seed: int) -> None:
    assert list(islice(schedule(seed), 100)) == list(islice(schedule(seed), 100))


def test_another_seed_gives_another_schedule() -> None:
    assert list(islice(schedule(1), 50)) != list(islice(schedule(2), 50))


@given(st.integers(0, 2**32))
def test_every_round_holds_every_kind_once_and_time_goes_on(seed: int) -> None:
    strikes = list(islice(schedule(seed), 15 * len(Kind)))
    assert set(Counter(strike.kind for strike in strikes).values()) == {15}
    gaps = [b.at - a.at for a, b in pairwise(strikes)]
    assert all(GAP_SECONDS[0] <= gap <= GAP_SECONDS[1] for gap in gaps)


def test_parts_of_kubernetes_are_killed_and_paused_about_equally_often() -> None:
    strikes = [strike for strike in islice(schedule(3), 400) if strike.kind in PROCESSES]
    killed = sum(strike.pause is None for strike in strikes)
    assert 0.35 < killed / len(strikes) < 0.65


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 50))
def test_a_target_is_always_one_of_those_that_are_there(choice: float, count: int) -> None:
    assert 0 <= Strike(0, Kind.TRIAL, choice, None).pick(count) < count
