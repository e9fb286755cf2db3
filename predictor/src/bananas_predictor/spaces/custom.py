"""A search space of one's own: what a person writes (`CustomSpace`), and how the search sees it (`Adapted`).

A person writes one class that handles one architecture at a time, as any Python object; docs/custom-spaces.md tells how.
The search works on batches of arrays, so here architectures travel as their texts: a cell is the text of the canonical form,
(n,) bytes. Whoever needs speed implements `SearchSpace` itself, with name "custom"; `space_of` takes either.

Notation: n cells, d features.
"""

import importlib
import inspect
import math
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bananas_core.api.search import Encoding
from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture
from bananas_core.spaces.custom import CustomArchitecture
from bananas_predictor.errors import InputError
from bananas_predictor.spaces.costs import Costs, NetworkShape
from bananas_predictor.spaces.scaling import Scaled
from bananas_predictor.spaces.space import Cells, Features, Keys, SearchSpace

A = TypeVar("A")
REMEMBERED: Final = 50_000
"""Architectures whose features are not computed anew: those of a long search and of some fits."""
TRIED: Final = 20
"""Architectures that a space is tried on before a search begins."""


@runtime_checkable
class CustomSpace(Protocol[A]):
    """A search space of one's own, on architectures of any type `A`. Nothing may depend on anything but the arguments."""

    def sample(self, rng: np.random.Generator) -> A:
        """A random architecture."""
        ...

    def mutate(self, architecture: A, rng: np.random.Generator) -> A:
        """The architecture after one random edit."""
        ...

    def neighbours(self, architecture: A) -> Iterable[A]:
        """Every architecture one edit away; for localSearch."""
        ...

    def canonical(self, architecture: A) -> A:
        """The same for every spelling of one network: architectures with one canonical text are never trained twice."""
        ...

    def features(self, architecture: A) -> Sequence[float]:
        """What the predictor sees: as many numbers for every architecture, the same for every spelling."""
        ...

    def to_text(self, architecture: A) -> str:
        """One printable line of at most 4096 characters; it may be JSON. It is what a trainer gets."""
        ...

    def from_text(self, text: str) -> A:
        """Reads `to_text`.

        Raises:
            ValueError: the text is no architecture of this space; the message says why.
        """
        ...


@runtime_checkable
class Costed(Protocol):
    """What a `CustomSpace` has in addition where a search may set constraints."""

    def cost(self, architecture: Any) -> tuple[int, int]:
        """Parameters, and multiply-adds for one image."""
        ...


class Adapted:
    """`SearchSpace` of a `CustomSpace`. Every cell is in canonical form."""

    name: Final[Literal["custom"]] = "custom"

    def __init__(self, given: CustomSpace[Any]) -> None:
        """Around a space of one's own."""
        self._given = given
        self._read: Callable[[bytes], Any] = lru_cache(REMEMBERED)(lambda text: given.from_text(text.decode()))
        self._features: Callable[[bytes], NDArray[np.float32]] = lru_cache(REMEMBERED)(self._compute_features)
        self._scaled = Scaled(self._raw_features, self.sample)

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        return self._cells([self._given.sample(rng) for _ in range(count)])

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        """At least one edit, for a mutant that is its parent would be drawn in vain."""
        edits = np.maximum(rng.poisson(rate, len(cells)), 1)
        mutants = []
        for text, number in zip(cells.tolist(), edits.tolist(), strict=True):
            architecture = self._read(text)
            for _ in range(number):
                architecture = self._given.mutate(architecture, rng)
            mutants.append(architecture)
        return self._cells(mutants)

    def neighbours(self, spelling: Cells, rng: np.random.Generator) -> Cells:
        others = self._cells(list(self._given.neighbours(self._read(spelling.tolist()[0]))))
        shuffled: Cells = rng.permutation(np.unique(others[others != spelling[0]]))
        return shuffled

    def keys(self, cells: Cells) -> Keys:
        words = [int.from_bytes(blake2b(text, digest_size=8).digest()) for text in cells.tolist()]
        return np.array(words, dtype=np.uint64)

    def functions(self, cells: Cells) -> Keys:
        return self.keys(cells)

    def encode(self, cells: Cells, encoding: Encoding) -> Features:  # noqa: ARG002 - the space has one encoding, its own
        return self._scaled(cells)

    def costs(self, cells: Cells, shape: NetworkShape) -> Costs:  # noqa: ARG002 - the space knows its networks
        if not isinstance(self._given, Costed):
            raise InputError(
                f"constraints: {type(self._given).__name__} has no method cost(architecture) -> (parameters, multiply_adds), "
                "by which they could be kept"
            )
        pairs = [self._given.cost(self._read(text)) for text in cells.tolist()]
        parameters, multiply_adds = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return Costs(parameters, multiply_adds)

    def sample_original(self, count: int, rng: np.random.Generator) -> Cells:
        return self.sample(count, rng)

    def mutate_original(self, spellings: Cells, rng: np.random.Generator) -> Cells:
        return self._cells([self._given.mutate(self._read(text), rng) for text in spellings.tolist()])

    def keys_original(self, spellings: Cells) -> Keys:
        return self.keys(spellings)

    def settle(self, spellings: Cells) -> Cells:
        return spellings

    def spell(self, cells: Cells, rng: np.random.Generator) -> Cells:  # noqa: ARG002 - there is one spelling
        return cells

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        return self._cells([self.parse(one) for one in architectures])

    def unpack(self, cells: Cells) -> list[Architecture]:
        return [Architecture.of(CustomArchitecture(text=text.decode())) for text in cells.tolist()]

    def parse(self, architecture: Architecture) -> Any:
        """The person's own object for an architecture.

        Raises:
            ArchitectureError: the text is none of this space.
        """
        text = architecture.to_text()
        try:
            return self._read(text.encode())
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ArchitectureError(f"{text[:200]!r} is no architecture of this space: {error}") from error

    def _cells(self, architectures: list[Any]) -> Cells:
        """(n,) canonical texts."""
        texts = [self._given.to_text(self._given.canonical(one)).encode() for one in architectures]
        return np.array(texts, dtype=np.bytes_) if texts else np.zeros(0, dtype="S1")

    def _raw_features(self, cells: Cells) -> NDArray[np.float32]:
        """(n, d)"""
        return np.stack([self._features(text) for text in cells.tolist()]) if len(cells) else self._no_features()

    def _compute_features(self, text: bytes) -> NDArray[np.float32]:
        return np.array(self._given.features(self._read(text)), dtype=np.float32)

    def _no_features(self) -> NDArray[np.float32]:
        width = len(self._features(self.sample(1, np.random.default_rng(0)).tolist()[0]))
        return np.zeros((0, width), dtype=np.float32)


def space_of(given: object, what: str) -> SearchSpace:
    """The space that an object is, tried on some architectures first; `what` names it in an error.

    Raises:
        InputError: naming the method that lacks or does something else than it should.
    """
    made = given() if inspect.isclass(given) else given
    if isinstance(made, SearchSpace):
        if made.name != "custom":
            raise InputError(f"{what}: its name is {made.name!r}; want 'custom', for the others are taken")
        return made
    wanted = [name for name in vars(CustomSpace) if not name.startswith("_") and callable(getattr(CustomSpace, name))]
    lacking = [name for name in wanted if not callable(getattr(made, name, None))]
    if lacking:
        raise InputError(f"{what}: method {', '.join(lacking)} is missing; a space has {', '.join(wanted)}")
    assert isinstance(made, CustomSpace)  # it has them all
    _try(made, what)
    return Adapted(made)


def load_space(entry_point: str, what: str) -> SearchSpace:
    """The space at package.module:Name; `what` is the field or option that named it.

    Raises:
        InputError: there is no such module or name, or it is no space.
    """
    return space_of(load(entry_point, what), f"{what} {entry_point}")


def load(entry_point: str, what: str) -> object:
    """What stands at package.module:Name.

    Raises:
        InputError: there is no such module or name.
    """
    module, _, name = entry_point.partition(":")
    if not module or not name:
        raise InputError(f"{what} {entry_point!r}; want package.module:Name")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise InputError(
            f"{what} {entry_point}: cannot import {module}: {error}; is the package in this image?"
        ) from error
    except AttributeError as error:
        raise InputError(f"{what} {entry_point}: module {module} has no {name}") from error


def told(error: BaseException) -> str:
    """What a person's code has raised, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"


def _try(space: CustomSpace[Any], what: str) -> None:
    """Finds the mistakes that would otherwise show up as architectures trained twice, or hours later."""
    rng = np.random.default_rng(0)
    widths = set()
    for _ in range(TRIED):
        drawn = space.sample(rng)
        for one in (drawn, space.mutate(drawn, rng)):
            canonical = space.canonical(one)
            text = space.to_text(canonical)
            try:
                CustomArchitecture(text=text)
            except ValidationError as error:
                raise InputError(f"{what}: to_text gave {text!r}: {error.errors()[0]['msg']}") from error
            if space.to_text(space.from_text(text)) != text:
                again = space.to_text(space.from_text(text))
                raise InputError(f"{what}: from_text({text!r}) reads as {again!r}; want what to_text wrote")
            if (twice := space.to_text(space.canonical(canonical))) != text:
                raise InputError(
                    f"{what}: canonical of {text!r} is {twice!r}; want that a canonical form stays what it is"
                )
            features = list(space.features(canonical))
            if not all(math.isfinite(value) for value in features):
                raise InputError(f"{what}: features of {text!r} are not all finite numbers")
            widths.add(len(features))
    if len(widths) != 1 or widths == {0}:
        raise InputError(
            f"{what}: features are {sorted(widths)} long; want as many for every architecture, at least one"
        )
