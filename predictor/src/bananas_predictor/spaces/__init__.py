"""The search spaces as the predictor sees them: batches of cells that are sampled, mutated, told apart and encoded.

What an architecture is lives in `bananas_core.spaces`; here is what a search does with one. A space is one module that
follows `SearchSpace`; nothing else in the predictor knows which spaces there are.
"""

from typing import get_args

from bananas_core.api.search import Encoding
from bananas_core.spaces import Space
from bananas_predictor.errors import InputError
from bananas_predictor.spaces.darts import DARTS
from bananas_predictor.spaces.nasbench101 import NASBENCH101
from bananas_predictor.spaces.nasbench201 import NASBENCH201
from bananas_predictor.spaces.space import Cells, Features, Keys, SearchSpace

SPACES: dict[Space, SearchSpace] = {space.name: space for space in (DARTS, NASBENCH101, NASBENCH201)}


def named_space(name: Space) -> SearchSpace:
    """The space of a name of the API.

    Raises:
        InputError: there is none of that name, or it is custom, which needs an entry point.
    """
    if name not in get_args(Space):
        raise InputError(f"space {name!r} is not known; want one of {', '.join(get_args(Space))}")
    if name == "custom":
        raise InputError(
            "space custom has no space of its own: give an object, or load one with spaces.custom.load_space"
        )
    return SPACES[name]


__all__ = ["SPACES", "Cells", "Encoding", "Features", "Keys", "SearchSpace", "named_space"]
