"""How a search chooses: spec.strategy of a NASSearch, and what of it may change while it runs."""

from typing import Literal

from pydantic import Field

from bananas_core.model import Model

Fallback = Literal["none", "evolution"]
StrategyName = Literal["bananas", "bananasPaper", "evolution", "localSearch", "random"]
Encoding = Literal["path", "truncatedPath", "adjacency", "graph"]
Acquisition = Literal["its", "ucb", "ei", "pi", "ts", "mean"]


class Strategy(Model):
    """How the next architectures are chosen."""

    name: StrategyName = Field(
        "bananas",
        description="bananas (Bayesian optimisation with an ensemble of neural predictors, our best), bananasPaper (the same "
        "to the letter of arXiv 1910.11858; it has an encoding and candidates of its own), evolution (regularised), "
        "localSearch or random.",
    )
    fallback: Fallback = Field(
        "none",
        description="What is done about a predictor whose forecasts rank no better than chance after 40 of them (condition "
        "PredictorUseful): none, or evolution, which proposes from then on. For bananas and bananasPaper. May be changed while "
        "the search runs.",
    )
    initial_trials: int = Field(10, ge=2, le=10_000, description="Random architectures before the strategy chooses.")
    ensemble_size: int | None = Field(
        None, ge=2, le=100, description="Networks in the ensemble. Unset: 10 for bananas, 5 for bananasPaper."
    )
    encoding: Encoding = Field(
        "graph",
        description="What the predictor of bananas sees: path, truncatedPath (the short paths), adjacency or graph (counts "
        "that do not depend on how an architecture is spelled, and the short paths).",
    )
    acquisition: Acquisition = Field(
        "its",
        description="How candidates are compared: its (independent Thompson sampling), ucb (upper confidence bound), ei "
        "(expected improvement), pi (probability of improvement), ts (Thompson sampling) or mean.",
    )
    candidates: int = Field(1000, ge=10, le=100_000, description="Candidates that are scored for a proposal.")
    mutation_rate: float = Field(
        1.0, gt=0, le=10, description="Mean number of changes that make a candidate of a parent."
    )

    @property
    def has_predictor(self) -> bool:
        """Whether it learns from results."""
        return self.name in ("bananas", "bananasPaper")


def _unchanged(name: str) -> str:
    """Rule that a field of an object is as it was, also where both have none."""
    return f"(has(self.{name}) ? has(oldSelf.{name}) && self.{name} == oldSelf.{name} : !has(oldSelf.{name}))"


STRATEGY_RULES = (
    (
        " && ".join(
            _unchanged(field.alias or name) for name, field in Strategy.model_fields.items() if name != "fallback"
        ),
        "spec.strategy cannot change, but for fallback: the proposals must follow from one strategy. Make a new NASSearch instead",
    ),
)
"""CEL rules of spec.strategy; `search` puts them into the schema."""
