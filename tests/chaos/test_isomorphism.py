"""The judge's notion of "the same network", against hand-made pairs and, over many, against the core's identity."""

import random
from typing import Any

import pytest

from bananas_core.spaces import Architecture
from bench.chaos.isomorphism import NASBENCH201_EDGES, canonical

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def nasbench201(*ops: str) -> dict[str, Any]:
    return {"space": "nasbench201", "nasbench201": {"ops": list(ops)}}


def test_nodes_without_an_edge_between_them_may_be_swapped() -> None:
    one = nasbench201("nor_conv_1x1", "nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none")
    two = nasbench201("nor_conv_3x3", "nor_conv_1x1", "none", "skip_connect", "none", "avg_pool_3x3")
    assert canonical(one) == canonical(two)


def test_nodes_with_an_edge_between_them_may_not() -> None:
    one = nasbench201("nor_conv_1x1", "nor_conv_3x3", "skip_connect", "skip_connect", "avg_pool_3x3", "none")
    two = nasbench201("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "skip_connect", "none", "avg_pool_3x3")
    assert canonical(one) != canonical(two)


def test_interior_vertices_of_nasbench101_may_be_renamed() -> None:
    def cell(adjacency: str, *ops: str) -> dict[str, Any]:
        return {"space": "nasbench101", "nasbench101": {"adjacency": adjacency, "ops": list(ops)}}

    one = cell("110" + "01" + "1", "conv3x3-bn-relu", "maxpool3x3")
    two = cell("110" + "01" + "1", "maxpool3x3", "conv3x3-bn-relu")
    assert canonical(one) == canonical(two)
    chain = cell("100" + "10" + "1", "conv3x3-bn-relu", "maxpool3x3")
    assert canonical(chain) != canonical(cell("100" + "10" + "1", "maxpool3x3", "conv3x3-bn-relu"))


def test_an_unknown_space_is_an_error() -> None:
    with pytest.raises(ValueError, match="custom"):
        canonical({"space": "custom", "custom": {}})


@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_the_judge_and_the_core_agree_on_which_networks_are_the_same(space: Any) -> None:
    """Two implementations that share nothing: whoever is wrong alone is found out."""
    rng = random.Random(0)
    pairs = (
        [_random_201(rng) for _ in range(300)] if space == "nasbench201" else [_random_darts(rng) for _ in range(60)]
    )
    ours: dict[object, set[str]] = {}
    for raw in pairs:
        for variant in (raw, _swapped(raw, rng)):
            ours.setdefault(canonical(variant), set()).add(_identity(variant))
    assert all(len(identities) == 1 for identities in ours.values())
    assert len({next(iter(identities)) for identities in ours.values()}) == len(ours)
    assert len(ours) < 2 * len(pairs)


def _identity(raw: dict[str, Any]) -> str:
    return Architecture.model_validate(raw).hash()


def _random_201(rng: random.Random) -> dict[str, Any]:
    return nasbench201(*(rng.choice(OPS) for _ in NASBENCH201_EDGES))


def _random_darts(rng: random.Random) -> dict[str, Any]:
    ops = ("none", "skip_connect", "sep_conv_3x3")

    def cell() -> list[dict[str, Any]]:
        sources = [rng.sample(range(node + 2), 2) for node in range(4)]
        return [{"op": rng.choice(ops), "input": source} for pair in sources for source in pair]

    return {"space": "darts", "darts": {"normal": cell(), "reduce": cell()}}


def _swapped(raw: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Another spelling of the same network, where there is an easy one."""
    if raw["space"] == "nasbench201":
        a, b, between, c, d, e = raw["nasbench201"]["ops"]
        return nasbench201(b, a, between, c, e, d) if between == "none" else raw
    cells = {}
    for name in ("normal", "reduce"):
        edges = raw["darts"][name]
        pairs = [edges[i : i + 2] for i in range(0, len(edges), 2)]
        cells[name] = [edge for pair in pairs for edge in (pair if rng.random() < 0.5 else pair[::-1])]
    return {"space": "darts", "darts": cells}
