"""How many trials to keep on offer. Pure; called by the loop with what it sees of the world."""

from dataclasses import dataclass
from math import ceil

from bananas_core.api.search import Strategy
from bananas_core.spaces import Space
from bananas_predictor.search import TrialRecord


@dataclass(frozen=True)
class World:
    """What the loop sees: the search as it is asked for, and everything that was proposed."""

    space: Space
    strategy: Strategy
    seed: int
    trials: tuple[TrialRecord, ...]
    budget_trials: int
    parallelism: int
    surplus: int
    """Trials on offer beyond the free slots."""
    is_open: bool = True
    """False while nothing may be offered, whatever the budget."""
    may_repeat: bool = False
    """Whether an architecture may be tried twice, as evolution does; a cluster admits none twice."""


def surplus(parallelism: int) -> int:
    """Trials on offer beyond the free slots, so that a slot which comes free never waits for a fit."""
    return max(1, ceil(parallelism / 8))


def offers(world: World) -> int:
    """How many further trials to offer: enough for the free slots and the surplus, never more than the budget admits."""
    if not world.is_open or world.parallelism == 0:
        return 0
    phases = [trial.phase for trial in world.trials]
    pending, cancelled = phases.count("Pending"), phases.count("Cancelled")
    in_flight = phases.count("Queued") + phases.count("Running")
    wanted = max(0, world.parallelism - in_flight) + world.surplus - pending
    left = world.budget_trials - (len(phases) - cancelled)  # admitted ones and those on offer
    return max(0, min(wanted, left))
