"""Names of the objects of a search: told apart, and short enough."""

import pytest

from bananas_core.names import MAX_SEARCH_NAME, is_promotions_job, job_name, promoted_name, promoted_number, trial_name

LONGEST = "s" * MAX_SEARCH_NAME


@pytest.mark.parametrize("search", ["s", "s-1-final", "s-1-final-1", "s-r2", "s.final"])
@pytest.mark.parametrize("number", [1, 2, 17])
def test_an_attempt_of_a_promotion_is_known_by_its_name(search: str, number: int) -> None:
    promoted = promoted_name(search, 12, 3, number)
    assert promoted_number(promoted, promoted_name(search, 12, 3)) == number
    assert is_promotions_job(job_name(promoted, 4), search)
    assert not is_promotions_job(job_name(trial_name(search, 12), 4), search)


@pytest.mark.parametrize(
    "name", ["s-1-final-1-r1", "s-1-final-1-r02", "s-1-final-1-2", "s-1-final-11", "s-1-final-1-r2-r3"]
)
def test_a_name_that_no_promotion_gives_has_no_number(name: str) -> None:
    assert promoted_number(name, "s-1-final-1") is None


def test_the_name_of_a_job_fits_the_label_and_the_hostname_that_it_becomes() -> None:
    assert len(job_name(promoted_name(LONGEST, 99_999, 20, 99), 999)) == 63
