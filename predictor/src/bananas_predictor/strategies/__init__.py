"""How the next architecture is chosen. Called by `Search`; a strategy knows the history and draws from the given generator.

A strategy is one module with one class that follows `ChoosingStrategy`, and one line in `strategy_of`. Those of the paper
follow the original's code to the letter where a benchmark table answers; `bananas` is our own and the default.
"""

from typing import Final, get_args

from bananas_core.api.search import Strategy, StrategyName
from bananas_predictor.candidates import Spellings
from bananas_predictor.strategies.bananas import BananasStrategy
from bananas_predictor.strategies.bananas_paper import BananasPaperStrategy
from bananas_predictor.strategies.choosing import Choice, ChoosingStrategy, Fit
from bananas_predictor.strategies.evolution import EvolutionStrategy
from bananas_predictor.strategies.local_search import LocalSearchStrategy
from bananas_predictor.strategies.random_search import RandomStrategy

__all__ = ["STRATEGIES", "Choice", "ChoosingStrategy", "Fit", "has_fallback", "strategy_of"]

STRATEGIES: Final[tuple[StrategyName, ...]] = get_args(StrategyName)


def strategy_of(settings: Strategy, spellings: Spellings | None = None) -> ChoosingStrategy:
    """The strategy that the settings name; `spellings` is where those of the paper note how they spelled a trial."""
    spellings = spellings or Spellings()
    match settings.name:
        case "bananas":
            return BananasStrategy(settings)
        case "bananasPaper":
            return BananasPaperStrategy(settings, spellings)
        case "evolution":
            return EvolutionStrategy(settings, spellings)
        case "localSearch":
            return LocalSearchStrategy(settings, spellings)
        case "random":
            return RandomStrategy()


def has_fallback(settings: Strategy) -> bool:
    """Whether evolution takes over from a predictor that says nothing."""
    return settings.fallback == "evolution" and settings.has_predictor
