"""Testing a trained network on the test images of a data set. Called by `bananas-trainer evaluate` and after a training.

Shapes: N images, C channels, H x W pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bananas_trainer.augmentation import Normalisation
from bananas_trainer.networks.building import Network


@dataclass(frozen=True)
class Score:
    """How well a network classifies; accuracy from 0 to 1."""

    accuracy: float
    loss: float
    images: int


@torch.no_grad()
def evaluate(network: Network, images: Tensor, labels: Tensor, normalise: Normalisation, batch_size: int) -> Score:
    """Images uint8 (N, C, H, W), never augmented; runs where the network lies."""
    device = next(network.parameters()).device
    normalise = normalise.to(device)
    trained = network.training
    network.eval()
    right, loss = torch.zeros((), device=device), torch.zeros((), device=device)
    for some, truth in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True):
        x = normalise(some.to(device)).contiguous(memory_format=torch.channels_last)
        answer, wanted = network(x)[0].float(), truth.to(device)
        right += (answer.argmax(1) == wanted).sum()
        loss += cross_entropy(answer, wanted, reduction="sum")
    network.train(trained)
    return Score(float(right) / len(labels), float(loss) / len(labels), len(labels))
