"""Augmentation of a batch on the device where it lies. Pure functions of (images, generator); training images only.

Order as in the original: crop (padding is black), flip, normalise, then cutout (the hole is the mean colour).

Shapes: B images, C channels, H x W pixels.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from bananas_core.api.recipe import Recipe


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel, (1, C, 1, 1), of pixels from 0 to 1."""

    mean: Tensor
    standard_deviation: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float (B, C, H, W)."""
        return (images.float() / 255 - self.mean) / self.standard_deviation

    def to(self, device: torch.device) -> "Normalisation":
        """The same on another device."""
        return Normalisation(self.mean.to(device), self.standard_deviation.to(device))


def augment(images: Tensor, recipe: Recipe, normalise: Normalisation, generator: Generator) -> Tensor:
    """uint8 (B, C, H, W) -> float (B, C, H, W), cropped, flipped, normalised and cut as the recipe says."""
    if recipe.crop_padding:
        images = crop(images, recipe.crop_padding, generator)
    if recipe.flip:
        images = flip(images, generator)
    out = normalise(images)
    return cutout(out, recipe.cutout, generator) if recipe.cutout else out


def crop(images: Tensor, padding: int, generator: Generator) -> Tensor:
    """A random window of the size of the image, for each image, out of the image with black around it."""
    b, c, h, w = images.shape
    padded = pad(images, (padding, padding, padding, padding))
    rows = _start(b, 2 * padding, images, generator) + torch.arange(h, device=images.device)  # (B, H)
    columns = _start(b, 2 * padding, images, generator) + torch.arange(w, device=images.device)  # (B, W)
    padded = padded.gather(2, rows[:, None, :, None].expand(b, c, h, w + 2 * padding))
    return padded.gather(3, columns[:, None, None, :].expand(b, c, h, w))


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirrors each image, left to right, with probability one half."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device, generator=generator) < 0.5
    return torch.where(chosen, images.flip(3), images)


def cutout(images: Tensor, side: int, generator: Generator) -> Tensor:
    """Blanks a square around a random pixel of each image; it may hang over the edge (arXiv 1708.04552)."""
    b, _, h, w = images.shape
    hole = [
        (torch.arange(size, device=images.device) - _start(b, size - 1, images, generator) + side // 2)
        for size in (h, w)
    ]
    in_rows, in_columns = ((offset >= 0) & (offset < side) for offset in hole)  # (B, H), (B, W)
    return images.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0.0)


def _start(b: int, largest: int, like: Tensor, generator: Generator) -> Tensor:
    """(B, 1) of whole numbers from 0 to largest."""
    return torch.randint(0, largest + 1, (b, 1), device=like.device, generator=generator)
