"""The search spaces: what an architecture is, how it is written, and when two spellings are the same network.

`Architecture` is the object that travels (in NASTrial.spec, in trial files, in results); each space has a module with its
cell type. Encodings for the predictor and networks for the trainer are theirs, not ours.
"""

from bananas_core.spaces.architecture import Architecture, Space, parse_architecture

__all__ = ["Architecture", "Space", "parse_architecture"]
