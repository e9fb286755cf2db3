"""`evaluate` and `export`: checkpoints in the published form load whole or not at all, and none of them runs."""

import errno
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bananas_core.contract import ExitCode
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import Nasbench201Architecture
from bananas_trainer import examining
from bananas_trainer.errors import CheckpointUnusable, DataInvalid, OutOfDeviceMemory
from bananas_trainer.examining import score_checkpoint
from bananas_trainer.genotypes import NAMED
from bananas_trainer.networks.building import Cell, Shape, build
from bananas_trainer.published import network_of, read_weights, write_published
from tests.support.trainer import Processes

SMALL = Shape(channels=2, layers=3, classes=4, image_channels=3, auxiliary=True)
CELL_101 = Nasbench101Architecture.parse("110011:01")
CELL_201 = Nasbench201Architecture.parse("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|")


def published(path: Path, cell: Cell = NAMED["BANANAS"], shape: Shape = SMALL, **save: Any) -> OrderedDict[str, Tensor]:
    """What torch.save(model.state_dict()) leaves, of a network whose batch norms have seen images."""
    torch.manual_seed(0)
    network = build(cell, shape)
    for _ in range(2):
        network(torch.rand(4, shape.image_channels, 32, 32))
    state = OrderedDict((name, tensor.clone()) for name, tensor in network.state_dict().items())
    torch.save(state, path, **save)
    return state


def test_the_published_size_is_1650_tensors_with_the_auxiliary_head_and_1636_without(tmp_path: Path) -> None:
    for auxiliary, want in ((True, 1_650), (False, 1_636)):
        with torch.device("meta"):
            names = build(NAMED["BANANAS"], Shape(36, 20, 10, auxiliary=auxiliary)).state_dict()
        generator = torch.Generator().manual_seed(0)
        state = {name: torch.rand(t.shape, generator=generator).to(t.dtype) for name, t in names.items()}
        assert len(state) == want
        torch.save(state, tmp_path / "bananas.pt")
        network = network_of(NAMED["BANANAS"], read_weights(tmp_path / "bananas.pt"), "BANANAS")
        assert network.auxiliary is auxiliary  # type: ignore[union-attr]
        loaded = network.state_dict()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("save", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("auxiliary", [True, False])
def test_a_published_checkpoint_loads_whole(tmp_path: Path, save: dict[str, Any], auxiliary: bool) -> None:
    shape = Shape(2, 3, 4, auxiliary=auxiliary)
    want = published(tmp_path / "bananas.pt", shape=shape, **save)
    network = network_of(NAMED["BANANAS"], read_weights(tmp_path / "bananas.pt"), "BANANAS")
    got = network.state_dict()
    assert list(got) == list(want)
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_an_old_checkpoint_whose_batch_norms_count_no_batches_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    state = published(path)
    old = OrderedDict((name, t) for name, t in state.items() if not name.endswith("num_batches_tracked"))
    assert len(old) < len(state)
    torch.save(old, path, _use_new_zipfile_serialization=False)
    images = torch.rand(3, 3, 32, 32)
    new = build(NAMED["BANANAS"], SMALL)
    new.load_state_dict(state)
    want = new.eval()(images)[0]
    assert torch.equal(network_of(NAMED["BANANAS"], read_weights(path), "BANANAS").eval()(images)[0], want)


def test_a_state_dict_with_epoch_and_optimiser_around_it_loads(tmp_path: Path) -> None:
    state = published(tmp_path / "plain.pt")
    torch.save({"epoch": 600, "state_dict": state}, tmp_path / "wrapped.pt")
    assert read_weights(tmp_path / "wrapped.pt").tensors.keys() == state.keys()


@pytest.mark.parametrize(("cell", "layers"), [(CELL_101, 6), (CELL_201, 6), (NAMED["DARTS_V2"], 4)])
def test_size_and_depth_are_those_of_the_tensors(tmp_path: Path, cell: Cell, layers: int) -> None:
    state = published(tmp_path / "x.pt", cell, Shape(3, layers, classes=5, image_channels=1))
    network = network_of(cell, read_weights(tmp_path / "x.pt"), "it")
    assert network.state_dict().keys() == state.keys()


def test_a_network_for_large_images_is_known_by_its_stem(tmp_path: Path) -> None:
    with torch.no_grad():
        state = build(NAMED["BANANAS"], Shape(4, 3, 5, stem="imagenet", auxiliary=True)).state_dict()
    torch.save(state, tmp_path / "x.pt")
    network = network_of(NAMED["BANANAS"], read_weights(tmp_path / "x.pt"), "BANANAS")
    assert network.state_dict().keys() == state.keys()


def test_a_checkpoint_of_another_genotype_is_refused_with_the_first_keys_that_differ(tmp_path: Path) -> None:
    published(tmp_path / "x.pt", NAMED["DARTS_V2"])
    with pytest.raises(CheckpointUnusable) as caught:
        network_of(NAMED["BANANAS"], read_weights(tmp_path / "x.pt"), "BANANAS")
    message = str(caught.value)
    assert str(tmp_path / "x.pt") in message
    assert "not a network of BANANAS with 2 channels and 3 layers" in message
    assert "no cells.0._ops.2.op.1.weight" in message or "cells.0._ops." in message
    assert "more" in message
    with pytest.raises(CheckpointUnusable, match="no network of ours"):
        network_of(CELL_201, read_weights(_with(tmp_path, {"a": torch.zeros(1)})), "it")


def _with(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save(state, folder / "other.pt")
    return folder / "other.pt"


def test_a_missing_and_a_surplus_tensor_are_named(tmp_path: Path) -> None:
    state = published(tmp_path / "x.pt")
    del state["cells.1._ops.0.op.1.weight"]
    state["cells.1.extra"] = torch.zeros(1)
    state["classifier.bias"] = torch.zeros(7)
    with pytest.raises(CheckpointUnusable) as caught:
        network_of(NAMED["BANANAS"], read_weights(_with(tmp_path, state)), "BANANAS")
    for want in ("no cells.1._ops.0.op.1.weight", "classifier.bias is (7,), want (4,)", "cells.1.extra has no place"):
        assert want in str(caught.value)


class _Runs:
    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._trace),)


@pytest.mark.parametrize("save", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "before torch 1.6"])
def test_a_checkpoint_that_would_run_code_is_refused_and_does_not(tmp_path: Path, save: dict[str, Any]) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    torch.save({"stem.0.weight": _Runs(trace)}, path, **save)
    with pytest.raises(CheckpointUnusable, match="mkdir, which could run code") as caught:
        read_weights(path)
    assert "weights_only" not in str(caught.value)  # no advice to switch the protection off
    assert not trace.exists()
    path.write_bytes(pickle.dumps(_Runs(trace)))
    with pytest.raises(CheckpointUnusable, match="refused"):
        read_weights(path)
    assert not trace.exists()


def test_a_model_that_was_saved_whole_is_refused(tmp_path: Path) -> None:
    torch.save(build(CELL_201, Shape(1, 3, 2)), tmp_path / "model.pt")
    with pytest.raises(CheckpointUnusable, match="want a plain state_dict"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize("keep", [0, 1, 20, 1000, -1])
@pytest.mark.parametrize("kind", ["zip", "pickle", "safetensors"])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, kind: str, keep: int) -> None:
    path = tmp_path / "x"
    state = published(path, **({"_use_new_zipfile_serialization": False} if kind == "pickle" else {}))
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(dict(state), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointUnusable) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, "text"])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointUnusable, match="want a state_dict"):
        read_weights(tmp_path / "x.pt")


# --- the commands ---


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    """32 x 32 images of 4 classes: class i is bright in quarter i."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, n in (("train", 64), ("test", 32)):
        labels = np.arange(n) % 4
        images = random.integers(0, 60, (n, 3, 32, 32), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = 16 * (label // 2), 16 * (label % 2)
            image[:, row : row + 16, column : column + 16] += 190
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    path = tmp_path / "coloured.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.slow
def test_evaluate_tests_a_published_checkpoint_as_the_network_does(
    processes: Processes, tmp_path: Path, coloured: Path
) -> None:
    state = published(tmp_path / "bananas.pt")
    network = build(NAMED["BANANAS"], SMALL)
    network.load_state_dict(state)
    from bananas_trainer.data import normalisation as of
    from bananas_trainer.data import read

    data = read("npz", coloured)
    with torch.no_grad():
        answers = network.eval()(of(data.x_train)(data.x_test))[0].argmax(1)
    want = float((answers == data.y_test).float().mean())
    command = ["evaluate", "--checkpoint", tmp_path / "bananas.pt", "--genotype", "BANANAS", "--data", coloured]
    code, output = processes.run_command(tmp_path, *command, "--json")
    assert code == 0
    facts = json.loads(output)
    assert facts["accuracy"] == pytest.approx(want)
    assert facts["error_percent"] == pytest.approx(100 * (1 - want))
    assert (facts["images"], facts["genotype"], facts["data_digest"][:7]) == (32, "BANANAS", "sha256:")
    code, output = processes.run_command(tmp_path, *command)
    assert code == 0
    assert "accuracy" in output


def test_ours_can_be_evaluated_and_exported_in_the_published_form(processes: Processes, tmp_path: Path) -> None:
    """On the digits, whose normalisation is not CIFAR's: it travels with our file, and is that of all training images else."""
    out, exported = tmp_path / "out", tmp_path / "bananas.pt"
    small = ["epochs=3", "scoreEpochs=1", "channels=2", "layers=2", "batchSize=64", "auxiliary=false", "cutout=0"]
    small += ["learningRate=0.1", "flip=false", "testAtEnd=true"]
    sets = [part for value in small for part in ("--set", value)]
    code, output = processes.run_command(tmp_path, "train", "--genotype", "DARTS_V2", "--out", out, *sets)
    assert code == 0
    report = json.loads(output.splitlines()[-1])
    test = ["evaluate", "--genotype", "DARTS_V2", "--data", "digits", "--json"]
    code, output = processes.run_command(tmp_path, *test, "--checkpoint", out)
    assert code == 0
    assert json.loads(output)["accuracy"] == pytest.approx(report["testAccuracy"], abs=1e-6)
    assert report["testAccuracy"] != report["validationAccuracy"]
    code, output = processes.run_command(
        tmp_path, "export", "--checkpoint", out, "--genotype", "DARTS_V2", "--out", exported
    )
    assert code == 0
    ours, theirs = load_file(out / "weights.safetensors"), torch.load(exported, weights_only=True)
    assert type(theirs) is OrderedDict
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert ours.keys() == theirs.keys()
    code, output = processes.run_command(tmp_path, *test, "--checkpoint", exported)
    assert json.loads(output)["accuracy"] == pytest.approx(report["testAccuracy"], abs=0.02)
    code, output = processes.run_command(tmp_path, *test[:2], "BANANAS", *test[3:], "--checkpoint", out)
    assert code == ExitCode.CHECKPOINT_UNUSABLE
    assert "not BANANAS" in output


@pytest.mark.parametrize(
    ("arguments", "want_code", "want"),
    [
        (["--genotype", "DARTS_V2"], ExitCode.CHECKPOINT_UNUSABLE, "not a network of DARTS_V2"),
        (["--checkpoint", "/nowhere.pt"], ExitCode.CHECKPOINT_UNUSABLE, "/nowhere.pt"),
        (["--data", "/nowhere"], ExitCode.DATA_MISSING, "/nowhere"),
        (["--data", "digits"], ExitCode.DATA_INVALID, "10 classes, but"),
        (["--genotype", "BANANA"], 2, "DARTS_V1, DARTS_V2, BANANAS"),
    ],
)
def test_what_does_not_fit_is_refused(
    processes: Processes, tmp_path: Path, coloured: Path, arguments: list[str], want_code: int, want: str
) -> None:
    published(tmp_path / "x.pt")
    usual = {"--checkpoint": tmp_path / "x.pt", "--genotype": "BANANAS", "--data": coloured}
    usual |= {arguments[0]: Path(arguments[1]) if arguments[0] == "--checkpoint" else arguments[1]}
    code, output = processes.run_command(tmp_path, "evaluate", *[part for pair in usual.items() for part in pair])
    assert code == want_code
    assert want in output
    assert "Traceback" not in output


def test_images_that_the_network_cannot_halve_are_refused(tmp_path: Path, npz: Callable[..., Path]) -> None:
    published(tmp_path / "x.pt", shape=Shape(2, 4, 4))
    data = npz(side=30, channels=3)
    with pytest.raises(DataInvalid) as caught:
        score_checkpoint(tmp_path / "x.pt", "BANANAS", Architecture.of(NAMED["BANANAS"]), ("npz", data), 8)
    for want in (str(data), str(tmp_path / "x.pt"), "4 layers halve an image 2 times", "30 x 30", "multiples of 4"):
        assert want in str(caught.value)


def test_a_batch_that_does_not_fit_the_memory_is_told_to_be_smaller(
    tmp_path: Path, coloured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The allocator's failure is put in by the test, as in test_memory.py."""

    def too_large(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    published(tmp_path / "x.pt")
    monkeypatch.setattr(examining, "evaluate", too_large)
    with pytest.raises(OutOfDeviceMemory, match=r"--batch 4096: does not fit .* want a smaller --batch") as caught:
        score_checkpoint(tmp_path / "x.pt", "BANANAS", Architecture.of(NAMED["BANANAS"]), ("npz", coloured), 4096)
    assert caught.value.exit_code == ExitCode.OUT_OF_DEVICE_MEMORY


def test_an_export_that_fails_leaves_nothing_beside_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path / "x.pt")
    network = network_of(NAMED["BANANAS"], read_weights(tmp_path / "x.pt"), "BANANAS")
    (tmp_path / "out").mkdir()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointUnusable, match="No space left on device"):
        write_published(tmp_path / "out" / "exported.pt", network)
    assert list((tmp_path / "out").iterdir()) == []
