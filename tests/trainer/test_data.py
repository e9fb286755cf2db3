"""Data sets: what is read, how it is divided, and that every fault names the file, the array and what would be right."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bananas_core.api.recipe import Recipe
from bananas_trainer.data import CIFAR_MEAN, load, normalisation, split
from bananas_trainer.datasets.npz import load_npz
from bananas_trainer.errors import DataInvalid, DataMissing
from bananas_trainer.train import Batches
from bananas_trainer.training import Task

Npz = Callable[..., Path]


def test_the_digits_are_those_of_scikit_learn() -> None:
    """Facts of sklearn.datasets.load_digits(), whose import would take longer than all tests here."""
    data = load(Recipe(dataset="digits"), None)
    assert (len(data.x_train), len(data.x_test), data.classes, data.image_shape) == (1437, 360, 10, (1, 8, 8))
    labels = torch.cat([data.y_train, data.y_test])
    assert torch.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    sixteenths = torch.cat([data.x_train, data.x_test]).double() * 16 / 255
    assert int(sixteenths.round().sum()) == 561_718
    assert sixteenths[0, 0, 1].round().tolist() == [0, 0, 13, 15, 10, 15, 5, 0]
    assert labels[-8:].tolist() == [8, 8, 4, 9, 0, 8, 9, 8]


def test_an_npz_file_is_read_as_it_is_and_its_digest_is_that_of_the_file(npz: Npz) -> None:
    path = npz(channels=3, side=12)
    data = load_npz(path)
    with np.load(path) as want:
        assert np.array_equal(data.x_train.numpy(), want["x_train"])
        assert np.array_equal(data.y_test.numpy(), want["y_test"])
    assert data.digest == f"sha256:{sha256(path.read_bytes()).hexdigest()}"
    assert (data.classes, data.image_shape) == (4, (3, 12, 12))


def test_the_lossless_subset_of_cifar_is_read(data_file: Callable[[str], Path]) -> None:
    data = load_npz(data_file("cifar10_lossless_subset.npz"))
    assert (len(data.x_train), len(data.x_test), data.classes, data.image_shape) == (4000, 1000, 10, (3, 32, 32))


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"x_test": None}, "no array x_test"),
        ({"x_train": None, "y_train": None}, "no array x_train, y_train"),
        ({"x_train": np.zeros((96, 1, 8, 8), np.float32)}, "x_train has type float32; want uint8"),
        ({"x_train": np.zeros((96, 8, 8), np.uint8)}, "x_train has shape (96, 8, 8); want (images, channels"),
        ({"x_test": np.zeros((0, 1, 8, 8), np.uint8), "y_test": np.zeros(0, int)}, "x_test has shape (0, 1, 8, 8)"),
        ({"x_train": np.zeros((96, 8, 8, 3), np.uint8)}, "channels last"),
        ({"x_test": np.zeros((24, 1, 9, 9), np.uint8)}, "x_test (1, 9, 9); they must be alike"),
        ({"y_train": np.zeros(96)}, "y_train has type float64; want whole numbers"),
        ({"y_train": np.zeros(95, int)}, "y_train has shape (95,); want one label for each of 96"),
        ({"y_train": np.zeros((96, 1), int)}, "y_train has shape (96, 1)"),
        ({"y_train": np.full(96, -1)}, "y_train has the label -1; labels are numbered from 0"),
        ({"y_train": np.where(np.arange(96) == 5, 255, np.arange(96) % 4)}, "the largest 255, and no image of label 4"),
        ({"y_train": np.full(96, 10**15)}, "no image of label 0"),
        ({"y_train": np.zeros(96, int), "y_test": np.zeros(24, int)}, "one label only"),
        ({"y_test": np.full(24, 4)}, "y_test has the label 4, y_train only 0 to 3"),
    ],
)
def test_arrays_that_are_wrong_are_named(npz: Npz, changes: dict[str, object], want: str) -> None:
    path = npz(**changes)
    with pytest.raises(DataInvalid) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)
    assert want in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 30, 500, 5000, -30, -1])
def test_a_truncated_file_is_refused(npz: Npz, keep: int) -> None:
    path = npz()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataInvalid, match="truncated or corrupt"):
        load_npz(path)


def test_a_file_with_a_flipped_bit_is_refused(npz: Npz) -> None:
    path = npz()
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataInvalid, match="truncated or corrupt"):
        load_npz(path)


def test_a_file_that_would_run_code_is_refused(npz: Npz) -> None:
    path = npz(y_train=np.array([object()] * 96, dtype=object))
    with pytest.raises(DataInvalid, match="pickle"):
        load_npz(path)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataInvalid, match="single array"):
        load_npz(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["absent.npz", "data.npz/inside"])
def test_an_absent_file_is_named(npz: Npz, tmp_path: Path, name: str) -> None:
    npz()
    with pytest.raises(DataMissing, match=name):
        load_npz(tmp_path / name)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="directory"):
        load_npz(tmp_path)


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
def test_a_split_takes_the_fraction_of_every_class(counts: list[int], fraction: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    parts = split(labels, fraction, seed)
    both = torch.cat([parts.training, parts.validation]).sort().values
    assert torch.equal(both, torch.arange(len(labels)))
    assert abs(len(parts.validation) - len(labels) * fraction) <= 1
    for label, count in enumerate(counts):
        assert abs(int((labels[parts.validation] == label).sum()) - count * fraction) < 1.001
    again = split(labels, fraction, seed)
    assert torch.equal(parts.validation, again.validation)


def test_another_seed_gives_another_split() -> None:
    labels = torch.arange(200) % 4
    assert not torch.equal(split(labels, 0.5, 0).validation, split(labels, 0.5, 1).validation)


def test_images_of_cifars_size_are_normalised_by_the_published_constants() -> None:
    want = torch.tensor(CIFAR_MEAN)
    assert torch.equal(normalisation(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).mean.flatten(), want)


def test_other_images_are_normalised_by_the_training_part() -> None:
    images = torch.randint(0, 256, (50, 2, 8, 8), dtype=torch.uint8)
    images[:, 1] = 7  # a channel of one colour
    out = normalisation(images)(images)
    assert out.mean((0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert out.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 0], abs=1e-5)


def test_validation_images_are_never_augmented(quick_recipe: Callable[..., Recipe]) -> None:
    """With the strongest augmentation they come out as they are in the file, all of them, in order, every time."""
    from bananas_trainer.genotypes import NAMED

    recipe = quick_recipe(cutout=7, crop_padding=7, flip=True, batch_size=64)
    data = load(recipe, None)
    parts = split(data.y_train, recipe.validation_fraction)
    batches = Batches(Task(NAMED["DARTS_V1"], recipe, data, 0, 1, torch.device("cpu")), parts)
    for _ in range(2):
        seen = list(batches.validation())
        assert torch.equal(torch.cat([images for images, _ in seen]), data.x_train[parts.validation])
        assert torch.equal(torch.cat([labels for _, labels in seen]), data.y_train[parts.validation])


def test_an_epoch_takes_every_training_image_once_in_random_order(quick_recipe: Callable[..., Recipe]) -> None:
    from bananas_trainer.genotypes import NAMED

    recipe = quick_recipe(batch_size=100)
    data = load(recipe, None)
    parts = split(data.y_train, recipe.validation_fraction)
    batches = Batches(Task(NAMED["DARTS_V1"], recipe, data, 0, 1, torch.device("cpu")), parts)
    epochs = [
        torch.cat([images for images, _ in batches.training(torch.Generator().manual_seed(seed))]) for seed in (0, 0, 1)
    ]
    assert torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])
    want = data.x_train[parts.training].flatten(1).tolist()
    assert sorted(epochs[2].flatten(1).tolist()) == sorted(want)
