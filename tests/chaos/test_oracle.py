"""The judge sees every kind of wrong: each check on a hand-made audit log and hand-made files, good and bad."""

import json
from pathlib import Path
from typing import Any

from bench.chaos.evidence import Evidence, final, read_audit, read_files
from bench.chaos.oracle import Violation, judge

OPS = ("nor_conv_1x1", "nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none")
SAME = ("nor_conv_3x3", "nor_conv_1x1", "none", "skip_connect", "none", "avg_pool_3x3")
OTHER = ("none", "nor_conv_1x1", "none", "skip_connect", "avg_pool_3x3", "none")
FOURTH = ("none", "none", "none", "skip_connect", "avg_pool_3x3", "none")
ARCHITECTURES = (OPS, OTHER, FOURTH)


class Log:
    """An audit log that is written line by line, and what else there is."""

    def __init__(self, trials: int = 2, parallelism: int = 1) -> None:
        self.lines: list[bytes] = []
        self.revision = 0
        self.objects: dict[str, dict[str, Any]] = {}
        self.evidence = Evidence()
        self.search(trials, parallelism)

    def write(self, resource: str, verb: str, item: dict[str, Any], **event: Any) -> None:
        self.revision += 1
        item["metadata"] |= {"resourceVersion": str(self.revision), "namespace": "lab"}
        self.objects[item["metadata"]["name"]] = json.loads(json.dumps(item))
        self.line(resource, verb, item["metadata"]["name"], responseObject=item, **event)

    def line(self, resource: str, verb: str, name: str, **event: Any) -> None:
        body = {
            "stage": "ResponseComplete",
            "verb": verb,
            "user": {"username": event.pop("user", "system:serviceaccount:bananas-system:bananas-operator")},
            "objectRef": {"resource": resource, "namespace": "lab", "name": name},
            "responseStatus": {"code": event.pop("code", 200)},
            "stageTimestamp": f"2026-01-01T00:00:{self.revision:02}.5Z",
            **event,
        }
        self.lines.append(json.dumps(body).encode() + b"\n")

    def search(self, trials: int, parallelism: int) -> None:
        spec = {"budget": {"trials": trials}, "parallelism": parallelism}
        self.write("nassearches", "create", {"kind": "NASSearch", "metadata": {"name": "s", "uid": "s"}, "spec": spec})

    def trial(self, index: int, phase: str, ops: tuple[str, ...] | None = None, **status: Any) -> None:
        ops = ops or ARCHITECTURES[index]
        architecture = {"space": "nasbench201", "nasbench201": {"ops": list(ops)}}
        self.write(
            "nastrials",
            "patch",
            {
                "kind": "NASTrial",
                "metadata": {"name": f"s-{index}", "uid": f"t{index}", "labels": {"nas.bananas.dev/search": "s"}},
                "spec": {"search": "s", "index": index, "architecture": architecture},
                "status": {"phase": phase, **status},
            },
        )

    def job(self, index: int, attempt: int = 1) -> None:
        labels = {
            "nas.bananas.dev/search": "s",
            "nas.bananas.dev/trial-uid": f"t{index}",
            "nas.bananas.dev/attempt": str(attempt),
        }
        name = f"s-{index}-{attempt}"
        self.write("jobs", "create", {"kind": "Job", "metadata": {"name": name, "uid": name, "labels": labels}})

    def run(self, index: int, accuracy: float = 0.9, attempt: int = 1, **status: Any) -> None:
        """A trial from admission to result."""
        self.trial(index, "Queued")
        self.job(index, attempt)
        self.trial(index, "Running", attempts=attempt)
        self.succeed(index, accuracy, attempts=attempt, **status)

    def succeed(self, index: int, accuracy: float = 0.9, **status: Any) -> None:
        self.trial(index, "Succeeded", **{"validationAccuracy": accuracy, "attempts": 1, **status})
        self.evidence.reports.setdefault(f"t{index}", {"trialUid": f"t{index}", "validationAccuracy": accuracy})

    def judge(self) -> list[Violation]:
        seen, preempted = read_audit(self.lines, "lab")
        kinds = {"NASTrial": "nastrials", "NASSearch": "nassearches"}
        finals = [final(kinds[o["kind"]], o, 0) for o in self.objects.values() if o["kind"] in kinds]
        self.evidence.seen = [*seen, *finals]
        self.evidence.preempted |= preempted
        return judge(self.evidence)

    def found(self) -> set[tuple[str, str]]:
        return {(violation.check, violation.subject) for violation in self.judge()}


def test_a_search_without_fault_is_without_violation() -> None:
    log = Log()
    log.run(0)
    log.run(1, 0.123456789)
    log.objects["s-1"]["status"]["validationAccuracy"] = 0.123457
    log.lines = [line.replace(b"0.123456789", b"0.123457") for line in log.lines]
    assert log.judge() == []


def test_a_result_that_is_revised_is_found() -> None:
    log = Log(trials=1)
    log.run(0, 0.9)
    log.succeed(0, 0.91)
    assert ("results once", "s-0") in log.found()


def test_a_trial_that_ends_and_runs_again_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.trial(0, "Running", attempts=1)
    log.succeed(0)
    assert ("results once", "s-0") in log.found()


def test_a_trial_that_never_ends_is_found() -> None:
    log = Log(trials=1)
    log.trial(0, "Queued")
    assert log.found() == {("results once", "s-0")}


def test_a_result_other_than_the_report_is_found() -> None:
    log = Log(trials=1)
    log.run(0, 0.9)
    log.evidence.reports["t0"]["validationAccuracy"] = 0.8
    assert log.found() == {("results true", "s-0")}


def test_a_result_that_nobody_reported_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.evidence.reports.clear()
    assert log.found() == {("results true", "s-0")}


def test_a_report_that_is_not_recorded_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.evidence.reports["t1"] = {"trialUid": "t1", "validationAccuracy": 0.7}
    log.trial(1, "Cancelled")
    assert log.found() == {("results true", "s-1")}


def test_one_trial_more_than_the_budget_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.run(1)
    assert log.found() == {("budget exact", "s")}


def test_a_budget_that_is_raised_holds_from_then_on() -> None:
    log = Log(trials=1)
    log.run(0)
    log.search(2, 1)
    log.run(1)
    assert log.found() == set()


def test_a_budget_that_is_not_used_is_found() -> None:
    log = Log(trials=3)
    log.run(0)
    log.run(1)
    assert log.found() == {("budget exact", "s")}


def test_a_job_beyond_parallelism_is_found() -> None:
    log = Log(trials=2, parallelism=1)
    log.trial(0, "Queued")
    log.job(0)
    log.trial(1, "Queued")
    log.job(1)
    log.succeed(0)
    log.succeed(1)
    assert log.found() == {("parallelism kept", "s-1-1")}


def test_a_job_whose_creation_is_not_in_the_log_still_takes_its_slot() -> None:
    log = Log(trials=2, parallelism=1)
    log.trial(0, "Queued")
    log.job(0)
    log.lines.pop()
    log.trial(0, "Running", attempts=1)
    log.trial(1, "Queued")
    log.job(1)
    log.succeed(0)
    log.succeed(1)
    assert log.found() == {("parallelism kept", "s-1-1")}


def test_an_end_whose_line_is_lost_frees_its_slot_all_the_same() -> None:
    log = Log(trials=2, parallelism=1)
    log.run(0)
    log.lines.pop()
    log.run(1)
    assert log.found() == set()


def test_the_next_attempt_of_a_trial_needs_no_slot_of_its_own() -> None:
    log = Log(trials=1, parallelism=1)
    log.trial(0, "Queued")
    log.job(0, 1)
    log.trial(0, "Queued", attempts=1, interruptions=1)
    log.job(0, 2)
    log.succeed(0, attempts=2, interruptions=1)
    assert log.found() == set()


def test_a_job_after_the_end_of_its_trial_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.job(0, 2)
    assert log.found() == {("parallelism kept", "s-0-2")}


def test_an_attempt_that_is_begun_twice_is_found() -> None:
    log = Log(trials=1)
    log.trial(0, "Queued")
    log.job(0)
    log.job(0)
    log.objects.pop("s-0-1")
    log.lines[-1] = log.lines[-1].replace(b'"uid": "s-0-1"', b'"uid": "another"')
    log.succeed(0)
    assert log.found() == {("attempts single", "s-0-1")}


def test_an_isomorphic_pair_is_found() -> None:
    log = Log()
    log.run(0)
    log.trial(1, "Queued", SAME)
    log.trial(1, "Succeeded", SAME, validationAccuracy=0.9, attempts=1)
    log.evidence.reports["t1"] = {"trialUid": "t1", "validationAccuracy": 0.9}
    assert log.found() == {("no pair isomorphic", "s-1")}


def test_a_pair_of_which_one_is_cancelled_is_none() -> None:
    log = Log(trials=1)
    log.run(0)
    log.trial(1, "Cancelled", SAME)
    assert log.found() == set()


def test_an_epoch_that_is_trained_twice_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.evidence.epochs["uid/s-0"] = [(1, 1), (1, 2), (2, 2), (2, 3)]
    assert log.found() == {("epochs once", "uid/s-0")}


def test_a_restart_from_zero_in_a_directory_of_its_own_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.evidence.epochs = {"uid/s-0/attempt-1": [(1, 1), (1, 2)], "uid/s-0/attempt-2": [(2, 1), (2, 2), (2, 3)]}
    assert ("epochs once", "uid/s-0") in log.found()


def test_a_lower_attempt_that_writes_after_a_higher_one_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.evidence.epochs["uid/s-0"] = [(1, 1), (2, 2), (1, 3)]
    assert log.found() == {("epochs once", "uid/s-0")}


def test_a_resumed_training_is_right() -> None:
    log = Log(trials=1)
    log.run(0)
    log.evidence.epochs["uid/s-0"] = [(1, 1), (1, 2), (3, 3)]
    assert log.found() == set()


def test_a_preemption_that_is_not_counted_is_found() -> None:
    log = Log(trials=1)
    log.line("pods", "delete", "s-0-1-abcde", user="system:kube-scheduler")
    log.run(0, attempt=2, interruptions=0)
    assert log.found() == {("interruptions no failures", "s-0")}


def test_a_preempted_attempt_that_ended_well_in_its_grace_period_needs_no_count() -> None:
    log = Log(trials=1)
    log.line("pods", "delete", "s-0-1-abcde", user="system:kube-scheduler")
    log.run(0, attempt=1)
    assert log.found() == set()


def test_an_interruption_that_is_counted_as_an_error_is_found() -> None:
    log = Log(trials=1)
    log.run(0, retries=1, failure={"reason": "ProgramError"})
    assert log.found() == {("interruptions no failures", "s-0")}


def test_a_failed_trial_is_found() -> None:
    log = Log(trials=1)
    log.trial(0, "Queued")
    log.trial(0, "Failed", failure={"reason": "Interrupted"})
    assert log.found() == {("interruptions no failures", "s-0")}


def test_what_is_left_behind_is_found() -> None:
    log = Log(trials=1)
    log.run(0)
    log.evidence.leftovers = ["jobs/s-0-1"]
    assert log.found() == {("nothing left", "jobs/s-0-1")}


def test_refused_writes_dry_runs_and_cut_lines_are_no_evidence() -> None:
    log = Log(trials=1)
    log.run(0)
    good = len(log.lines)
    log.job(0, 2)
    lines = [
        log.lines[-1].replace(b'"code": 200', b'"code": 409'),
        log.lines[-1].replace(b'"objectRef"', b'"requestURI": "/apis?dryRun=All", "objectRef"'),
        log.lines[-1][:50],
    ]
    log.lines[good:] = lines
    assert log.found() == set()


def test_the_list_of_what_was_deleted_together_is_no_object() -> None:
    log = Log(trials=1)
    log.run(0)
    log.line("jobs", "deletecollection", "", responseObject={"kind": "JobList", "metadata": {"resourceVersion": "9"}})
    assert log.found() == set()


def test_the_trainers_files_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "uid" / "s-0"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"trialUid": "t0", "validationAccuracy": 0.5}))
    (folder / "epochs.jsonl").write_text('{"attempt": 1, "epoch": 1}\n{"attempt": 2, "epoch": 2}\n')
    reports, epochs = read_files(tmp_path)
    assert reports["t0"]["validationAccuracy"] == 0.5
    assert epochs == {"uid/s-0": [(1, 1), (2, 2)]}
