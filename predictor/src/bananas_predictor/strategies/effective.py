"""Which settings a strategy heeds, and their values: what a report says of it, and what `--set` may set."""

from typing import Any, Final

from bananas_core.api.search import Strategy, StrategyName
from bananas_predictor.strategies.bananas import TUNING
from bananas_predictor.strategies.bananas_paper import MEMBERS

HEEDED: Final[dict[StrategyName, tuple[str, ...]]] = {
    "bananas": (
        "initialTrials",
        "ensembleSize",
        "encoding",
        "acquisition",
        "candidates",
        "mutationRate",
        "fallback",
    ),
    "bananasPaper": ("initialTrials", "ensembleSize", "acquisition", "fallback"),
    "evolution": ("initialTrials",),
    "localSearch": ("initialTrials",),
    "random": (),
}
"""By strategy; the names are those of the API."""
_MEMBERS: Final[dict[StrategyName, int]] = {"bananas": TUNING.members, "bananasPaper": MEMBERS}
"""Networks where the search does not say."""


def effective_settings(strategy: Strategy) -> dict[str, Any]:
    """What proposals follow from: no field that the strategy does not look at, and values in the place of unset ones."""
    given = strategy.to_kubernetes() | {"ensembleSize": strategy.ensemble_size or _MEMBERS.get(strategy.name)}
    return {"name": strategy.name, **{field: given[field] for field in HEEDED[strategy.name]}}
