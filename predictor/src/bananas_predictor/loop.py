"""The BANANAS loop: see what is there, decide how many to offer, propose, publish. The table of contents of the predictor.

Called by the pod and by `bananas search`. It keeps nothing from one round to the next that it could not see again: `Search`
is rebuilt from the world, and only saves itself a fit on results that it has fitted before.
"""

import asyncio

from bananas_predictor.evaluation import Evaluation
from bananas_predictor.offers import World, offers, retries
from bananas_predictor.search import Search


async def run(evaluation: Evaluation) -> None:
    """Proposes until the evaluation has nothing more to do."""
    search: Search | None = None
    while (world := await evaluation.observe()) is not None:
        last, search = search, _search_of(world, search)
        search.replace(world.trials)
        wanted = offers(world)
        # A fit takes long enough to let a watch or a health check starve: it runs in a thread.
        proposals = search.try_again(retries(world))
        proposals += await asyncio.to_thread(search.ask, wanted) if wanted else []
        await evaluation.offer(proposals)
        await evaluation.publish(search)
        if search is not last:  # the first random offers are out: now there is time
            await asyncio.to_thread(search.prepare)


def _search_of(world: World, last: Search | None) -> Search:
    """The search that the world asks for; the last one where it is the same."""
    return last if last is not None and last.asked == world.asked else Search.of(world.asked)
