"""Where proposals get their accuracies: a benchmark table in this process (`table`), or NASTrials of a cluster (`trials`)."""

from typing import Protocol

from bananas_predictor.offers import World
from bananas_predictor.search import Proposal, Search


class Evaluation(Protocol):
    """The loop's only border to the world."""

    async def observe(self) -> World | None:
        """What is there now, once there is something new to see; None when there is nothing more to do."""
        ...

    async def offer(self, proposals: list[Proposal]) -> None:
        """Has these architectures evaluated, sooner or later."""
        ...

    async def publish(self, search: Search) -> None:
        """Says how the predictor fares, where anybody listens."""
        ...
