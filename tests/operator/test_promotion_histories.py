"""Promotions to which a person does what may be done, in any order: in the end exactly what is asked for is there, unmixed."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananas_core.api import NASSearchSpec
from bananas_core.contract import FailureReport, Report
from bananas_operator.actions import (
    CreateJob,
    CreateTrial,
    DeleteJob,
    DeleteJobs,
    EnsureConfigMap,
    WriteSearch,
    WriteTrial,
)
from bananas_operator.parse import trial_view
from bananas_operator.plan import plan
from bananas_operator.views import ContainerEnded, ContainerRunning, JobView, Observed, SearchView, TrialView

from .builders import SETTINGS, T0, pod, search, spec, trial

DIVERGED = FailureReport(kind="bananas.failure/v1", reason="Diverged", message="NaN").to_message()


def accuracy_of(of: TrialView) -> float:
    """One for each recipe, so that a mean over two of them shows."""
    assert of.spec is not None
    assert of.spec.recipe is not None
    return round(of.spec.recipe.epochs / 10 + of.spec.recipe.channels / 1000, 6)


def said(of: TrialView, attempt: int) -> str:
    accuracy = accuracy_of(of)
    return Report(
        kind="bananas.report/v1",
        trial_uid=of.uid,
        attempt=attempt,
        validation_accuracy=accuracy,
        test_accuracy=accuracy,
    ).to_message()


@dataclass
class Lab:
    """A complete search, its promotion with its Jobs, and a clock; attempts run until `end`."""

    view: SearchView
    of_search: list[TrialView]
    now: datetime = T0
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, JobView] = field(default_factory=dict)
    winner: dict[str, str] = field(default_factory=dict)

    def trials(self) -> list[TrialView]:
        return [trial_view(item, self.view) for _, item in sorted(self.objects.items())]

    def run_pass(self) -> bool:
        """Whether anything was to be done."""
        self.now += timedelta(seconds=1)
        trials, jobs = (*self.of_search, *self.trials()), tuple(self.jobs.values())
        seen = Observed(self.view, trials, jobs, winner_checked_at=self.now)
        acted = False
        for action in plan(seen, self.now, SETTINGS).actions:
            match action:
                case CreateTrial(manifest):
                    name = manifest["metadata"]["name"]
                    assert name not in self.objects, f"{name} was made twice"
                    marks = {"uid": f"uid-{len(self.objects)}", "resourceVersion": "1"}
                    self.objects[name] = {**manifest, "metadata": {**manifest["metadata"], **marks}}
                case WriteTrial():
                    before = trial_view(self.objects[action.trial.name], self.view)
                    assert not before.terminal, "a terminal status is never revised"
                    self.write(action.trial.name, **action.status.to_kubernetes())
                case CreateJob(of, number, manifest):
                    assert of.problem is None, "an attempt by a recipe that is not asked for"
                    name = manifest["metadata"]["name"]
                    assert name not in self.jobs, f"{name} was made twice"
                    begun = pod(ContainerRunning(self.now))
                    self.jobs[name] = JobView(name, f"uid-{name}", of.uid, number, self.now, pod=begun)
                case DeleteJob(name):
                    del self.jobs[name]
                case DeleteJobs():
                    self.jobs = {name: job for name, job in self.jobs.items() if job.uid not in action.job_uids}
                case WriteSearch(status):
                    self.view = replace(self.view, status=status)
                case EnsureConfigMap(manifest):
                    self.winner = manifest["data"]
                case _:
                    continue
            acted = True
        flying = sum(t.in_flight for t in self.trials())
        assert flying <= self.asked.parallelism, "more in flight than slots"
        return acted

    @property
    def asked(self) -> NASSearchSpec:
        assert self.view.spec is not None
        return self.view.spec

    def write(self, name: str, **status: Any) -> None:
        self.objects[name]["status"] = self.objects[name].get("status", {}) | status

    def ask(self, **changes: Any) -> None:
        asked = NASSearchSpec.model_validate({**self.asked.to_kubernetes(), **changes})
        self.view = replace(self.view, spec=asked, generation=self.view.generation + 1)

    def end(self, choice: int, good: bool) -> None:
        """An attempt has a result, or fails: for good, or to be tried again."""
        running = [job for job in self.jobs.values() if not (job.complete or job.failed)]
        if running:
            job = running[choice % len(running)]
            (of,) = (t for t in self.trials() if t.uid == job.trial_uid)
            code, message = 0, said(of, job.attempt)
            if not good:
                code, message = (1, "") if choice % 2 else (72, DIVERGED)
            over = pod(ContainerEnded(code, message, "", self.now, self.now), phase="Succeeded" if good else "Failed")
            self.jobs[job.name] = replace(job, complete=good, failed=not good, pod=over)

    def annotate(self, choice: int, key: str) -> None:
        names = sorted(self.objects)
        if names:
            mark = {f"nas.bananas.dev/{key}": (self.now + timedelta(seconds=1)).isoformat()}
            self.objects[names[choice % len(names)]]["metadata"]["annotations"] |= mark

    def find(self, accuracy: float) -> None:
        """The budget is raised by one; the trial that it is for has its result by and by."""
        index = len(self.of_search)
        if index < 8:
            self.ask(budget={"trials": index + 1})
            self.run_pass()
            self.of_search.append(trial(index, "Succeeded", validation_accuracy=accuracy))


PROMOTIONS = st.fixed_dictionaries(
    {
        "top": st.integers(1, 2),
        "seeds": st.integers(1, 3),
        "recipe": st.sampled_from(("final", "search")),
        "epochs": st.sampled_from((3, 4)),
    }
)
STEPS = st.one_of(
    st.tuples(st.just("run_pass")),
    st.tuples(st.just("end"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("promote"), st.none() | PROMOTIONS),
    st.tuples(st.just("find"), st.sampled_from((0.1, 0.95))),
    st.tuples(st.just("annotate"), st.integers(0, 9), st.sampled_from(("retry", "cancel"))),
)


@pytest.mark.slow
@given(st.lists(STEPS, max_size=40), PROMOTIONS)
@settings(deadline=None, max_examples=30)
def test_whatever_a_person_changes_the_last_promotion_is_done_in_full_and_unmixed(
    steps: list[tuple[Any, ...]], last: dict[str, Any]
) -> None:
    promote = {"top": 2, "seeds": 2, "recipe": "search", "epochs": 3}
    view = search(spec(evaluator="train", budget={"trials": 3}, promote=promote))
    lab = Lab(view, [trial(i, "Succeeded", validation_accuracy=0.5 + i / 10) for i in range(3)])
    for name, *arguments in steps:
        if name == "promote":
            lab.ask(promote=arguments[0])
        else:
            getattr(lab, name)(*arguments)
        lab.run_pass()
    lab.ask(promote=last)
    rounds = 0
    while lab.run_pass() or any(t.in_flight for t in lab.trials()):
        lab.end(0, good=True)
        rounds += 1
        assert rounds < 600, "it comes to no end"
    status = lab.view.status
    assert status.phase == "Complete"
    assert status.promotion is not None
    count = last["top"] * last["seeds"]
    assert (status.promotion.trainings, status.promotion.ended) == (count, count)
    best = sorted(lab.of_search, key=lambda t: (-(t.status.validation_accuracy or 0), t.index))
    assert lab.winner["trial"] == best[0].name
    assert [r.trial for r in status.promotion.results] == [t.name for t in best[: last["top"]]]
    want = lab.asked.promote.recipe_of(lab.asked.space, lab.asked.trial.recipe) if lab.asked.promote else None
    of_recipe = [t for t in lab.trials() if t.spec is not None and t.spec.recipe == want]
    for result, winner in zip(status.promotion.results, best, strict=False):
        own = [t for t in of_recipe if t.index == winner.index]
        assert result.succeeded == sum(t.status.phase == "Succeeded" and t.seed <= last["seeds"] for t in own)
        lost = [t for t in own if t.status.phase == "Failed" or t.status.reason == "CancelledByUser"]
        assert result.failed <= len(lost), "what was withdrawn has not failed"
        if result.succeeded:
            assert result.test_accuracy == accuracy_of(own[0])
            assert not result.test_accuracy_standard_deviation
    assert not [t.name for t in lab.trials() if not t.terminal], "nothing is left waiting"
