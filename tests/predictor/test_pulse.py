"""A loop that is stuck is noticed; one that waits is left alone."""

import asyncio
import contextlib
import threading
from typing import Any, cast

from bananas_predictor import loop
from bananas_predictor.pulse import Pulse
from bananas_predictor.search import Search
from bananas_predictor.strategies import Fit


def test_a_step_that_takes_longer_than_it_may_is_named_and_one_that_has_ended_is_not() -> None:
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])
    with pulse.step("a fit"):
        now[0] = 59
        assert pulse.stuck(60) is None
        now[0] = 61
        assert pulse.stuck(60) == "a fit has taken 61 s and does not end"
    assert pulse.stuck(60) is None
    now[0] = 10_000
    assert pulse.stuck(60) is None, "to wait for news is no hang"


def test_a_fit_may_take_twenty_times_as_long_as_the_last_one_but_no_less_than_five_minutes() -> None:
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])
    pulse.took(0.2)
    with pulse.step("a fit"):
        now[0] = 299
        assert pulse.stuck(1800) is None
        now[0] = 301
        assert pulse.stuck(1800) == "a fit has taken 301 s and does not end"
        pulse.took(30)
        assert pulse.stuck(1800) is None
        now[0] = 601
        assert pulse.stuck(1800) == "a fit has taken 601 s and does not end"
        pulse.took(1000)
        now[0] = 1799
        assert pulse.stuck(1800) is None
        now[0] = 1801
        assert pulse.stuck(1800) is not None, "whatever the last one took"


class World:
    """One round in which proposals are wanted."""

    def __init__(self, world: object) -> None:
        self._worlds = [world]

    async def observe(self) -> object:
        if self._worlds:
            return self._worlds.pop()
        await asyncio.Event().wait()
        return None

    async def offer(self, _: object) -> None: ...

    async def publish(self, _: object) -> None: ...


async def test_a_fit_that_never_ends_is_seen_from_outside_the_loop(monkeypatch: Any) -> None:
    begun, end = threading.Event(), threading.Event()

    class Hanging:
        asked = "x"
        fit = None

        def replace(self, _: object) -> None: ...

        def try_again(self, _: object) -> list[object]:
            return []

        def ask(self, _: int, *, is_urgent: bool) -> list[object]:
            begun.set()
            end.wait(30)
            return []

        def prepare(self) -> None: ...

    monkeypatch.setattr(loop, "offers", lambda _: 1)
    monkeypatch.setattr(loop, "retries", lambda _: [])
    monkeypatch.setattr(Search, "of", lambda _: Hanging())
    world = type("W", (), {"asked": "x", "trials": ()})()
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])
    running = asyncio.create_task(loop.run(cast(Any, World(world)), pulse))
    assert await asyncio.to_thread(begun.wait, 10)
    assert pulse.stuck(1800) is None
    now[0] = 1801
    assert "a fit has taken 1801 s" in str(pulse.stuck(1800))
    end.set()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_the_loop_tells_the_pulse_how_long_a_fit_took(monkeypatch: Any) -> None:
    class Fitted:
        asked = "x"
        fit = Fit(results=9, seconds=40.0)

        def replace(self, _: object) -> None: ...

        def prepare(self) -> None: ...

    monkeypatch.setattr(loop, "offers", lambda _: 0)
    monkeypatch.setattr(loop, "unserved", lambda _: 0)
    monkeypatch.setattr(loop, "retries", lambda _: [])
    monkeypatch.setattr(Fitted, "try_again", lambda *_: [], raising=False)
    monkeypatch.setattr(Fitted, "ask", lambda *_, **__: [], raising=False)
    monkeypatch.setattr(Search, "of", lambda _: Fitted())
    now, published = [0.0], asyncio.Event()

    class Once(World):
        async def publish(self, _: object) -> None:
            published.set()

    pulse = Pulse(clock=lambda: now[0])
    world = type("W", (), {"asked": "x", "trials": ()})()
    running = asyncio.create_task(loop.run(cast(Any, Once(world)), pulse))
    await asyncio.wait_for(published.wait(), 10)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    with pulse.step("a fit"):
        now[0] = 799
        assert pulse.stuck(1800) is None
        now[0] = 801
        assert pulse.stuck(1800) is not None
