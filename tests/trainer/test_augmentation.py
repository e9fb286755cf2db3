"""Augmentation: pure functions of images and generator, each checked against what it must leave and may take."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.nn.functional import pad

from bananas_core.api.recipe import Recipe
from bananas_trainer.augmentation import augment, crop, cutout, flip
from bananas_trainer.data import normalisation


def images(b: int = 6, c: int = 2, h: int = 8, w: int = 6) -> Tensor:
    return torch.randint(1, 256, (b, c, h, w), dtype=torch.uint8, generator=Generator().manual_seed(1))


seeds = st.integers(0, 2**32)


@given(seed=seeds, padding=st.integers(1, 4))
def test_a_crop_is_a_window_of_the_image_with_black_around_it(seed: int, padding: int) -> None:
    x = images()
    out = crop(x, padding, Generator().manual_seed(seed))
    padded = pad(x, (padding,) * 4)
    for i in range(len(x)):
        windows = [
            padded[i, :, top : top + 8, left : left + 6]
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
        ]
        assert any(torch.equal(out[i], window) for window in windows)


def test_every_crop_occurs() -> None:
    x = torch.arange(1, 65, dtype=torch.uint8).view(1, 1, 8, 8).expand(2000, 1, 8, 8)
    out = crop(x, 1, Generator().manual_seed(0))
    assert len({tuple(image) for image in out.flatten(1).tolist()}) == 9


@given(seed=seeds)
def test_a_flip_mirrors_an_image_or_leaves_it(seed: int) -> None:
    x = images()
    out = flip(x, Generator().manual_seed(seed))
    assert all(torch.equal(o, i) or torch.equal(o, i.flip(2)) for o, i in zip(out, x, strict=True))


def test_half_of_the_images_are_mirrored() -> None:
    x = images(4000)
    mirrored = (flip(x, Generator().manual_seed(0)) != x).flatten(1).any(1)
    assert 0.46 < float(mirrored.float().mean()) < 0.54


@given(seed=seeds, side=st.integers(1, 7))
def test_cutout_blanks_one_square_that_may_hang_over_the_edge(seed: int, side: int) -> None:
    out = cutout(images().float(), side, Generator().manual_seed(seed))
    for image in out:
        rows, columns = (image == 0).all(0).nonzero(as_tuple=True)
        assert int((image == 0).any(0).sum()) == len(rows)  # all channels alike
        height, width = (int(at.max() - at.min()) + 1 for at in (rows, columns))
        assert len(rows) == height * width
        assert height <= side
        assert width <= side
        inside = rows.min() > 0 and rows.max() < 7 and columns.min() > 0 and columns.max() < 5
        assert not inside or (height, width) == (side, side)


def test_the_same_generator_gives_the_same_images_and_another_others() -> None:
    recipe, x = Recipe(cutout=3, crop_padding=2), images()
    normalise = normalisation(x)
    a, b, c = (augment(x, recipe, normalise, Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_without_augmentation_images_are_only_normalised() -> None:
    x = images()
    recipe, normalise = Recipe(cutout=0, crop_padding=0, flip=False), normalisation(x)
    assert torch.equal(augment(x, recipe, normalise, Generator()), normalise(x))


def test_the_hole_of_a_cutout_is_the_mean_colour() -> None:
    """Cutout comes after normalisation, so 0 is the mean; before it, a hole would be black."""
    x = images(200)
    recipe, normalise = Recipe(cutout=4, crop_padding=0, flip=False), normalisation(x)
    out = augment(x, recipe, normalise, Generator().manual_seed(0))
    changed = out != normalise(x)
    assert changed.flatten(1).any(1).all()
    assert torch.equal(out[changed], torch.zeros_like(out[changed]))
