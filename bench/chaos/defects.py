"""Deliberate defects of the operator, with which it is shown that the judge can fail. The shipped operator has no such switch.

`run` puts this very file into the operator's pod and has it started instead of the operator: it changes one function and
then runs the operator as ever. Imports bananas_operator inside, because `run` reads only the names.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import replace


def ignore_jobs() -> None:
    """Admits and starts one trial more than parallelism allows."""
    from bananas_operator import plan, survey  # noqa: PLC0415

    original = survey.survey

    def survey_with_one_more(observed, now, settings):  # type: ignore[no-untyped-def]
        spec = observed.search.spec
        if spec is not None and spec.parallelism > 0:
            more = spec.model_copy(update={"parallelism": spec.parallelism + 1})
            observed = replace(observed, search=replace(observed.search, spec=more))
        return original(observed, now, settings)

    plan.survey = survey_with_one_more  # type: ignore[attr-defined]


def double_record() -> None:
    """Records every result a second time, a little better."""
    from bananas_operator.actions import WriteTrial  # noqa: PLC0415
    from bananas_operator.apply import Applier  # noqa: PLC0415
    from bananas_operator.resources import TRIALS  # noqa: PLC0415

    original = Applier._write_trial

    async def write_twice(self, search, action, *rest):  # type: ignore[no-untyped-def]
        await original(self, search, action, *rest)
        accuracy = action.status.validation_accuracy
        if action.status.phase == "Succeeded" and accuracy is not None:
            item = self._cache.by_uid(TRIALS, action.trial.uid)
            trial = replace(action.trial, version=item["metadata"]["resourceVersion"])
            better = action.status.model_copy(update={"validation_accuracy": min(1.0, accuracy + 0.01)})
            await original(self, search, WriteTrial(trial, better, action.decision), *rest)

    Applier._write_trial = write_twice  # type: ignore[method-assign]


def restart_from_zero() -> None:
    """Gives every attempt a checkpoint directory that forgets: the trainer starts at the first epoch again."""
    from bananas_operator import job  # noqa: PLC0415

    original = job.trial_file

    def forgetful(*arguments):  # type: ignore[no-untyped-def]
        attempt = arguments[4]
        return re.sub(r'("checkpointDir":"[^"]*)"', rf'\1/attempt-{attempt}"', original(*arguments))

    job.trial_file = forgetful


DEFECTS: dict[str, Callable[[], None]] = {
    "ignore-jobs": ignore_jobs,
    "double-record": double_record,
    "restart-from-zero": restart_from_zero,
}


if __name__ == "__main__":
    from bananas_operator.__main__ import main

    DEFECTS[sys.argv.pop(1)]()
    sys.exit(main())
