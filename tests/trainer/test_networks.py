"""The networks against the published ones: sizes, names, and what each operation does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, nn

from bananas_core.spaces.darts import OPERATIONS, DartsArchitecture, Edge, Operation
from bananas_trainer.genotypes import NAMED
from bananas_trainer.networks.counting import Size, measure
from bananas_trainer.networks.darts import AuxiliaryHead, DartsNetwork, DropPath, reductions
from bananas_trainer.networks.operations import make_operation

AUXILIARY = 476_426


@st.composite
def cells(draw: st.DrawFn) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    for node in range(4):
        inputs = draw(st.permutations(range(node + 2)))[:2]
        edges += [Edge(op=draw(st.sampled_from(OPERATIONS)), input=source) for source in inputs]
    return tuple(edges)


architectures = st.builds(DartsArchitecture, normal=cells(), reduce=cells())


def all_edges(op: Operation) -> DartsArchitecture:
    cell = tuple(Edge(op=op, input=e % 2) for e in range(8))
    return DartsArchitecture(normal=cell, reduce=cell)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("DARTS_V1", Size(3_169_414, AUXILIARY, 500_987_520)),
        ("DARTS_V2", Size(3_349_342, AUXILIARY, 528_359_040)),
        ("BANANAS", Size(3_583_054, AUXILIARY, 566_043_264)),
    ],
)
def test_a_published_genotype_has_the_published_size(name: str, want: Size) -> None:
    network = DartsNetwork(NAMED[name], channels=36, layers=20, classes=10, auxiliary=True)
    assert measure(network, (3, 32, 32)) == want


@pytest.mark.parametrize(("name", "want"), [("DARTS_V1", 232_890), ("DARTS_V2", 246_106), ("BANANAS", 316_122)])
def test_a_published_genotype_has_the_published_size_when_it_is_small(name: str, want: int) -> None:
    network = DartsNetwork(NAMED[name], channels=16, layers=8, classes=10)
    assert measure(network, (3, 32, 32)).parameters == want


def test_the_network_for_large_images_has_the_published_size() -> None:
    """DARTS_V2 on ImageNet: 4.7 M parameters (arXiv 1806.09055, table 3).

    Its 574 M multiply-adds cannot be got from the published code: convolutions and linear layers make 530 M, as others have
    found, and with batch norms, ReLU and pooling it is 545 M (quark0/darts, issue 46, where the question stayed open).
    """
    network = DartsNetwork(NAMED["DARTS_V2"], channels=48, layers=14, classes=1000, stem="imagenet")
    size = measure(network, (3, 224, 224))
    assert round(size.parameters / 1e6, 1) == 4.7
    assert round(size.multiply_adds / 1e6) == 530


def test_the_network_for_large_images_can_be_trained() -> None:
    network = DartsNetwork(NAMED["BANANAS"], channels=2, layers=3, classes=5, stem="imagenet", auxiliary=True)
    logits, auxiliary = network(torch.rand(2, 3, 224, 224))
    assert auxiliary is not None
    assert logits.shape == auxiliary.shape == (2, 5)
    (logits.sum() + auxiliary.sum()).backward()
    names = set(network.state_dict())
    assert {"stem0.0.weight", "stem0.3.weight", "stem1.1.weight", "cells.0.preprocess0.conv_1.weight"} <= names


@pytest.mark.parametrize(("auxiliary", "want"), [(True, 1_650), (False, 1_636)])
def test_the_state_dict_has_the_published_number_of_keys(auxiliary: bool, want: int) -> None:
    with torch.device("meta"):
        network = DartsNetwork(NAMED["BANANAS"], channels=36, layers=20, classes=10, auxiliary=auxiliary)
    assert len(network.state_dict()) == want


def test_the_state_dict_has_the_published_names() -> None:
    with torch.device("meta"):
        network = DartsNetwork(NAMED["BANANAS"], channels=36, layers=20, classes=10, auxiliary=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    want = {
        "stem.0.weight": (108, 3, 3, 3),
        "stem.1.running_mean": (108,),
        "cells.0.preprocess0.op.1.weight": (36, 108, 1, 1),
        "cells.0.preprocess1.op.2.bias": (36,),
        "cells.0._ops.0.op.1.weight": (36, 1, 3, 3),
        "cells.0._ops.2.op.6.weight": (36, 36, 1, 1),
        "cells.6._ops.0.op.1.weight": (72, 1, 3, 3),  # the first reduction
        "cells.7.preprocess0.conv_1.weight": (36, 144, 1, 1),  # factorised, after it
        "cells.7.preprocess0.bn.num_batches_tracked": (),
        "auxiliary_head.features.2.weight": (128, 576, 1, 1),
        "auxiliary_head.features.5.weight": (768, 128, 2, 2),
        "auxiliary_head.classifier.weight": (10, 768),
        "classifier.weight": (10, 576),
    }
    assert {name: shapes.get(name) for name in want} == want
    prefixes = {name.split(".")[0] for name in shapes}
    assert prefixes == {"stem", "cells", "auxiliary_head", "classifier"}


def test_a_skip_in_a_reduction_is_factorised() -> None:
    with torch.device("meta"):
        network = DartsNetwork(NAMED["DARTS_V2"], channels=4, layers=3, classes=10)
    names = [name for name, _ in network.cells[1]._ops.named_parameters()]  # type: ignore[union-attr]
    assert names == []  # its skips read from node 2, within the cell, so they keep the size
    with torch.device("meta"):
        network = DartsNetwork(all_edges("skip_connect"), channels=4, layers=3, classes=10)
    names = [name for name, _ in network.cells[1]._ops.named_parameters()]  # type: ignore[union-attr]
    assert names[:4] == ["0.conv_1.weight", "0.conv_2.weight", "0.bn.weight", "0.bn.bias"]


@pytest.mark.parametrize(("layers", "want"), [(20, (6, 13)), (8, (2, 5)), (3, (1, 2)), (2, (0, 1)), (1, (0,))])
def test_reductions_lie_at_one_and_two_thirds_of_the_depth(layers: int, want: tuple[int, ...]) -> None:
    assert reductions(layers) == want


@settings(max_examples=15, deadline=None)
@given(architecture=architectures, layers=st.integers(1, 4), channels=st.integers(1, 3))
def test_every_architecture_can_be_trained(architecture: DartsArchitecture, layers: int, channels: int) -> None:
    network = DartsNetwork(architecture, channels=channels, layers=layers, classes=3, image_channels=1)
    logits, auxiliary = network(torch.rand(2, 1, 8, 8), DropPath(0.5, Generator().manual_seed(0)))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert auxiliary is None
    assert network.classifier.weight.grad is not None


def test_a_cell_of_none_gives_zeros_and_the_network_still_answers() -> None:
    network = DartsNetwork(all_edges("none"), channels=2, layers=3, classes=5).eval()
    logits, _ = network(torch.rand(2, 3, 8, 8))
    assert torch.equal(logits, network.classifier.bias.expand(2, 5))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("op", OPERATIONS)
def test_an_operation_keeps_the_channels_and_strides(op: Operation, stride: int) -> None:
    out = make_operation(op, 4, stride)(torch.rand(2, 4, 8, 8))
    assert out.shape == (2, 4, 8 // stride, 8 // stride)


def test_average_pooling_leaves_the_padding_out() -> None:
    out = make_operation("avg_pool_3x3", 1, 1)(torch.ones(1, 1, 4, 4))
    assert torch.equal(out, torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(("op", "want"), [("sep_conv_5x5", 9), ("dil_conv_3x3", 5), ("dil_conv_5x5", 9)])
def test_a_convolution_sees_as_far_as_its_kernels_reach(op: Operation, want: int) -> None:
    operation = make_operation(op, 1, 1).eval()
    for parameter in operation.parameters():
        nn.init.ones_(parameter)
    plain, marked = torch.ones(1, 1, 15, 15), torch.ones(1, 1, 15, 15)
    marked[0, 0, 7, 7] = 2.0
    rows = (operation(marked) != operation(plain))[0, 0].any(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == want


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    x = torch.ones(10_000, 2, 3, 3)
    out = DropPath(0.25, Generator().manual_seed(0))(x)
    values = out.flatten(1)
    assert torch.equal(values.min(1).values, values.max(1).values)
    assert sorted(set(values[:, 0].tolist())) == pytest.approx([0.0, 4 / 3])
    assert float(out.mean()) == pytest.approx(1.0, abs=0.02)


def test_drop_path_spares_identities() -> None:
    """With nearly everything dropped, a cell of identities computes the same, and one of pooling does not."""
    drop = DropPath(0.99, Generator().manual_seed(0))
    x = torch.rand(4, 3, 8, 8)
    for op, spared in (("skip_connect", True), ("max_pool_3x3", False)):
        cell = DartsNetwork(all_edges(op), channels=2, layers=4, classes=2).eval().cells[0]  # type: ignore[arg-type]
        y = x.repeat(1, 2, 1, 1)
        assert torch.equal(cell(y, y, drop), cell(y, y, None)) is spared


def test_the_auxiliary_head_answers_in_training_only() -> None:
    network = DartsNetwork(NAMED["DARTS_V2"], channels=1, layers=3, classes=10, auxiliary=True)
    assert network(torch.rand(2, 3, 32, 32))[1].shape == (2, 10)
    assert network.eval()(torch.rand(2, 3, 32, 32))[1] is None


def test_the_auxiliary_head_takes_maps_of_eight_pixels() -> None:
    assert AuxiliaryHead(8, 10)(torch.rand(2, 8, 8, 8)).shape == (2, 10)
