"""The BANANAS loop: see what is there, decide how many to offer, propose, publish. The table of contents of the predictor.

Called by the pod and by `bananas search`. It keeps nothing from one round to the next that it could not see again: `Search`
is rebuilt from the world, and only saves itself a fit on results that it has fitted before.
"""

import asyncio
from functools import partial

from bananas_predictor.evaluation import Evaluation
from bananas_predictor.offers import World, offers, retries, unserved
from bananas_predictor.pulse import Pulse
from bananas_predictor.search import Search


async def run(evaluation: Evaluation, pulse: Pulse | None = None) -> None:
    """Proposes until the evaluation has nothing more to do."""
    pulse = pulse or Pulse()
    search: Search | None = None
    while (world := await evaluation.observe()) is not None:
        last, search = search, _search_of(world, search)
        search.replace(world.trials)
        wanted = offers(world)
        # A free slot with nothing on offer gets what the last fit says, at once; only what is kept in store is fitted anew.
        urgent = min(wanted, unserved(world)) if search.fit is not None else 0
        # A fit takes long enough to let a watch or a health check starve: it runs in a thread.
        ask = partial(search.ask, urgent or wanted, is_urgent=urgent > 0)
        proposals = search.try_again(retries(world))
        with pulse.step("a fit"):
            proposals += await asyncio.to_thread(ask) if wanted else []
        if search.fit is not None:
            pulse.took(search.fit.seconds)
        await evaluation.offer(proposals)
        await evaluation.publish(search)
        if search is not last:  # the first random offers are out: now there is time
            with pulse.step("the preparation of the search"):
                await asyncio.to_thread(search.prepare)


def _search_of(world: World, last: Search | None) -> Search:
    """The search that the world asks for; the last one where it is the same."""
    return last if last is not None and last.asked == world.asked else Search.of(world.asked)
