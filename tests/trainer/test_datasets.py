"""The readers of CIFAR's folders, of folders of images and of JPEG-packed files: what they read, and what they refuse."""

import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bananas_core.api.recipe import Recipe
from bananas_trainer.data import kind_of, load, read
from bananas_trainer.datasets.cifar import CIFAR10, CIFAR100, Layout
from bananas_trainer.datasets.npz import load_npz
from bananas_trainer.datasets.plain_pickle import read_plain_pickle
from bananas_trainer.errors import DataInvalid, DataMissing
from tests.support.images import pack, picture

DataFile = Callable[[str], Path]


def pickled(content: object, protocol: int = 2) -> bytes:
    """As Python 2 would name things: the published files are of that time."""
    return pickle.dumps(content, protocol=protocol).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def batch(layout: Layout, n: int, seed: int = 0) -> dict[bytes, Any]:
    random = np.random.default_rng(seed)
    return {
        b"batch_label": b"a batch",
        layout.labels.encode(): [i % layout.classes for i in range(n)],
        b"data": random.integers(0, 256, (n, 3072), dtype=np.uint8),
        b"filenames": [b"some.png"] * n,
    }


@pytest.fixture(params=[CIFAR10, CIFAR100], ids=["cifar10", "cifar100"])
def cifar(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Layout, Path]:
    """A small folder in the published layout."""
    layout: Layout = request.param
    folder = tmp_path / layout.folder
    folder.mkdir()
    for seed, name in enumerate((*layout.train, *layout.test)):
        (folder / name).write_bytes(pickled(batch(layout, 100, seed)))
    return layout, folder


def kind(layout: Layout) -> Any:
    return "cifar10" if layout is CIFAR10 else "cifar100"


def test_a_folder_of_cifar_is_read_in_the_order_of_its_batches(cifar: tuple[Layout, Path]) -> None:
    layout, folder = cifar
    data = read(kind(layout), folder)
    want = np.concatenate([batch(layout, 100, seed)[b"data"] for seed in range(len(layout.train))])
    assert np.array_equal(data.x_train.numpy().reshape(len(want), -1), want)
    assert data.image_shape == (3, 32, 32)
    assert data.y_train[:3].tolist() == [0, 1, 2]
    assert (len(data.x_test), data.classes) == (100, layout.classes)
    assert torch.equal(read(kind(layout), folder.parent).x_train, data.x_train)  # as torchvision's root


def test_a_folder_of_cifar_is_known_from_its_files(cifar: tuple[Layout, Path]) -> None:
    layout, folder = cifar
    assert kind_of(folder) == kind_of(folder.parent) == kind(layout)


def test_a_recipe_names_the_folder_on_the_data_volume(cifar: tuple[Layout, Path]) -> None:
    layout, folder = cifar
    data = load(Recipe(dataset=kind(layout), file=folder.name), folder.parent)
    assert data.digest.startswith("sha256:")
    (folder / layout.test[0]).write_bytes(pickled(batch(layout, 100, 99)))
    assert load(Recipe(dataset=kind(layout), file=folder.name), folder.parent).digest != data.digest


def test_images_at_newer_protocols_are_read_too(tmp_path: Path) -> None:
    for protocol in (2, 3, 4):
        path = tmp_path / str(protocol)
        path.write_bytes(pickle.dumps(batch(CIFAR10, 3), protocol=protocol))
        assert read_plain_pickle(path)["data"].shape == (3, 3072)


def test_a_missing_batch_is_named(cifar: tuple[Layout, Path]) -> None:
    layout, folder = cifar
    (folder / layout.train[-1]).unlink()
    with pytest.raises(DataMissing, match=layout.train[-1]):
        read(kind(layout), folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="absent"):
        read("cifar10", tmp_path / "absent")


WRONG: list[tuple[Callable[[dict[bytes, Any]], object], str]] = [
    (lambda b: b.pop(b"data"), "no data in it"),
    (lambda b: b.update({b"data": np.zeros((100, 3071), np.uint8)}), "data has shape (100, 3071); want (images, 3072)"),
    (lambda b: b.update({b"data": np.zeros((100, 3072), np.float32)}), "want bytes"),
    (lambda b: b.update({b"data": [1, 2]}), "data has shape list"),
    (lambda b: b.update({b"labels": [0] * 99}), "no list of 100 labels"),
    (lambda b: b.update({b"labels": [10] * 100}), "labels has 10; want numbers from 0 to 9"),
    (lambda b: b.update({b"labels": [0.5] * 100}), "labels has 0.5"),
]


@pytest.mark.parametrize(("change", "want"), WRONG)
def test_a_batch_that_is_wrong_is_named(
    tmp_path: Path, change: Callable[[dict[bytes, Any]], object], want: str
) -> None:
    for seed, name in enumerate((*CIFAR10.train, *CIFAR10.test)):
        content = batch(CIFAR10, 100, seed)
        if name == "data_batch_3":
            change(content)
        (tmp_path / name).write_bytes(pickled(content))
    with pytest.raises(DataInvalid) as caught:
        read("cifar10", tmp_path)
    assert str(tmp_path / "data_batch_3") in str(caught.value)
    assert want in str(caught.value)


def test_a_cifar_of_too_few_classes_is_refused(tmp_path: Path) -> None:
    for name in (*CIFAR10.train, *CIFAR10.test):
        (tmp_path / name).write_bytes(pickled({**batch(CIFAR10, 9), b"labels": list(range(9))}))
    with pytest.raises(DataInvalid, match="images of 9 classes"):
        read("cifar10", tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 1000, -1])
def test_a_truncated_batch_is_refused(cifar: tuple[Layout, Path], keep: int) -> None:
    layout, folder = cifar
    path = folder / layout.train[0]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataInvalid, match="truncated or corrupt") as caught:
        read(kind(layout), folder)
    assert str(path) in str(caught.value)


class _Runs:
    """What it would run leaves a trace."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_batch_that_would_run_code_is_refused_and_does_not(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    for function, arguments in ((os.mkdir, (str(trace),)), (subprocess.call, (["mkdir", str(trace)],)), (exec, ("",))):
        path = tmp_path / "data_batch_1"
        path.write_bytes(pickle.dumps({b"data": _Runs(function, *arguments)}, protocol=protocol))
        with pytest.raises(DataInvalid, match="could run code") as caught:
            read_plain_pickle(path)
        assert str(path) in str(caught.value)
        assert not trace.exists()


def test_nothing_of_numpy_is_called_but_what_the_files_need(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": _Runs(np.fromfile, str(tmp_path / "secret"))}, protocol=2))
    with pytest.raises(DataInvalid, match="fromfile"):
        read_plain_pickle(path)


# --- folders of images ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of 6 x 4 pixels: cats are red in train, dogs green; the test images are blue."""
    for part, name, colour in (
        ("train", "cat", (255, 0, 0)),
        ("train", "dog", (0, 255, 0)),
        ("test", "cat", (0, 0, 255)),
        ("test", "dog", (0, 0, 255)),
    ):
        (tmp_path / part / name).mkdir(parents=True)
        for n in range(3):
            picture(colour).save(tmp_path / part / name / f"{n}.png")
    return tmp_path


def test_a_folder_of_images_is_read_with_classes_in_the_order_of_their_names(folder: Path) -> None:
    (folder / "train" / "cat" / "README.txt").write_text("no image")
    assert kind_of(folder) == "folder"
    data = read("folder", folder)
    assert data.y_train.tolist() == data.y_test.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.image_shape == (3, 4, 6)
    assert data.x_train[:, :, 0, 0].tolist() == [[255, 0, 0]] * 3 + [[0, 255, 0]] * 3
    assert torch.equal(load(Recipe(dataset="folder", file="."), folder).x_train, data.x_train)


def test_grey_images_have_one_channel_unless_one_is_coloured(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        picture(7).save(path)
    assert read("folder", folder).image_shape == (1, 4, 6)
    picture((1, 2, 3)).save(folder / "test" / "dog" / "0.png")
    data = read("folder", folder)
    assert data.image_shape == (3, 4, 6)
    assert data.x_train[0, :, 0, 0].tolist() == [7, 7, 7]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:45])


FAULTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("train/dog/1.png", lambda path: picture((0, 0, 0), (6, 5)).save(path), "6 x 5 pixels, but"),
    ("train/dog/1.png", _truncate, "cannot be decoded"),
    ("train/dog/1.png", lambda path: path.write_bytes(b""), "cannot be decoded"),
    ("train/dog", shutil.rmtree, "1 folders of classes"),
    ("test/emu", Path.mkdir, "a class that is not in train"),
    ("train/emu", Path.mkdir, "no image in it"),
    ("test", shutil.rmtree, "no such folder"),
    ("train", shutil.rmtree, "no such folder"),
]


@pytest.mark.parametrize(("name", "break_it", "want"), FAULTS)
def test_a_folder_that_is_wrong_is_refused_with_the_file(
    folder: Path, name: str, break_it: Callable[[Path], object], want: str
) -> None:
    break_it(folder / name)
    with pytest.raises((DataInvalid, DataMissing), match=want) as caught:
        read("folder", folder)
    assert str(folder / name.removesuffix("/dog")) in str(caught.value)


def test_a_folder_of_something_else_is_refused_with_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="cifar-10-batches-py"):
        kind_of(tmp_path)


# --- JPEG-packed files ---


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """12 training and 6 test images of one colour each, of 3 classes."""
    folder = tmp_path / "volume"
    folder.mkdir()
    return pack(folder / "packed.npz")


def caches(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*.decoded.npz")]


def test_a_packed_file_is_decoded_once_into_a_file_beside_it(packed: Path) -> None:
    data = load_npz(packed)
    assert (len(data.x_train), len(data.x_test), data.image_shape, data.classes) == (12, 6, (3, 8, 8), 3)
    red = torch.cat([data.x_train, data.x_test])[:, 0].float().mean((1, 2))
    assert (red - 10 * torch.arange(18)).abs().max() < 3
    (name,) = caches(packed.parent)
    with np.load(packed.parent / name) as file:
        changed = file["images"] // 2
    np.savez(packed.parent / name.removesuffix(".npz"), images=changed)
    assert np.array_equal(load_npz(packed).x_train.numpy(), changed[:12])  # so the second reading took the cache
    assert load_npz(packed).digest == data.digest


def test_where_the_volume_is_read_only_the_cache_is_the_attempts(packed: Path, tmp_path: Path) -> None:
    """A directory stands where the file would be, which holds up root, too."""
    first = load_npz(packed)
    (name,) = caches(packed.parent)
    (packed.parent / name).unlink()
    (packed.parent / name).mkdir()
    cache = tmp_path / "cache"
    cache.mkdir()
    assert torch.equal(load_npz(packed, cache).x_train, first.x_train)
    assert caches(cache) == [name]
    assert torch.equal(load_npz(packed).x_test, first.x_test)  # with no cache directory in memory


def test_a_corrupt_cache_is_passed_over(packed: Path) -> None:
    want = load_npz(packed)
    (name,) = caches(packed.parent)
    content = bytearray((packed.parent / name).read_bytes())
    content[500] ^= 1
    (packed.parent / name).write_bytes(content)
    assert torch.equal(load_npz(packed).x_train, want.x_train)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"offsets": np.arange(18)}, "want 19 whole numbers"),
        ({"offsets": np.zeros(19, int)}, "offsets must grow"),
        ({"offsets": np.arange(19) * 1_000_000}, "offsets must grow"),
        ({"blob": np.zeros(100_000, np.uint8)}, "image 0 cannot be decoded"),
        ({"blob": np.zeros(9, np.float32)}, "want uint8 in one row"),
        ({"y_train": np.full(12, -1)}, "y_train has the label -1"),
        ({"y_test": np.zeros((3, 2), int)}, "y_test has shape (3, 2)"),
        ({"y_test": np.zeros(0, int)}, "y_test has no labels, so there are no images; want at least one"),
        ({"y_train": np.zeros(0, int)}, "y_train has no labels"),
    ],
)
def test_a_packed_file_that_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], want: str) -> None:
    path = pack(tmp_path / "packed.npz", **changes)
    with pytest.raises(DataInvalid) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)
    assert want in str(caught.value)


def test_the_first_images_of_the_packed_cifar_are_those_of_the_lossless_subset(
    data_file: DataFile, tmp_path: Path
) -> None:
    """About 30 dB apart, by the note on the data."""
    with np.load(data_file("cifar10_jpeg_packed.npz")) as file:
        arrays = {name: file[name] for name in file.files}
    with np.load(data_file("cifar10_lossless_subset.npz")) as file:
        want, labels = file["x_train"][:100], file["y_train"][:100]
    offsets, labels_of_all = arrays["offsets"][:111], arrays["y_train"]
    path = tmp_path / "packed.npz"
    blob = arrays["blob"][: offsets[-1]]
    np.savez(path, blob=blob, offsets=offsets, y_train=labels_of_all[:100], y_test=labels_of_all[100:110])
    data = load_npz(path)
    assert data.y_train.tolist() == labels.tolist()
    error = ((data.x_train.numpy().astype(float) - want) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 27
