"""plan() under random histories: crashes between any two writes, watches that lag, lose and repeat, clocks that jump.

Ten thousand of them: `make bench-planner`.
"""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .defects import DEFECTS, broken
from .histories import BUDGET, TABLE, Step, draw, failure, live

STEP = st.one_of(
    *(
        st.tuples(st.just(name), *(st.sampled_from(values) for values in arguments))
        for weight, name, arguments in TABLE
        for _ in range(weight)
    )
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, min_size=10, max_size=80))
def test_whatever_happens_the_invariants_hold_and_the_search_completes(steps: list[Step]) -> None:
    live(steps)


@pytest.mark.slow
def test_of_three_hundred_histories_drawn_by_seed_none_breaks_an_invariant() -> None:
    assert {seed: wrong for seed in range(300) if (wrong := failure(draw(Random(seed)))) is not None} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "a Job is deleted before its end is recorded",
        "Jobs are left out of what is in flight",
        "an attempt is settled again",
        "a terminal status is revised",
        "the number of an attempt is used again",
        "an architecture is admitted twice",
        "a paused leader writes when it wakes",
    ],
)
def test_a_rule_that_is_broken_is_found(name: str) -> None:
    """Those that show soon; `make bench-planner` looks for all."""
    defect = DEFECTS[name]
    with broken(defect):
        assert any(failure(draw(Random(seed)), fenced=defect.fenced) is not None for seed in range(400))


def test_a_history_without_trouble_completes_in_order() -> None:
    cluster = live([])
    assert [attempt for _, attempt in cluster.started] == [1] * (BUDGET + 2)
    indices = [int(uid.removeprefix("trial-")) for uid, _ in cluster.started]
    assert indices == sorted(set(indices))
