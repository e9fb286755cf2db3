"""Schedules against their formulas, and our SGD against torch's."""

from math import cos, pi

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bananas_core.api.recipe import Recipe
from bananas_trainer.optimiser import Sgd
from bananas_trainer.schedule import drop_path_probability, learning_rate


@given(epochs=st.integers(1, 1000), data=st.data())
def test_the_learning_rate_falls_from_the_recipes_towards_zero(epochs: int, data: st.DataObject) -> None:
    recipe = Recipe(epochs=epochs, learning_rate=0.025)
    epoch = data.draw(st.integers(0, epochs - 1))
    assert learning_rate(recipe, 0) == 0.025
    assert learning_rate(recipe, epoch) == pytest.approx(0.025 * 0.5 * (1 + cos(pi * epoch / epochs)))
    assert learning_rate(recipe, epoch + 1) < learning_rate(recipe, epoch)


def test_drop_path_grows_by_the_same_step_an_epoch() -> None:
    recipe = Recipe(epochs=50, drop_path=0.2)
    assert drop_path_probability(recipe, 0) == 0
    assert drop_path_probability(recipe, 25) == pytest.approx(0.1)
    assert drop_path_probability(recipe, 49) == pytest.approx(0.2 * 49 / 50)


@pytest.mark.slow
@pytest.mark.parametrize("clip", [0.01, 1000.0])
def test_our_sgd_makes_the_steps_of_torchs(clip: float) -> None:
    ours, theirs = (_network() for _ in range(2))
    sgd = Sgd(ours.named_parameters(), momentum=0.9, weight_decay=0.01)
    want = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    generator = torch.Generator().manual_seed(1)
    for rate in (0.1, 0.05, 0.2):
        x = torch.randn(5, 3, generator=generator)
        for network in (ours, theirs):
            network(x).square().sum().backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        want.param_groups[0]["lr"] = rate
        want.step()
        want.zero_grad()
        sgd.step(rate, clip)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-7)
        assert a.grad is None


def test_a_parameter_without_a_gradient_stays() -> None:
    used, unused = nn.Linear(3, 4), nn.Linear(4, 2)
    want = unused.weight.clone()
    sgd = Sgd(nn.Sequential(used, unused).named_parameters(), momentum=0.9, weight_decay=0.01)
    used(torch.ones(1, 3)).sum().backward()
    sgd.step(0.1, 5.0)
    assert torch.equal(unused.weight, want)


def _network() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=generator)
    return network
