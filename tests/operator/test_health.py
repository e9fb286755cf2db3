"""What /healthz and /livez say of lists that do not succeed."""

import asyncio
from typing import Any

from bananas_operator.cache import Cache, Lister
from bananas_operator.errors import NotFoundError
from bananas_operator.health import PATIENCE, Health
from bananas_operator.settings import Settings

from .builders import SETTINGS

LIMIT = 1.5 * SETTINGS.resync_seconds + SETTINGS.error_backoff_limit_seconds


class Api:
    """Lists nothing, or knows no kind at all."""

    installed = True

    async def list_page(self, *_: Any) -> dict[str, Any]:
        if not self.installed:
            raise NotFoundError("404 page not found", status=404)
        return {"metadata": {"resourceVersion": "1"}, "items": []}


class World:
    """An operator whose clock a test turns."""

    def __init__(self) -> None:
        self.now, self.api = 0.0, Api()
        cache = Cache(clock=lambda: self.now)
        self.lister = Lister(self.api, cache, Settings(), lambda _: None, lambda: self.now)  # type: ignore[arg-type]
        self.health = Health(cache, self.lister, SETTINGS)

    async def list_until(self, want: bool) -> None:
        """Lists until a kind is found missing, or all are listed."""
        task = asyncio.create_task(self.lister.run())
        while (self.lister.not_installed is not None) != want or (not want and not self.lister.ready.is_set()):
            await asyncio.sleep(0)
        task.cancel()


async def test_an_operator_that_never_saw_our_kinds_waits_for_them_as_long_as_it_takes() -> None:
    world = World()
    world.api.installed = False
    await world.list_until(want=True)
    world.now = 1000 * LIMIT
    assert world.health.ailments() == []
    assert "not known" in world.health.problems()[0]


async def test_an_operator_whose_kinds_are_gone_waits_longer_than_for_a_list_and_not_for_ever() -> None:
    world = World()
    await world.list_until(want=False)
    world.now = LIMIT + 1
    assert "last full list" in world.health.ailments()[0]
    world.api.installed = False
    await world.list_until(want=True)
    assert world.health.ailments() == []
    world.now = PATIENCE * LIMIT + 1
    assert "last full list" in world.health.ailments()[0]
