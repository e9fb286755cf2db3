"""`kubectl nas retry` and `cancel`: what is asked of the API server, and what makes no sense."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.names import promoted_name
from bananas_core.workload.pod import digest
from tests.cli import builders
from tests.cli.api_server import ApiServer, refusal
from tests.cli.builders import stamp, trial
from tests.cli.terminal import Terminal

FAILURE = {"reason": "ProgramError", "message": "exit code 1"}


def wish(server: ApiServer, annotation: str) -> datetime:
    """The time in the only change that was asked for."""
    ((method, target, body),) = server.bodies
    assert method == "PATCH"
    assert target.startswith("/apis/nas.bananas.dev/v1alpha1/namespaces/lab/nastrials/demo-")
    assert list(body) == ["metadata"]
    ((key, value),) = body["metadata"]["annotations"].items()
    assert key == f"nas.bananas.dev/{annotation}"
    assert value.endswith("Z")
    return datetime.fromisoformat(value)


def test_retry_ends_the_wait_after_an_error(server: ApiServer, terminal: Terminal) -> None:
    waiting = trial(3, "Queued", attempts=2, failure=FAILURE, nextAttemptTime="2999-01-01T00:00:00Z")
    server.put((builders.search(), [waiting]))
    assert terminal.run("retry", "demo-3") == (0, "demo-3: attempt 3 starts now\n", "")
    assert abs(wish(server, "retry") - datetime.now(UTC)) < timedelta(minutes=1)


def test_retry_of_a_failed_trial_has_its_architecture_offered_anew(server: ApiServer, terminal: Terminal) -> None:
    server.put((builders.search(phase="Running"), [trial(3, "Failed", failure=FAILURE, completionTime=stamp(4))]))
    code, out, _ = terminal.run("retry", "demo-3")
    assert (code, out) == (0, "demo-3: its architecture is offered again, as a new trial\n")
    assert abs(wish(server, "retry") - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "made",
    [
        trial(3, "Failed", failure=FAILURE, completionTime="2999-01-01T00:00:00Z"),
        trial(3, "Queued", settledTime="2999-01-01T00:00:00Z", nextAttemptTime="2999-01-01T00:01:00Z"),
    ],
)
def test_retry_counts_though_the_clusters_clock_is_ahead(
    server: ApiServer, terminal: Terminal, made: dict[str, Any]
) -> None:
    server.put((builders.search(), [made]))
    assert terminal.run("retry", "demo-3")[0] == 0
    assert wish(server, "retry") == datetime(2999, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(("phase", "want"), [("Complete", "spec.budget"), ("Failed", "spec.trial.maxFailedTrials")])
def test_retry_says_what_keeps_a_search_that_has_ended_from_it(
    server: ApiServer, terminal: Terminal, phase: str, want: str
) -> None:
    server.put((builders.search(phase=phase), [trial(3, "Failed", failure=FAILURE, completionTime=stamp(4))]))
    code, out, _ = terminal.run("retry", "demo-3")
    assert code == 0
    assert out.endswith(f"as a new trial, once the search goes on: demo is {phase}; raise {want}\n")


@pytest.mark.parametrize(
    ("made", "want"),
    [
        (trial(3, "Running", attempts=2), "demo-3 is running (attempt 2); retry is for one that failed or waits"),
        (trial(3, "Succeeded", accuracy=0.93), "demo-3 has succeeded with 93.00 %; a result is never revised"),
        (trial(3, "Cancelled", reason="DuplicateArchitecture"), "demo-3 was cancelled (DuplicateArchitecture)"),
        (trial(3, "Pending"), "demo-3 was not admitted yet: it waits for a free slot"),
        (trial(3, "Queued", message="no node has a GPU"), "not because of an error: no node has a GPU"),
    ],
)
def test_retry_that_makes_no_sense_is_refused_with_the_reason(
    server: ApiServer, terminal: Terminal, made: dict[str, Any], want: str
) -> None:
    server.put((builders.search(), [made]))
    assert want in terminal.refuse("retry", "demo-3")
    assert server.bodies == []


@pytest.mark.parametrize(
    ("made", "want"),
    [
        (trial(3, "Running", attempts=2), "demo-3: attempt 2 is stopped and the trial Cancelled"),
        (trial(3, "Queued"), "demo-3: Cancelled before it ran"),
        (trial(3, "Pending"), "demo-3: Cancelled before it ran"),
    ],
)
def test_cancel_gives_up_what_has_not_ended(
    server: ApiServer, terminal: Terminal, made: dict[str, Any], want: str
) -> None:
    server.put((builders.search(), [made]))
    code, out, err = terminal.run("cancel", "demo-3")
    assert (code, err) == (0, "")
    assert out.startswith(want)
    assert abs(wish(server, "cancel") - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Cancelled"])
def test_what_has_ended_cannot_be_cancelled(server: ApiServer, terminal: Terminal, phase: str) -> None:
    server.put((builders.search(), [trial(3, phase)]))
    assert f"demo-3 has ended already ({phase}); there is nothing to cancel" in terminal.refuse("cancel", "demo-3")
    assert server.bodies == []


def test_of_several_trials_each_is_steered_by_itself(server: ApiServer, terminal: Terminal) -> None:
    server.put((builders.search(), [trial(3), trial(4, "Running"), trial(5, "Queued")]))
    code, out, err = terminal.run("cancel", "demo-3", "demo-4", "demo-9", "demo-5")
    assert code == 1
    assert [line.partition(":")[0] for line in out.splitlines()] == ["demo-4", "demo-5"]
    assert len(err.splitlines()) == 2
    assert "no NASTrial demo-9 in namespace lab; there: demo-3, demo-4, demo-5" in err


def test_missing_rights_to_steer_are_named(server: ApiServer, terminal: Terminal) -> None:
    server.put((builders.search(), [trial(3, "Running")]))
    take = server.take
    message = 'nastrials.nas.bananas.dev "demo-3" is forbidden: User "me" cannot patch resource "nastrials"'
    server.take = lambda *_: refusal(403, "Forbidden", message)  # type: ignore[method-assign]
    assert f"{message}; ask for patch on nastrials there" in terminal.refuse("cancel", "demo-3")
    server.take = take  # type: ignore[method-assign]


def final(
    index: int, seed: int, phase: str, *, number: int = 1, asked: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    """A training to the end, made for what `asked` says of the recipe."""
    made = trial(index, phase, **status)
    made["metadata"]["name"] = promoted_name("demo", index, seed, number)
    asked_hash = digest({"recipe": "final", **(asked or {})})
    made["metadata"]["annotations"] = {constants.ANNOTATION_PROMOTION_HASH: asked_hash}
    made["spec"] |= {"seed": seed, "origin": {"method": "promotion", "parent": index}}
    return made


def promoting(phase: str = "Complete", seeds: int = 2, **promote: Any) -> dict[str, Any]:
    """A search whose trial 3 alone is trained to the end."""
    results = [{"trial": "demo-3", "validationAccuracy": 0.9, "succeeded": 1, "failed": 1}]
    told = {"trainings": 2, "ended": 2, "results": results}
    return builders.search(spec={"promote": {"seeds": seeds, **promote}}, phase=phase, promotion=told)


@pytest.mark.parametrize(
    ("phase", "want"),
    [
        ("Complete", "as a new trial\n"),
        ("Running", "as a new trial\n"),
        ("Suspended", "as a new trial, once demo is resumed\n"),
        ("Failed", "once the search goes on: demo is Failed; raise spec.trial.maxFailedTrials\n"),
    ],
)
def test_retry_of_a_failed_training_to_the_end_makes_another(
    server: ApiServer, terminal: Terminal, phase: str, want: str
) -> None:
    server.put((promoting(phase), [final(3, 2, "Failed", failure=FAILURE, completionTime=stamp(4))]))
    code, out, _ = terminal.run("retry", "demo-3-final-2")
    assert code == 0
    assert out.startswith("demo-3-final-2: its network is trained to the end once more, as a new trial")
    assert out.endswith(want)
    assert abs(wish(server, "retry") - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("search", "made", "want"),
    [
        (builders.search(phase="Complete"), final(3, 1, "Failed"), "set spec.promote first"),
        (promoting(), final(4, 1, "Failed"), "demo-4 is not among the best of demo any more; raise spec.promote.top"),
        (promoting(seeds=1), final(3, 2, "Failed"), "demo-3-final-2 has seed 2; raise spec.promote.seeds"),
        (
            promoting(),
            final(3, 1, "Succeeded", testAccuracy=0.97, validationAccuracy=None),
            "succeeded with test accuracy 97.00 %",
        ),
    ],
)
def test_retry_of_a_training_to_the_end_that_nobody_asks_for_is_refused(
    server: ApiServer, terminal: Terminal, search: dict[str, Any], made: dict[str, Any], want: str
) -> None:
    made["status"] = {key: value for key, value in made["status"].items() if value is not None}
    server.put((search, [made]))
    assert want in terminal.refuse("retry", made["metadata"]["name"])
    assert server.bodies == []


OTHER = {"epochs": 7}


@pytest.mark.parametrize(
    ("others", "want"),
    [
        ([final(3, 1, "Succeeded", number=2)], "trained once more already, as demo-3-final-1-r2 (Succeeded)"),
        ([final(3, 1, "Running", number=2)], "trained once more already, as demo-3-final-1-r2 (Running)"),
        (
            [final(3, 1, "Failed", number=2), final(3, 1, "Failed", number=10)],
            "trained once more already, as demo-3-final-1-r10 (Failed); retry that one",
        ),
        ([final(3, 1, "Cancelled", number=2, reason="CancelledByUser")], "as demo-3-final-1-r2 (Cancelled)"),
    ],
)
def test_retry_of_a_training_in_whose_place_another_is_names_that_one(
    server: ApiServer, terminal: Terminal, others: list[dict[str, Any]], want: str
) -> None:
    server.put((promoting(), [final(3, 1, "Failed"), *others]))
    assert want in terminal.refuse("retry", "demo-3-final-1")
    assert server.bodies == []


def retried(made: dict[str, Any]) -> dict[str, Any]:
    made["metadata"]["annotations"][constants.ANNOTATION_RETRY] = "2999-01-01T00:00:00.5Z"
    return made


@pytest.mark.parametrize(
    "others",
    [
        [final(3, 1, "Cancelled", number=2, reason="Withdrawn")],
        [final(3, 1, "Succeeded", number=2, asked=OTHER)],
        [retried(final(3, 1, "Failed", number=2, settledTime="2999-01-01T00:00:00Z"))],
        [final(3, 2, "Succeeded", number=2), final(33, 1, "Succeeded", number=2)],
    ],
)
def test_retry_of_a_training_in_whose_place_nothing_counts_is_done(
    server: ApiServer, terminal: Terminal, others: list[dict[str, Any]]
) -> None:
    server.put((promoting(), [final(3, 1, "Failed"), *others]))
    assert terminal.run("retry", "demo-3-final-1")[0] == 0
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("others", "want"),
    [
        ([], "by itself, once the search has ended"),
        ([final(3, 1, "Succeeded", asked=OTHER, number=2)], "as demo-3-final-1-r2 (Succeeded)"),
        ([final(3, 1, "Failed", asked=OTHER, number=2)], "as demo-3-final-1-r2 (Failed); retry that one"),
    ],
)
def test_retry_of_a_training_of_another_recipe_is_refused(
    server: ApiServer, terminal: Terminal, others: list[dict[str, Any]], want: str
) -> None:
    server.put((promoting(epochs=7), [final(3, 1, "Failed"), *others]))
    text = terminal.refuse("retry", "demo-3-final-1")
    assert "demo-3-final-1 had another recipe than spec.promote of demo asks for now" in text
    assert f"its network is trained by that recipe {want}" in text
    assert server.bodies == []


def test_retry_of_a_training_that_an_older_release_made_is_told_by_its_recipe(
    server: ApiServer, terminal: Terminal
) -> None:
    made = final(3, 1, "Failed")
    del made["metadata"]["annotations"]
    server.put((promoting(recipe="search"), [made]))
    made["spec"]["recipe"] = {"validationFraction": 0, "testAtEnd": True}
    assert terminal.run("retry", "demo-3-final-1")[0] == 0
    made["spec"]["recipe"] = {"validationFraction": 0, "testAtEnd": True, "epochs": 7}
    assert "had another recipe" in terminal.refuse("retry", "demo-3-final-1")
