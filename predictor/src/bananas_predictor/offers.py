"""How many trials to keep on offer. Pure; called by the loop with what it sees of the world."""

from dataclasses import dataclass
from math import ceil

from bananas_predictor.search import Asked, TrialRecord


@dataclass(frozen=True)
class World:
    """What the loop sees: the search as it is asked for, and everything that was proposed."""

    asked: Asked
    trials: tuple[TrialRecord, ...]
    budget_trials: int
    parallelism: int
    surplus: int
    """Trials on offer beyond the free slots."""
    is_open: bool = True
    """False while nothing may be offered, whatever the budget."""
    batch_size: int | None = None
    """Architectures of a round, where the search goes in rounds; None: a free slot is refilled at once."""
    retries: tuple[TrialRecord, ...] = ()
    """Failed trials that a person wants tried again."""


def surplus(parallelism: int) -> int:
    """Trials on offer beyond the free slots, so that a slot which comes free never waits for a fit."""
    return max(1, ceil(parallelism / 8))


def offers(world: World) -> int:
    """How many further trials to offer, never more than the budget admits.

    Enough for the free slots and the surplus; in rounds, a whole round once the one before has ended.
    """
    if not world.is_open or world.parallelism == 0:
        return 0
    phases = [trial.phase for trial in world.trials]
    pending, cancelled = phases.count("Pending"), phases.count("Cancelled")
    in_flight = phases.count("Queued") + phases.count("Running")
    offered = len(phases) - cancelled  # admitted ones and those on offer
    if world.batch_size is None:
        wanted = max(0, world.parallelism - in_flight) + world.surplus - pending
    else:
        wanted = _rest_of_round(world, world.batch_size, offered, has_ended=pending + in_flight == 0)
    return max(0, min(wanted, world.budget_trials - offered) - len(retries(world)))


def _rest_of_round(world: World, batch_size: int, offered: int, *, has_ended: bool) -> int:
    """What lacks of the round that was begun, for its offers may have been cut off; all of the next one once it has ended."""
    repeats, strategy = world.asked.repeats, world.asked.strategy
    size = batch_size * repeats
    first = size if strategy.name == "random" else strategy.initial_trials * repeats
    if offered < first:
        return first - offered
    begun = (offered - first) % size
    return size - begun if begun or has_ended else 0


def retries(world: World) -> tuple[TrialRecord, ...]:
    """Failed trials to offer once more now: a person asked for them, so they need no free slot, but a place in the budget."""
    return world.retries[: max(0, _left(world))] if world.is_open else ()


def _left(world: World) -> int:
    """Trials that the budget still has beside admitted ones and those on offer."""
    return world.budget_trials - sum(trial.phase != "Cancelled" for trial in world.trials)


def unserved(world: World) -> int:
    """Free slots for which nothing is on offer. None where nothing is kept in store: there the next fit is waited for."""
    if not world.surplus or world.batch_size is not None:
        return 0
    phases = [trial.phase for trial in world.trials]
    return max(0, world.parallelism - sum(phases.count(phase) for phase in ("Pending", "Queued", "Running")))
