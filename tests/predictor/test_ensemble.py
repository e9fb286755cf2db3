"""The ensemble: gradients, determinism, features, and whether it ranks real architectures."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bananas_core.api.search import Strategy
from bananas_core.spaces import parse_architecture
from bananas_predictor import networks
from bananas_predictor.ensemble import Ensemble, FitJob, fit_ensembles, schedule
from bananas_predictor.features import MAX_COLUMNS, FeatureMap
from bananas_predictor.forecasts import spearman
from bananas_predictor.search import Search, TrialRecord
from bananas_predictor.spaces import SPACES, Cells, Encoding, SearchSpace

NASBENCH201 = SPACES["nasbench201"]


def fit_ensemble(
    space: SearchSpace,
    encoding: Encoding,
    cells: Cells,
    accuracies: NDArray[np.float64],
    *,
    members: int,
    seed: tuple[int, ...],
) -> Ensemble:
    (fitted,) = fit_ensembles([FitJob.of(space, encoding, cells, accuracies, members, seed)])
    return fitted


@pytest.fixture(scope="module")
def real_table(data_file: Callable[[str], Path]) -> tuple[Cells, NDArray[np.float64], NDArray[np.float64]]:
    """(15625, 6) cells, their validation accuracies and parameters in millions."""
    with data_file("nasbench201_cifar10.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = NASBENCH201.pack([parse_architecture("nasbench201", row["arch"]) for row in rows])
    accuracies = np.array([float(row["c10_val_200ep"]) / 100 for row in rows])
    return cells, accuracies, np.array([float(row["params_m"]) for row in rows])


def _toy(n: int, seed: int = 0) -> tuple[Cells, NDArray[np.float64]]:
    """Cells whose accuracy is what their operations add up to."""
    cells = NASBENCH201.sample(n, np.random.default_rng(seed))
    return cells, 0.5 + np.array([0.0, 0.04, 0.08, -0.06, 0.02])[cells].sum(axis=1)


def test_the_gradients_are_those_of_autograd() -> None:
    rng = np.random.default_rng(1)
    shape = networks.sizes(7, 16, 3)
    parameters = torch.from_numpy(networks.initial(shape, 3, rng))
    x, y = (torch.from_numpy(rng.random(size, dtype=np.float32)) for size in ((3, 10, 7), (3, 10)))
    output = x
    parameters.requires_grad_()
    layers = networks.views(parameters, shape)
    for weights, bias in layers[:-1]:
        output = (output @ weights + bias).relu()
    output = output @ layers[-1][0] + layers[-1][1]
    ((output[..., 0] - y) ** 2).mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layers, gradient = networks.views(parameters, shape), torch.zeros_like(parameters)
        values = networks.forward(layers, x)
        assert torch.allclose(values[-1], output)
        networks.backward(layers, networks.views(gradient, shape), values, (values[-1] - y[..., None]) * 2 / 10)
    assert parameters.grad is not None
    assert torch.allclose(gradient, parameters.grad, atol=1e-6)


def test_every_member_sees_all_results_equally_often_in_an_order_of_its_own() -> None:
    rows = schedule(10, 5, 6, 3, np.random.default_rng(1))  # three epochs
    for member in range(3):
        assert (np.bincount(rows[:, member].flatten(), minlength=10) == 3).all()
    assert (rows[:, 0] != rows[:, 1]).any()


def test_a_fit_is_the_same_whatever_is_fitted_beside_it() -> None:
    jobs = [FitJob.of(NASBENCH201, "graph", *_toy(40, seed), 3, (seed, 40)) for seed in range(4)]
    together = fit_ensembles(jobs)
    others, _ = _toy(50, seed=9)
    for job, fitted in zip(jobs, together, strict=True):
        (alone,) = fit_ensembles([job])
        assert np.allclose(alone.predict(others), fitted.predict(others), atol=1e-4)


@pytest.mark.parametrize("encoding", ["path", "adjacency", "graph"])
def test_it_learns_a_simple_rule(encoding: Encoding) -> None:
    cells, accuracies = _toy(150)
    others, want = _toy(300, seed=1)
    forecasts = fit_ensemble(NASBENCH201, encoding, cells, accuracies, members=5, seed=(0, 150)).predict(others)
    assert forecasts.shape == (5, 300)
    correlation = spearman(forecasts.mean(axis=0), want)
    assert correlation is not None
    assert correlation > 0.85
    assert np.abs(forecasts.mean(axis=0) - want).mean() < 0.5 * np.abs(want - want.mean()).mean()


def test_members_agree_more_where_there_is_data_than_where_there_is_none() -> None:
    cells, accuracies = _toy(400)
    near = cells[:, 0] == 0
    fitted = fit_ensemble(NASBENCH201, "path", cells[near], accuracies[near], members=5, seed=(0, 1))
    deviation = fitted.predict(cells).std(axis=0)
    assert deviation[~near].mean() > 1.5 * deviation[near].mean()


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("name", SPACES)
def test_few_results_or_equal_ones_are_fitted_all_the_same(name: str, n: int) -> None:
    space = {str(key): value for key, value in SPACES.items()}[name]
    cells = space.sample(n, np.random.default_rng(0))
    forecasts = fit_ensemble(space, "path", cells, np.full(n, 0.5), members=2, seed=(0, n)).predict(cells)
    assert forecasts == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_gives_the_same_forecasts_and_another_seed_others() -> None:
    cells, accuracies = _toy(60)
    one, two, other = (
        fit_ensemble(NASBENCH201, "path", cells, accuracies, members=3, seed=seed).predict(cells)
        for seed in ((1, 60), (1, 60), (2, 60))
    )
    assert (one == two).all()
    assert (one != other).any()


def test_global_generators_are_neither_used_nor_changed() -> None:
    cells, accuracies = _toy(30)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    fit_ensemble(NASBENCH201, "path", cells, accuracies, members=2, seed=(1, 30))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_proposals_are_the_same_whatever_the_number_of_threads() -> None:
    threads = torch.get_num_threads()
    outputs = []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            search = Search("darts", Strategy(initial_trials=40, candidates=200), 3)
            start = search.ask(40)
            search.tell(TrialRecord(p.index, p.architecture, "Succeeded", p.index / 100) for p in start)
            outputs.append(search.ask(4))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert outputs[0] == outputs[1] == outputs[2]


def test_columns_that_one_result_has_are_not_seen_and_the_rest_is_bounded() -> None:
    darts = SPACES["darts"]
    cells = darts.sample(300, np.random.default_rng(0))
    bits = darts.encode(cells, "path").astype(int)
    features = FeatureMap.learn(darts, "path", cells)
    assert len(features.columns) <= MAX_COLUMNS
    assert bits[:, features.columns].sum(axis=0).min() >= 2
    assert (features.of(cells) == bits[:, features.columns]).all()


# --- on the real table ---


def test_it_ranks_real_architectures_better_than_their_size_does(
    real_table: tuple[Cells, NDArray[np.float64], NDArray[np.float64]],
) -> None:
    cells, accuracies, parameters = real_table
    scores, baseline = [], []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(cells))
        train, test = order[:200], order[200:1200]
        fitted = fit_ensemble(NASBENCH201, "path", cells[train], accuracies[train], members=5, seed=(seed, 200))
        scores.append(spearman(fitted.predict(cells[test]).mean(axis=0), accuracies[test]) or 0)
        baseline.append(spearman(np.log(parameters[test]), accuracies[test]) or 0)
    assert np.mean(scores) > np.mean(baseline) + 0.05
    assert np.mean(scores) > 0.8


def test_it_ranks_the_better_half_of_real_architectures_better_than_chance(
    real_table: tuple[Cells, NDArray[np.float64], NDArray[np.float64]],
) -> None:
    cells, accuracies, _ = real_table
    order = np.random.default_rng(0).permutation(len(cells))
    train = order[:100]
    test = order[100:1100][accuracies[order[100:1100]] > np.median(accuracies)]
    fitted = fit_ensemble(NASBENCH201, "path", cells[train], accuracies[train], members=5, seed=(0, 100))
    correlation = spearman(fitted.predict(cells[test]).mean(axis=0), accuracies[test])
    assert correlation is not None
    assert correlation > 0.3


def test_the_predictor_tells_architectures_apart_that_differ_in_the_reduction_cell_only() -> None:
    darts, rng = SPACES["darts"], np.random.default_rng(5)
    cells = darts.sample(150, rng)
    weights = np.array(
        [0, 0, 0, 0, 2, 2, 1, 1]
    )  # of the operations: what is good follows from the reduction cell alone
    accuracies = 0.5 + 0.02 * weights[cells[:, 1, :, 0]].sum(axis=1)
    (ensemble,) = fit_ensembles([FitJob.of(darts, "graph", cells, accuracies, 5, (0,))])
    normal = darts.sample(1, rng)[0, 0]
    reductions = darts.sample(200, rng)[:, 1]
    pairs = np.stack([np.broadcast_to(normal, reductions.shape), reductions], axis=1)
    forecasts = ensemble.predict(pairs).mean(axis=0)
    truth = weights[pairs[:, 1, :, 0]].sum(axis=1)
    assert (spearman(forecasts, truth.astype(float)) or 0) > 0.7
