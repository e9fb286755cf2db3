"""What is shown, as pure functions of a snapshot and a time: every state, every size, no line too wide."""

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from rich.console import Console, RenderableType

from bananas_cli.best import best_json, best_trial, drawing_view, genotype_text
from bananas_cli.errors import NoResult, Unreadable
from bananas_cli.formatting import clock, duration, short, stopwatch
from bananas_cli.snapshot import Snapshot, parse_snapshot
from bananas_cli.status import ROWS, status_line, status_view
from bananas_cli.trials import trials_view
from bananas_core.spaces import parse_architecture
from tests.cli import builders

STATES: dict[str, Callable[[], tuple[builders.Object, list[builders.Object]]]] = {
    "empty": builders.empty,
    "running": builders.running,
    "stalled": builders.stalled,
    "suspended": builders.suspended,
    "failed": builders.failed,
    "complete": builders.complete,
    "promoted": builders.promoted,
    "large": lambda: builders.complete(150),
}


def rendered(view: RenderableType, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, force_terminal=False).print(view)
    return out.getvalue()


def words(view: RenderableType, width: int = 80) -> str:
    """The text without frames and line breaks."""
    return " ".join(rendered(view, width).replace("│", " ").split())


def status_of(objects: tuple[builders.Object, list[builders.Object]], width: int = 80) -> str:
    return words(status_view(builders.snapshot(objects), builders.NOW), width)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("state", STATES)
def test_no_view_is_wider_than_the_terminal(state: str, width: int) -> None:
    snapshot = builders.snapshot(STATES[state]())
    for view in (status_view(snapshot, builders.NOW), trials_view(snapshot)):
        for line in rendered(view, width).splitlines():
            assert len(line) <= width


@pytest.mark.parametrize("state", STATES)
def test_the_status_of_a_search_of_any_size_fits_a_screen(state: str) -> None:
    snapshot = builders.snapshot(STATES[state]())
    assert len(rendered(status_view(snapshot, builders.NOW)).splitlines()) <= 24


def test_training_of_the_best_to_the_end_is_shown_with_mean_and_deviation() -> None:
    got = status_of(builders.promoted(), 100)
    assert "3 of 4 trainings to the end" in got
    assert "demo-7 test accuracy 97.40 % ± 0.08 (2 seeds)" in got
    assert "demo-8-final-2 promotion of 8" in got
    assert "31/600" in got


def test_trials_of_a_promotion_are_no_trials_of_the_search() -> None:
    snapshot = builders.snapshot(builders.promoted())
    assert [trial.name for trial in snapshot.promoted] == ["demo-8-final-2"]
    assert "demo-8-final-2" not in [trial.name for trial in snapshot.trials]


def test_a_running_search_shows_all_that_a_person_asks() -> None:
    got = status_of(builders.running())
    want = [
        "Running",
        "11 of 20",
        "10 succeeded · 2 running · 1 queued · 1 failed · 1 on offer",
        "92.10 % demo-8",
        "rank correlation 0.62 · absolute error 1.32 points",
        "4 forecasts came true · last fit 3.1 s on 10 results",
        "24 min 13 s, 1 min 31 s of it without a result",
        "running for 30 min, about 22 min left",
        "demo-11 mutation of 8",
        "7/12 86.12 % attempt 2",
        "no epoch yet",
        "Insufficient nvidia.com/gpu.",
        "demo-10 failed, OutOfDeviceMemory: the network needs 11.2 GiB, the device has 8 GiB",
    ]
    assert [part for part in want if part not in got] == [], got


def test_a_trial_that_a_person_gave_up_after_its_admission_has_used_its_part_of_the_budget() -> None:
    raw, trials = builders.running()
    given_up = builders.trial(50, "Cancelled", admissionTime=builders.stamp(1), reason="CancelledByUser")
    never = builders.trial(51, "Cancelled", reason="BudgetExhausted")
    assert "12 of 20" in status_of((raw, [*trials, given_up, never]))


def test_a_suspended_search_says_so_and_for_how_long_and_what_else_would_end_it() -> None:
    got = status_of(builders.suspended())
    want = [
        "Suspended",
        "Suspended: spec.suspend is true; 2 trials wait to go on",
        "ran for 10 min, suspended for 20 min",
    ]
    want += ["Ends at 8 GPU hours, or 12h of wall clock, or 95.00 %, or 40 results without a new best"]
    assert [part for part in want if part not in got] == [], got
    assert "Suspended: spec.suspend is true" in status_line(builders.snapshot(builders.suspended()), builders.NOW)


def test_a_search_that_is_late_says_so_and_promises_nothing() -> None:
    late = builders.NOW + timedelta(hours=1)
    snapshot = builders.snapshot(builders.running())
    assert "running for 1 h 30 min, later than estimated" in words(status_view(snapshot, late))
    assert "left" not in status_line(snapshot, late)


def test_the_message_of_a_stalled_search_is_shown_in_full() -> None:
    objects = builders.stalled()
    message = objects[0]["status"]["conditions"][1]["message"]
    assert f"ClaimNotFound: {message}" in status_of(objects)
    assert message in status_line(builders.snapshot(objects), builders.NOW)


def test_a_failed_search_says_why_and_what_its_last_trial_said() -> None:
    got = status_of(builders.failed())
    assert "TooManyFailedTrials: 11 trials failed, spec.trial.maxFailedTrials is 10" in got
    assert "demo-10 failed, DataInvalid: cifar10.npz: y_train has 100 labels" in got
    assert "took 3 min" in got


def test_a_search_that_nobody_has_seen_yet_is_pending() -> None:
    got = status_of(builders.empty())
    for want in ("Pending", "0 of 20", "no result yet", "made 31 min ago, no trial admitted yet"):
        assert want in got


def test_what_keeps_a_search_from_being_ready_is_shown() -> None:
    lacking = builders.condition("Ready", "Starting", "the predictor's image is being pulled", "False")
    got = status_of((builders.search(phase="Pending", conditions=[lacking]), []))
    assert "Starting: the predictor's image is being pulled" in got


def test_the_trouble_of_the_predictor_is_shown() -> None:
    predictor = {"message": "nastrials is forbidden"}
    assert "nastrials is forbidden" in status_of((builders.search(phase="Running", predictor=predictor), []))


def test_toy_accuracies_are_called_so() -> None:
    spec = {"space": "nasbench201", "evaluator": "table"}
    assert "toy table" in status_of((builders.search(spec=spec), []))
    named = {**spec, "table": {"file": "nb.csv"}, "data": {"claim": "tables"}}
    assert "toy" not in status_of((builders.search(spec=named), []))


def test_a_hundred_running_trials_are_cut_with_their_number() -> None:
    trials = [builders.trial(i, "Running") for i in range(100)]
    got = status_of((builders.search(phase="Running", trials={"running": 100}), trials))
    assert f"and {100 - ROWS} more" in got
    assert "demo-11" in got
    assert "demo-12 " not in got


def test_running_trials_come_before_queued_ones() -> None:
    trials = [builders.trial(0, "Queued"), builders.trial(1, "Running")]
    got = status_of((builders.search(phase="Running"), trials))
    assert got.index("demo-1 ") < got.index("demo-0 ")


def test_a_trial_that_waits_after_an_error_says_for_how_long() -> None:
    waiting = builders.trial(0, "Queued", attempts=2, nextAttemptTime=builders.stamp(30.5))
    assert "next attempt in 30 s" in status_of((builders.search(phase="Running"), [waiting]))


def test_the_trials_are_ranked_with_those_without_result_last() -> None:
    rows = rendered(trials_view(builders.snapshot(builders.running())), 110).splitlines()[3:]
    got = [line.split()[0] for line in rows if line.strip()]
    assert got == ["8", "7", "9", "5", "6", "3", "4", "1", "0", "2", "10", "11", "12", "13", "14"]
    assert "92.10 %" in rows[0]
    assert "from #3" in rows[0]
    assert "failed" in rows[10]


def test_equal_results_are_ranked_by_index() -> None:
    trials = [builders.trial(i, accuracy=0.5) for i in (3, 1, 2)]
    assert [t.spec.index for t in builders.snapshot((builders.search(), trials)).ranked()] == [1, 2, 3]


def test_a_limit_cuts_the_table_and_says_so() -> None:
    got = words(trials_view(builders.snapshot(builders.complete(150)), 10))
    assert "140 more; --limit 0 shows all" in got


def test_the_best_is_given_as_text_that_the_trainer_reads() -> None:
    snapshot = builders.snapshot(builders.running())
    assert parse_architecture("darts", genotype_text(snapshot)) == builders.darts(8)


def test_the_best_is_drawn_with_name_and_accuracy() -> None:
    got = words(drawing_view(builders.snapshot(builders.running())))
    for want in ("demo-8 92.10 % validation accuracy", "1,234,567 parameters", "normal cell", "reduction cell"):
        assert want in got


def test_the_best_as_json_has_the_object_that_travels() -> None:
    import json

    got = json.loads(best_json(builders.snapshot(builders.running())))
    assert got["trial"] == "demo-8"
    assert got["validationAccuracy"] == 0.921
    assert got["architecture"] == builders.darts(8).to_kubernetes()


def test_without_a_result_there_is_no_best_and_it_says_where_to_look() -> None:
    snapshot = builders.snapshot(builders.stalled())
    for ask in (best_json, genotype_text, drawing_view):
        with pytest.raises(NoResult, match=r"demo is Stalled.*kubectl nas status demo -n lab"):
            ask(snapshot)


def test_a_trial_that_cannot_be_read_is_named_and_the_others_are_shown() -> None:
    search, trials = builders.running()
    trials[3]["spec"]["architecture"]["darts"]["normal"][0]["op"] = "hyper_conv"
    snapshot = parse_snapshot(search, trials)
    assert snapshot.unreadable == ("demo-3",)
    assert len(snapshot.trials) == 14
    assert "not readable by this release: demo-3" in words(status_view(snapshot, builders.NOW))


def test_a_search_of_another_release_is_named_with_the_field() -> None:
    with pytest.raises(Unreadable, match=r"NASSearch demo: spec\.strategy\.name.*same release"):
        parse_snapshot(builders.search(spec={"strategy": {"name": "oracle"}}), [])


def test_status_fields_of_a_newer_operator_are_passed_over() -> None:
    snapshot = parse_snapshot(builders.search(phase="Running", moonPhase="full"), [])
    assert snapshot.search.phase == "Running"


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (243, "4 min 3 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (172_800, "2 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, want: str) -> None:
    assert duration(seconds) == want


def test_a_stopwatch_is_narrow() -> None:
    assert [stopwatch(s) for s in (8, 243, 7500)] == ["0:08", "4:03", "2:05:00"]


def test_another_day_is_named() -> None:
    assert clock(builders.NOW + timedelta(hours=1), builders.NOW) == "13:30"
    assert clock(builders.NOW + timedelta(days=1), builders.NOW) == "05 Mar 12:30"


@pytest.mark.parametrize(
    ("space", "text", "want"),
    [
        (
            "nasbench201",
            "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|skip_connect~2|",
            "3x3 none 1x1 none pool skip",
        ),
        ("nasbench101", "1100010101:012", "3x3 1x1 pool (5 edges)"),
        (
            "darts",
            "normal=sep_conv_3x3~1|skip_connect~0+sep_conv_5x5~2|sep_conv_5x5~0+skip_connect~0|sep_conv_5x5~2"
            "+sep_conv_3x3~0|skip_connect~2 reduce=sep_conv_3x3~1|max_pool_3x3~0+max_pool_3x3~0|none~1"
            "+dil_conv_3x3~2|sep_conv_5x5~3+sep_conv_5x5~4|sep_conv_3x3~1",
            "3skip 3sep5 2sep3 | 2pool 2sep3 2sep5 1none 1dil3",
        ),
    ],
)
def test_an_architecture_has_a_short_form_in_every_space(space: str, text: str, want: str) -> None:
    assert short(parse_architecture(space, text)) == want  # type: ignore[arg-type]


def test_the_line_for_logs_has_the_figures() -> None:
    want = "Running: 11 of 20 trials ended, 2 running, 1 failed, best 92.10 % (demo-8), rank correlation 0.62, about 22 min left"
    assert status_line(builders.snapshot(builders.running()), builders.NOW) == want


def test_a_snapshot_orders_results_by_their_end() -> None:
    late = builders.trial(0, completionTime=builders.stamp(20))
    early = builders.trial(1, completionTime=builders.stamp(10))
    snapshot: Snapshot = builders.snapshot((builders.search(), [late, early]))
    assert [trial.name for trial, _ in snapshot.results()] == ["demo-1", "demo-0"]


def test_what_nodes_did_to_the_trials_is_shown_where_there_is_something() -> None:
    search, trials = builders.running()
    plain = words(status_view(parse_snapshot(search, trials), builders.NOW))
    assert "Interruptions" not in plain
    assert "Avoided" not in plain
    search["status"]["interruptions"] = {"total": 5, "preemptions": 3}
    search["status"]["avoidedNodes"] = ["gpu-7"]
    search["status"]["conditions"].append(
        builders.condition("Oversubscribed", "TooFewNodes", "spec.parallelism is 8, but the nodes hold 2 trials")
    )
    shown = words(status_view(parse_snapshot(search, trials), builders.NOW))
    assert "5 attempts ended from outside, 3 of them preempted" in shown
    assert "Avoided gpu-7" in shown
    assert "TooFewNodes: spec.parallelism is 8" in shown


def test_the_best_of_repeated_trials_is_the_best_mean_and_not_the_luckiest() -> None:
    best = {"trial": "demo-2", "validationAccuracy": 0.9, "architecture": "x", "results": 2, "standardDeviation": 0.005}
    trials = [
        builders.trial(0, accuracy=0.99),
        builders.trial(1, accuracy=0.5),
        builders.trial(2, accuracy=0.895),
        builders.trial(3, accuracy=0.905),
    ]
    repeated = {"trial": {"repeats": 2}}
    found = parse_snapshot(builders.search(spec=repeated, best=best), trials)
    assert best_trial(found).name == "demo-2"
    winner = found.winner()
    assert winner is not None
    assert winner[1] == "90.00 ± 0.50 % (mean of 2)"
    once = parse_snapshot(builders.search(best=best), trials)
    assert best_trial(once).name == "demo-0"
