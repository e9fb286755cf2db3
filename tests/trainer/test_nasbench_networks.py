"""The networks of both NASBench spaces against the tables, against their own counts, and against what their cells mean."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import EDGES, OPERATIONS, Nasbench201Architecture
from bananas_trainer.networks import nasbench101, nasbench201
from bananas_trainer.networks.building import PUBLISHED_SHAPES, Cell, Shape, build
from bananas_trainer.networks.counting import measure
from bananas_trainer.networks.nasbench101 import vertex_channels

DataFile = Callable[[str], Path]
ROWS_WITH_ANOTHER_NETWORKS_COUNT = 204  # averaged with it in the published table

cells_201 = st.builds(Nasbench201Architecture, ops=st.tuples(*[st.sampled_from(OPERATIONS)] * len(EDGES)))


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def rows_101(path: Path) -> list[tuple[Nasbench101Architecture, int]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [
        (Nasbench101Architecture.parse(f"{row['adjacency_upper']}:{row['ops']}"), int(row["trainable_parameters"]))
        for row in rows
    ]


def test_every_row_of_nasbench101_has_the_tables_parameters(data_file: DataFile) -> None:
    rows = rows_101(data_file("nasbench101_sample.csv"))
    assert len(rows) == 20_001
    assert [cell.to_text() for cell, want in rows if nasbench101.count_parameters(cell) != want] == []


def test_every_row_of_nasbench201_has_the_tables_parameters_but_for_the_odd_ones(data_file: DataFile) -> None:
    with data_file("nasbench201_cifar10.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15_625
    odd = [
        row["arch"]
        for row in rows
        if round(nasbench201.count_parameters(Nasbench201Architecture.parse(row["arch"])) / 1e6, 6)
        != float(row["params_m"])
    ]
    assert len(odd) == ROWS_WITH_ANOTHER_NETWORKS_COUNT


def test_a_built_network_of_nasbench101_has_the_tables_parameters(data_file: DataFile) -> None:
    channels, layers = PUBLISHED_SHAPES[Nasbench101Architecture]
    with torch.device("meta"):
        for cell, want in rows_101(data_file("nasbench101_sample.csv"))[::800]:
            assert parameters(build(cell, Shape(channels, layers, classes=10))) == want


@pytest.mark.parametrize("text", ["100110100001001010101:02001", "1:", "111:2", "110011:01", "101:1"])
def test_a_network_of_nasbench101_has_as_many_parameters_as_counted(text: str) -> None:
    cell = Nasbench101Architecture.parse(text)
    sizes = {"channels": 8, "cells_per_stack": 2, "classes": 7, "image_channels": 1}
    with torch.device("meta"):
        assert parameters(nasbench101.Nasbench101Network(cell, **sizes)) == nasbench101.count_parameters(cell, **sizes)


@settings(max_examples=20, deadline=None)
@given(cell=cells_201)
def test_a_network_of_nasbench201_has_as_many_parameters_as_counted(cell: Nasbench201Architecture) -> None:
    sizes = {"channels": 4, "cells_per_stage": 2, "classes": 7, "image_channels": 1}
    with torch.device("meta"):
        network = nasbench201.Nasbench201Network(cell, **sizes)
    assert parameters(network) == nasbench201.count_parameters(cell, **sizes)


@settings(max_examples=10, deadline=None)
@given(cell=cells_201)
def test_every_cell_of_nasbench201_can_be_trained(cell: Nasbench201Architecture) -> None:
    trained(cell, layers=3)


@pytest.mark.parametrize("text", ["1:", "111:2", "100110100001001010101:02001", "110011:01"])
def test_every_cell_of_nasbench101_can_be_trained(text: str) -> None:
    trained(Nasbench101Architecture.parse(text), layers=6)


def trained(cell: Cell, layers: int) -> None:
    network = build(cell, Shape(4, layers, classes=3, image_channels=1))
    logits, auxiliary = network(torch.rand(2, 1, 8, 8))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert auxiliary is None
    assert network.classifier.weight.grad is not None
    assert measure(network, (1, 8, 8)).parameters == parameters(network)


def test_the_output_channels_are_split_over_the_vertices_that_feed_it() -> None:
    """Three feed it, so 128 is 43 + 43 + 42; a vertex that feeds others only has as many as the widest of them."""
    cell = Nasbench101Architecture.parse(f"{EDGES_101}:0000")
    assert vertex_channels(cell, 64, 128) == [64, 43, 43, 43, 42, 128]


EDGES_101 = "10000" + "1110" + "001" + "01" + "1"
"""input -> 1; 1 -> 2, 3, 4; each of these -> output."""


def test_the_published_state_dict_of_nasbench201_has_these_names() -> None:
    cell = Nasbench201Architecture.parse("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|")
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in build(cell, Shape(16, 15, 10)).state_dict().items()}
    want = {
        "stem.0.weight": (16, 3, 3, 3),
        "cells.0.layers.0.op.1.weight": (16, 16, 3, 3),
        "cells.4.layers.2.op.1.weight": (16, 16, 1, 1),
        "cells.5.conv_a.op.1.weight": (32, 16, 3, 3),
        "cells.5.downsample.1.weight": (32, 16, 1, 1),
        "cells.16.layers.0.op.2.running_mean": (64,),
        "lastact.0.weight": (64,),
        "classifier.weight": (10, 64),
    }
    assert {name: shapes.get(name) for name in want} == want


def test_a_cell_of_nasbench201_adds_up_its_paths() -> None:
    """Of identities alone there are four paths from input to output: direct, by 1, by 2, by 1 and 2."""
    cell = nasbench201.Cell(Nasbench201Architecture(ops=("skip_connect",) * 6), 2)
    x = torch.rand(1, 2, 4, 4)
    assert torch.allclose(cell(x), 4 * x)
    direct = nasbench201.Cell(Nasbench201Architecture(ops=(*("none",) * 3, "skip_connect", "none", "none")), 2)
    assert torch.equal(direct(x), x)


def test_a_cell_of_nasbench101_without_vertices_is_a_projection() -> None:
    cell = nasbench101.Cell(Nasbench101Architecture.parse("1:"), 2, 6).eval()
    x = torch.rand(1, 2, 4, 4)
    assert torch.equal(cell(x), cell.projections["1"](x))
    assert cell(x).shape == (1, 6, 4, 4)
