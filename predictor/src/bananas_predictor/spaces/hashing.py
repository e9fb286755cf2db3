"""Hashes of many cells at once. Called by the spaces' `keys`; not the hash of the API, which is a string in the core.

The rounds are those of Weisfeiler and Lehman, in 64-bit words: sums of mixed words stand for multisets, so no sorting and
no strings are needed. 64 bits let two of 423,624 cells collide by chance once in 2e8 spaces.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

# Odd constants that keep roles apart; any would do. The first is 2^64 divided by the golden ratio.
ROLE_SELF: Final = np.uint64(0x9E3779B97F4A7C15)
ROLE_IN: Final = np.uint64(0xC2B2AE3D27D4EB4F)
ROLE_OUT: Final = np.uint64(0x165667B19E3779F9)


def mix(words: Words) -> Words:
    """The finaliser of splitmix64: every bit of the answer depends on every bit of the word. Arrays wrap around."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
