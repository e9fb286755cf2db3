"""The API of Bananas: group nas.bananas.dev, version v1alpha1. The CRDs are generated from these models.

Data enters at `NASSearchSpec` (a person writes it) and `NASTrialSpec` (the predictor writes it); the two statuses are
what comes out.
"""

from bananas_core.api.recipe import Recipe
from bananas_core.api.search import Condition, NASSearchSpec, NASSearchStatus, PredictorStatus
from bananas_core.api.template import TrialTemplate
from bananas_core.api.trial import NASTrialSpec, NASTrialStatus

__all__ = [
    "Condition",
    "NASSearchSpec",
    "NASSearchStatus",
    "NASTrialSpec",
    "NASTrialStatus",
    "PredictorStatus",
    "Recipe",
    "TrialTemplate",
]
