"""The judge's own notion of "the same network": brute force over the orders of the nodes. Shares nothing with the core.

Two cells are the same if renaming inner nodes turns one into the other, edges that compute nothing left out.
"""

from itertools import permutations
from typing import Any

NASBENCH201_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
Form = tuple[object, ...]


def canonical(architecture: dict[str, Any]) -> Form:
    """Equal for isomorphic architectures, as they stand in `spec.architecture` of a trial.

    Raises:
        ValueError: of a space that the judge does not know.
    """
    space = architecture["space"]
    cell = architecture.get(space, {})
    if space == "nasbench201":
        return (space, _nasbench201(cell["ops"]))
    if space == "nasbench101":
        return (space, _nasbench101(cell["adjacency"], cell["ops"]))
    if space == "darts":
        return (space, _darts(cell["normal"]), _darts(cell["reduce"]))
    raise ValueError(f"space {space!r}; want nasbench201, nasbench101 or darts")


def _nasbench201(ops: list[str]) -> Form:
    edges = [(a, b, op) for (a, b), op in zip(NASBENCH201_EDGES, ops, strict=True) if op != "none"]
    names = ({0: 0, 1: one, 2: two, 3: 3} for one, two in permutations((1, 2)))
    return min(tuple(sorted((name[a], name[b], op) for a, b, op in edges)) for name in names)


def _nasbench101(adjacency: str, ops: list[str]) -> Form:
    count = len(ops) + 2
    digits = iter(adjacency)
    edges = [(i, j) for i in range(count) for j in range(i + 1, count) if next(digits) == "1"]
    labels = {0: "in", count - 1: "out", **{i + 1: op for i, op in enumerate(ops)}}
    forms = []
    for order in permutations(range(1, count - 1)):
        name = {0: 0, count - 1: count - 1, **{old: new + 1 for new, old in enumerate(order)}}
        nodes = tuple(sorted((name[i], label) for i, label in labels.items()))
        forms.append((nodes, tuple(sorted((name[a], name[b]) for a, b in edges))))
    return min(forms)


def _darts(edges: list[dict[str, Any]]) -> Form:
    nodes = len(edges) // 2
    forms = []
    for order in permutations(range(nodes)):
        name = {0: 0, 1: 1, **{old + 2: new + 2 for new, old in enumerate(order)}}
        forms.append(
            tuple(
                sorted(
                    (name[e // 2 + 2], edge["op"], -1 if edge["op"] == "none" else name[edge["input"]])
                    for e, edge in enumerate(edges)
                )
            )
        )
    return min(forms)
