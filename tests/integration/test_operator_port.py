"""The operator's port: health, metrics, progress."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from bananas_core import constants
from bananas_core.contract import ProgressMessage, TrialFile

from .fake_api import Fault
from .world import End, Stuck, search, succeed


async def ask(port: int, path: str, method: str = "GET", data: str | None = None) -> tuple[int, str]:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://127.0.0.1:{port}{path}", data=data) as answer,
        ):
            return answer.status, await answer.text()
    except aiohttp.ClientConnectionError:
        return 0, ""


async def eventually(port: int, path: str, want: int) -> str:
    for _ in range(1500):
        status, text = await ask(port, path)
        if status == want:
            return text
        await asyncio.sleep(0.02)
    raise AssertionError(f"{path} does not answer {want}; last: {status} {text}")


async def shown(port: int, want: str, *, there: bool = True, path: str = "/metrics") -> None:
    """Waits until a page holds a text, or no longer does."""
    text = ""
    for _ in range(1500):
        _, text = await ask(port, path)
        if (want in text) == there:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{want} is {'not ' if there else ''}in\n{text}")


async def test_healthz_fails_when_a_watch_tells_nothing_any_more_while_lists_do(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    async with lab(resync_seconds=0.2, echo_seconds=0.5, port=unused_tcp_port) as it:
        it.create(search(trials=3))
        await eventually(unused_tcp_port, "/healthz", 200)
        it.api.deaf |= {"NASTrial", "Pod", "Job"}
        await it.phase("Complete", seconds=20)  # by lists alone
        await shown(unused_tcp_port, "a watch has not told a change", path="/healthz")
        await eventually(unused_tcp_port, "/livez", 503)  # what the kubelet starts it anew for


async def test_healthz_fails_when_lists_fail(lab: Callable[..., Any], unused_tcp_port: int) -> None:
    async with lab(resync_seconds=0.2, port=unused_tcp_port) as it:
        await eventually(unused_tcp_port, "/healthz", 200)
        it.api.faults.append(Fault("GET", "limit", 500, times=100_000))
        assert "full list" in await eventually(unused_tcp_port, "/healthz", 503)
        assert "full list" in await eventually(unused_tcp_port, "/livez", 503)
        it.api.faults.clear()
        await eventually(unused_tcp_port, "/healthz", 200)
        await eventually(unused_tcp_port, "/livez", 200)


async def test_metrics_tell_of_searches_and_forget_those_that_are_deleted(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    async with lab(port=unused_tcp_port) as it:
        it.create(search(trials=3))
        await it.phase("Complete")
        await it.until("no Jobs", lambda: not it.api.all("Job"))
        label = 'namespace="lab",search="s"'
        wanted = (
            f'{constants.METRIC_TRIALS}{{namespace="lab",phase="Succeeded",search="s"}} 3.0',
            f"{constants.METRIC_BUDGET_TRIALS}{{{label}}} 3.0",
            f"{constants.METRIC_PARALLELISM}{{{label}}} 2.0",
            f"{constants.METRIC_FREE_SLOTS}{{{label}}} 0.0",
            f"{constants.METRIC_BEST_ACCURACY}{{{label}}}",
            f"{constants.METRIC_GPU_SECONDS}{{{label}}}",
            f"{constants.METRIC_GPU_SECONDS_WASTED}{{{label}}} 0.0",
            f'{constants.METRIC_CONDITION}{{condition="Complete",namespace="lab",reason="BudgetUsed",search="s"}} 1.0',
            f"{constants.METRIC_RECONCILE_SECONDS}_count",
        )
        for want in wanted:
            await shown(unused_tcp_port, want)
        it.api.delete("NASSearch", "s")
        await shown(unused_tcp_port, 'search="s"', there=False)


async def test_metrics_tell_how_often_trials_were_interrupted_and_by_what(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    async with lab(port=unused_tcp_port) as it:

        def behaviour(file: TrialFile) -> End | Stuck:
            if file.attempt > 1:
                return succeed(file)
            return End(exit_code=75, disrupted=file.trial == "s-0") if file.trial in ("s-0", "s-1") else succeed(file)

        it.world.behaviour = behaviour
        it.create(search(trials=3))
        status = await it.phase("Complete")
        assert status["interruptions"] == {"total": 2, "preemptions": 1}
        name, label = constants.METRIC_INTERRUPTIONS, 'namespace="lab",search="s"'
        await shown(unused_tcp_port, f'{name}{{cause="preemption",{label}}} 1.0')
        await shown(unused_tcp_port, f'{name}{{cause="other",{label}}} 1.0')


async def test_progress_of_the_current_attempt_reaches_the_trial_and_other_messages_are_refused(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    files: dict[str, TrialFile] = {}

    def behaviour(file: TrialFile) -> End | Stuck:
        files[file.trial] = file
        return succeed(file)

    def message(**changes: Any) -> str:
        file = files["s-0"]
        base = ProgressMessage(
            namespace="lab",
            trial=file.trial,
            trial_uid=file.trial_uid,
            attempt=file.attempt,
            epoch=2,
            epochs=9,
            validation_accuracy=0.5,
        )
        return base.model_copy(update=changes).model_dump_json(by_alias=True)

    async def post(text: str) -> tuple[int, str]:
        return await ask(unused_tcp_port, constants.PROGRESS_PATH, "POST", text)

    async with lab(port=unused_tcp_port, resync_seconds=0.6, progress_seconds=2) as it:
        it.world.seconds, it.world.behaviour = 8, behaviour
        it.create(search(trials=1, parallelism=1))
        await it.until("it runs", lambda: it.trials("Running"))
        assert (await post(message()))[0] == 204
        await it.until("told", lambda: it.api.get("NASTrial", "s-0")["status"].get("progress"))
        want = {"epoch": 2, "epochs": 9, "validationAccuracy": 0.5}
        written = it.api.get("NASTrial", "s-0")["status"]["progress"]
        assert written.pop("time")
        assert written == want
        before = len(it.api.writes(contains="s-0/status"))
        assert (await post(message(epoch=3)))[0] == 204
        await it.lists_again(2)  # each of which makes a pass
        assert len(it.api.writes(contains="s-0/status")) == before, "not before the time is over"
        for text, status, says in (
            ("{", 400, "progress message"),
            (message(epoch=-1), 400, "epoch"),
            (message(validation_accuracy=1.5), 400, "validationAccuracy"),
            (message(trial_uid="unknown"), 404, "unknown"),
            (message(namespace="other"), 404, "other"),
            (message(attempt=2), 409, "attempt 2"),
            ("x" * 5000, 413, ""),
        ):
            found = await post(text)
            assert found[0] == status, (text, found)
            assert says in found[1]
