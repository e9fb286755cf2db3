"""From files as the authors of NAS-Bench-201 saved them to a table; what would run code is refused."""

import bz2
import copy
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from bananas_core.spaces import parse_architecture
from bananas_predictor.command import app
from bananas_tables import TableEntry, load_table
from bananas_tables.errors import TableError, TableInvalid, TableMissing
from bananas_tables.nasbench201_conversion import convert

SKIPS = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
CONVS = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
Content = dict[str, Any]


def training(text: str, name: str, seed: int, epochs: int, accuracy: float) -> Content:
    """What the authors' ResultsCount.state_dict() gives; the accuracy grows to `accuracy` and shrinks by .5 a set."""
    sets = SETS[name]

    def by_epoch(last: float) -> Content:
        return {f"{s}@{e}": last - i / 2 - (epochs - 1 - e) for i, s in enumerate(sets) for e in range(epochs)}

    return {
        "name": "infer.tiny",
        "net_state_dict": None,
        "train_acc1es": dict.fromkeys(range(epochs), 99.0),
        "train_acc5es": dict.fromkeys(range(epochs), 99.5),
        "train_losses": dict.fromkeys(range(epochs), 0.1),
        "train_times": dict.fromkeys(range(epochs), 2.0),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": 10},
        "params": np.float64(0.344346),
        "flop": 15.6,
        "seed": seed,
        "epochs": epochs,
        "latency": [0.01, 0.02],
        "eval_names": list(sets),
        "eval_acc1es": by_epoch(accuracy),
        "eval_times": {f"{s}@{e}": 0.5 for s in sets for e in range(epochs)},
        "eval_losses": {f"{s}@{e}": 0.3 for s in sets for e in range(epochs)},
    }


def results(index: int, text: str, epochs: int, accuracy: float) -> Content:
    """What ArchResults.state_dict() gives: two seeds, two points apart."""
    return {
        "arch_index": index,
        "arch_str": text,
        "all_results": {
            (name, seed): training(text, name, seed, epochs, accuracy + (seed == 888) * 2)
            for name in SETS
            for seed in (777, 888)
        },
        "dataset_seed": {name: [777, 888] for name in SETS},
        "clear_net_done": True,
    }


def infos(
    index: int, text: str, names: tuple[str, str] = ("less", "full"), kind: type[Content] = OrderedDict
) -> Content:
    accuracy = 80.0 + index
    return kind({names[0]: results(index, text, 12, accuracy - 20), names[1]: results(index, text, 200, accuracy)})


def published(names: tuple[str, str] = ("less", "full"), kind: type[Content] = OrderedDict) -> Content:
    """The content of the one file; the authors keep an architecture's results in an OrderedDict."""
    return {
        "meta_archs": [SKIPS, CONVS],
        "total_archs": 2,
        "arch2infos": OrderedDict((i, infos(i, text, names, kind)) for i, text in enumerate((SKIPS, CONVS))),
        "evaluated_indexes": {0, 1},
    }


def as_zip(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def as_older_file(path: Path, content: Any) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def as_bz2(path: Path, content: Any) -> Path:
    with bz2.open(path, "wb") as file:
        pickle.dump(content, file, protocol=4)
    return path


def as_folder(path: Path, content: Any) -> Path:
    path.mkdir()
    as_bz2(path / "meta.pickle.pbz2", {"meta_archs": content["meta_archs"]})
    for index, one in content["arch2infos"].items():
        as_bz2(path / f"{index:06d}.pickle.pbz2", one)
    return path


@pytest.mark.parametrize("kind", [OrderedDict, dict])
@pytest.mark.parametrize("names", [("less", "full"), ("12", "200")])
@pytest.mark.parametrize("save", [as_zip, as_older_file, as_bz2, as_folder])
def test_a_published_file_becomes_a_table(
    tmp_path: Path, save: Callable[[Path, Any], Path], names: tuple[str, str], kind: type[Content]
) -> None:
    told: list[tuple[int, int]] = []
    source = save(tmp_path / "published", published(names, kind))
    assert convert(source, tmp_path / "t.csv", progress=lambda done, total: told.append((done, total))) == 2
    assert told == [(1, 2), (2, 2)]
    table = load_table("nasbench201", tmp_path / "t.csv")
    assert [a.to_text() for a in table] == [SKIPS, CONVS]
    want = TableEntry(validation_accuracy=0.82, test_accuracy=0.82, seconds=400.5, parameters=344_346)
    assert table.look_up(parse_architecture("nasbench201", CONVS)) == want
    assert sorted(p.name for p in tmp_path.iterdir()) == ["published", "t.csv"]


@pytest.mark.parametrize(
    ("dataset", "epochs", "validation", "test", "seconds"),
    [
        ("cifar10", 12, 0.61, 0.61, 24.5),
        ("cifar100", 200, 0.81, 0.805, 400.5),
        ("ImageNet16-120", 12, 0.61, 0.605, 24.5),
    ],
)
def test_data_set_and_budget_are_chosen(
    tmp_path: Path, dataset: str, epochs: int, validation: float, test: float, seconds: float
) -> None:
    convert(as_zip(tmp_path / "f.pth", published()), tmp_path / "t.csv", dataset, epochs)
    entry = load_table("nasbench201", tmp_path / "t.csv").look_up(parse_architecture("nasbench201", SKIPS))
    assert (entry.validation_accuracy, entry.test_accuracy, entry.seconds) == (validation, test, seconds)


def test_without_times_there_is_no_column_of_seconds(tmp_path: Path) -> None:
    content = published()
    content["arch2infos"][0]["full"]["all_results"]["cifar10-valid", 888]["train_times"] = None
    convert(as_zip(tmp_path / "f.pth", content), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "arch,validation_accuracy,test_accuracy,parameters"


def test_weights_in_the_file_are_passed_over(tmp_path: Path) -> None:
    content = published()
    net = torch.nn.Linear(3, 2)
    for result in content["arch2infos"][0]["full"]["all_results"].values():
        result["net_state_dict"] = net.state_dict()
        result["more"] = [torch.ones(2, dtype=torch.int64), np.ones(3), net.weight, torch.Size([2])]
    for save in (as_zip, as_older_file):
        assert convert(save(tmp_path / f"{save.__name__}.pth", content), tmp_path / "t.csv") == 2


class Runs:
    """Would run a program when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.witness}",)


@pytest.mark.parametrize("save", [as_zip, as_older_file, as_bz2, as_folder])
def test_a_pickle_that_would_run_code_is_refused_and_says_what_it_would_call(
    tmp_path: Path, save: Callable[[Path, Any], Path]
) -> None:
    witness = tmp_path / "witness"
    content = published()
    content["arch2infos"][1]["full"]["all_results"]["cifar10", 777]["latency"] = Runs(witness)
    source = save(tmp_path / "evil", content)
    with pytest.raises(TableInvalid, match=r"refused: it names (posix|os)\.system, which could run code") as caught:
        convert(source, tmp_path / "t.csv")
    assert re.match("(evil|000001.pickle.pbz2): refused", str(caught.value))
    assert not witness.exists()
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch", "os.system.Storage"),
        ("nas_201_api.api_utils", "ArchResults"),
        ("_codecs", "lookup"),
    ],
)
def test_no_other_name_is_known(tmp_path: Path, module: str, name: str) -> None:
    path = tmp_path / "f.pth"
    path.write_bytes(f"c{module}\n{name}\n.".encode())
    with pytest.raises(TableInvalid, match=rf"f\.pth: refused: it names {re.escape(module)}\.{re.escape(name)}"):
        convert(path, tmp_path / "t.csv")


def test_known_names_cannot_be_made_to_do_more(tmp_path: Path) -> None:
    path = tmp_path / "f.pth"
    for text in (b"c_codecs\nencode\n(Vx\nVidna\ntR.", b"cnumpy.core.multiarray\nscalar\n(NVx\ntR."):
        path.write_bytes(text)
        with pytest.raises(TableInvalid, match=r"f\.pth: refused: "):
            convert(path, tmp_path / "t.csv")


def _changed(place: list[Any], value: Any) -> Content:
    content: Any = published()
    at = content
    for key in place[:-1]:
        at = at[key]
    if value is None:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return dict(content)


FULL = ["arch2infos", 1, "full"]
RESULT = [*FULL, "all_results", ("cifar10-valid", 888)]


@pytest.mark.parametrize(
    ("place", "value", "want"),
    [
        (["meta_archs"], None, ["'meta_archs' is missing", "found: total_archs"]),
        (["arch2infos"], [1, 2], ["['arch2infos']", "want a dictionary by index"]),
        (["arch2infos", 7], infos(0, SKIPS), ["['arch2infos'][7]: no such index among 2"]),
        (["arch2infos", 1], 5, ["['arch2infos'][1]: '5'; want a dictionary"]),
        (["arch2infos", 1], infos(1, SKIPS), ["[1]: |skip_connect~0|", "want each architecture once"]),
        (FULL, None, ["['arch2infos'][1]: 'full' or '200' is missing; found: less"]),
        (
            [*FULL, "arch_str"],
            SKIPS.replace("skip_connect", "skip"),
            ["['full']['arch_str']", "unknown operation 'skip'"],
        ),
        (
            [*FULL, "dataset_seed", "cifar10"],
            [],
            ["['dataset_seed']['cifar10']: '[]'; want a list of at least one seed"],
        ),
        ([*FULL, "dataset_seed", "cifar10"], [777, 999], ["['all_results']: ('cifar10', 999) is missing"]),
        ([*RESULT, "eval_acc1es", "x-valid@199"], None, ["['eval_acc1es']: 'x-valid@199' is missing"]),
        (
            [*RESULT, "eval_acc1es", "x-valid@199"],
            float("nan"),
            ["['x-valid@199']: 'nan'; want a percentage from 0 to 100"],
        ),
        ([*RESULT, "eval_acc1es", "x-valid@199"], 100.5, ["['x-valid@199']: '100.5'; want a percentage"]),
        ([*RESULT, "eval_acc1es", "x-valid@199"], "90", ["['x-valid@199']: '90'; want a percentage"]),
        ([*RESULT, "epochs"], 0, ["['epochs']: '0'; want a number of epochs from 1"]),
        ([*RESULT, "params"], -1.0, ["['params']: '-1.0'; want a number of parameters in millions"]),
        ([*RESULT, "train_times", 3], -1.0, ["['train_times'][3]: '-1.0'; want seconds from 0"]),
    ],
)
def test_wrong_content_is_refused_by_file_place_and_value(
    tmp_path: Path, place: list[Any], value: Any, want: list[str]
) -> None:
    path = as_zip(tmp_path / "f.pth", _changed(place, value))
    with pytest.raises(TableInvalid) as caught:
        convert(path, tmp_path / "t.csv")
    assert [part for part in ["f.pth, ", *want] if part not in str(caught.value)] == [], caught.value
    assert [p.name for p in tmp_path.iterdir()] == ["f.pth"]


def test_of_a_folder_the_very_file_is_named(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "folder", _changed([*RESULT, "epochs"], 0))
    with pytest.raises(
        TableInvalid, match=re.escape("000001.pickle.pbz2, ['full']['all_results'][('cifar10-valid', 888)]")
    ):
        convert(folder, tmp_path / "t.csv")


def test_fractions_are_not_taken_for_percent(tmp_path: Path) -> None:
    content = copy.deepcopy(published())
    for one in content["arch2infos"].values():
        for result in one["full"]["all_results"].values():
            result["eval_acc1es"] = {key: value / 100 for key, value in result["eval_acc1es"].items() if value > 0}
    with pytest.raises(TableInvalid, match=r"greatest validation accuracy is 0\.82; want percent"):
        convert(as_zip(tmp_path / "f.pth", content), tmp_path / "t.csv")


@pytest.mark.parametrize("save", [as_zip, as_older_file, as_bz2])
def test_no_cut_gives_a_table_or_a_traceback(tmp_path: Path, save: Callable[[Path, Any], Path]) -> None:
    whole = save(tmp_path / "f.pth", published()).read_bytes()
    for cut in [0, 3, 10, 100, *range(200, len(whole) - 1, len(whole) // 7)]:
        (tmp_path / "f.pth").write_bytes(whole[:cut])
        with pytest.raises(TableError, match=r"f\.pth"):
            convert(tmp_path / "f.pth", tmp_path / "t.csv")
        assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize(
    "content", [b"\x80\x04K\x05.", b"arch,validation_accuracy\n", b"PK\3\4 no zip", b"BZh9 no bz2"]
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.pth").write_bytes(content)
    with pytest.raises(TableInvalid, match=r"f\.pth"):
        convert(tmp_path / "f.pth", tmp_path / "t.csv")


def test_files_folders_and_choices_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "f.pth", published())
    with pytest.raises(TableMissing, match=r"none\.pth: No such file"):
        convert(tmp_path / "none.pth", tmp_path / "t.csv")
    with pytest.raises(TableMissing, match="nowhere is no folder"):
        convert(path, tmp_path / "nowhere" / "t.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableInvalid, match="empty: no architectures"):
        convert(tmp_path / "empty", tmp_path / "t.csv")
    with pytest.raises(TableInvalid, match="data set 'mnist': want one of cifar10, cifar100, ImageNet16-120"):
        convert(path, tmp_path / "t.csv", "mnist")
    with pytest.raises(TableInvalid, match="90 epochs: want one of 12, 200"):
        convert(path, tmp_path / "t.csv", "cifar10", 90)


def test_the_command_makes_a_table_or_says_in_one_line_why_not(tmp_path: Path) -> None:
    path, out = as_zip(tmp_path / "f.pth", published()), tmp_path / "t.csv"
    done = CliRunner().invoke(app, ["convert-nasbench201", str(path), str(out), "--dataset", "cifar100"])
    assert done.exit_code == 0, done.output
    assert "2 architectures, cifar100, 200 epochs" in done.stdout
    assert "a part of the space (15,625)" in done.stdout
    path.write_bytes(b"cos\nsystem\n(Vtrue\ntR.")
    done = CliRunner().invoke(app, ["convert-nasbench201", str(path), str(out)])
    assert done.exit_code == 1
    assert (
        "error: f.pth: refused: it names os.system, which could run code; want the file as it was published"
        in done.stderr
    )
