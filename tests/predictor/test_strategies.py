"""The strategies of the paper against the rules of the original's code, and the lockstep runs against `Search`."""

import asyncio
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bananas_core.api.search import Strategy, StrategyName
from bananas_core.spaces import Space
from bananas_predictor import loop, paper_network
from bananas_predictor.evaluation.table import TableEvaluation
from bananas_predictor.lockstep import Trajectory, run_together
from bananas_predictor.paper_network import PaperJob
from bananas_predictor.search import Proposal, Search, TrialRecord
from bananas_predictor.spaces import SPACES, Cells
from bananas_predictor.strategies import STRATEGIES, strategy_of
from bananas_tables import Table, load_table

every_strategy = pytest.mark.parametrize("name", STRATEGIES)


def lockstep(table: Table, settings: Strategy, seeds: range, trials: int) -> list[Trajectory]:
    space = SPACES[table.space]

    def look_up(cells: Cells, _: Any) -> NDArray[np.float64]:
        return np.array([table.look_up(a).validation_accuracy for a in space.unpack(cells)])

    return run_together(space, lambda: strategy_of(settings), look_up, seeds, trials)


@every_strategy
@pytest.mark.parametrize("space", ["nasbench101", "nasbench201"])
def test_runs_side_by_side_try_what_the_loop_tries_alone(space: Space, name: StrategyName) -> None:
    table, settings = load_table(space, None), Strategy(name=name, initial_trials=5, ensemble_size=2)
    together = lockstep(table, settings, range(3, 5), 16)
    for seed, trajectory in zip((3, 4), together, strict=True):
        evaluation = TableEvaluation(table, settings, seed, 16, lambda _: None)
        asyncio.run(loop.run(evaluation))
        want = SPACES[space].pack([trial.architecture for trial in evaluation.evaluated])
        assert (trajectory.cells == want).all()
        assert trajectory.accuracies == pytest.approx([t.entry.validation_accuracy for t in evaluation.evaluated])


@pytest.mark.slow
@every_strategy
@pytest.mark.parametrize("space", list(SPACES))
def test_a_cluster_is_never_asked_for_an_architecture_twice_and_out_of_order_results_do_no_harm(
    space: Space, name: StrategyName
) -> None:
    search = Search(space, Strategy(name=name, initial_trials=6, ensemble_size=2), 0)
    rng = np.random.default_rng(0)
    flying: list[Proposal] = []
    hashes: list[str] = []
    while len(hashes) < 24:
        new = search.ask(4 - len(flying))
        assert new or flying  # never stuck with nothing in flight
        flying += new
        hashes += [p.architecture.hash() for p in new]
        ended = flying.pop(int(rng.integers(len(flying))))
        if rng.random() < 0.2:
            search.tell([TrialRecord(ended.index, ended.architecture, "Failed", None, ended.origin)])
        else:
            accuracy = int(ended.architecture.hash()[:4], 16) / 0xFFFF
            search.tell([TrialRecord(ended.index, ended.architecture, "Succeeded", accuracy, ended.origin)])
    assert len(set(hashes)) == len(hashes)


# --- evolution and local search ---


def test_evolution_mutates_one_of_the_29_newest_and_counts_repetitions() -> None:
    search = Search("nasbench201", Strategy(name="evolution"), 1, may_repeat=True)
    proposals = search.ask(10)
    while len(proposals) < 150:
        search.tell([_succeeded(p) for p in proposals[-10:]])
        proposals += search.ask(1)
    for p in proposals[10:]:
        assert p.origin.parent is not None
        assert p.index - 29 <= p.origin.parent < p.index
    assert len({p.architecture.to_text() for p in proposals}) < 150


def test_local_search_tries_neighbours_until_one_is_better_and_starts_anew_at_a_minimum() -> None:
    search = Search("nasbench201", Strategy(name="localSearch"), 0, may_repeat=True)
    proposals, current, starts = search.ask(10), -1, 0
    search.tell(map(_succeeded, proposals))
    while len(proposals) < 120:
        (new,) = search.ask(1)
        if new.origin.parent is None:
            starts += 1
        else:
            group = [p for p in proposals if p.origin.parent is None][-10:]
            later = [p for p in proposals if p.index > group[-1].index]
            want = max(group, key=_accuracy)
            for p in later:
                want = p if _accuracy(p) > _accuracy(want) else want
            current = new.origin.parent
            assert current == want.index
            assert _distance(new, want) == 1
        proposals.append(new)
        search.tell([_succeeded(new)])
    assert starts > 0
    assert starts % 10 == 0 or proposals[-1].origin.parent is None


def _distance(one: Proposal, other: Proposal) -> int:
    cells = SPACES["nasbench201"].pack([one.architecture, other.architecture])
    return int((cells[0] != cells[1]).sum())


def _accuracy(proposal: Proposal) -> float:
    return int(proposal.architecture.hash()[:6], 16) / 0xFFFFFF


def _succeeded(proposal: Proposal) -> TrialRecord:
    return TrialRecord(proposal.index, proposal.architecture, "Succeeded", _accuracy(proposal), proposal.origin)


# --- the paper's network ---


def test_a_batch_of_the_recipe_is_ten_ranks_of_one_draw_and_unseen_by_its_own_hash() -> None:
    search = Search("nasbench101", Strategy(name="bananasPaper"), 0, may_repeat=True)
    search.tell(map(_succeeded, search.ask(10)))
    batch = search.ask(10)
    values = [p.origin.acquisition for p in batch]
    assert None not in values
    assert values == sorted(values, key=lambda value: -(value or 0))
    space = SPACES["nasbench101"]
    assert len(set(space.keys_original(space.pack([p.architecture for p in batch])).tolist())) == 10


def test_the_papers_network_has_4621_weights_on_40_bits_and_the_error_in_percent_as_target() -> None:
    shape = paper_network.sizes(40, paper_network.WIDTH, paper_network.HIDDEN)
    assert paper_network.initial(shape, 1, np.random.default_rng(0)).shape == (1, 4621)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (60, 40), dtype=np.uint8)
    (forecasts,) = paper_network.forecast([PaperJob(bits, np.full(60, 0.93), bits, 3, (1,))])
    assert forecasts.mean() == pytest.approx(0.93, abs=0.005)


def test_the_papers_training_is_that_of_a_plain_loop() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    bits, accuracies = rng.integers(0, 2, (40, 30), dtype=np.uint8), 0.9 + 0.05 * rng.random(40)
    (want,) = paper_network.forecast([PaperJob(bits, accuracies, bits, 1, (7,))])
    again = np.random.default_rng(np.random.SeedSequence((7,)))
    shape = paper_network.sizes(30, 20, 10)
    flat = torch.from_numpy(paper_network.initial(shape, 1, again))
    order = again.random((1, 150, 40), dtype=np.float32).argsort(axis=2)[0]
    linear = []
    for matrix, bias in paper_network.views(flat, shape):
        layer = torch.nn.Linear(*matrix.shape[1:])
        layer.weight.data, layer.bias.data = matrix[0].T.clone(), bias[0, 0].clone()
        linear += [layer, torch.nn.ReLU()]
    network = torch.nn.Sequential(*linear[:-1])
    weights = list(network.parameters())
    moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    steps = 0
    x, y = torch.from_numpy(bits.astype(np.float32)), torch.from_numpy((100 * (1 - accuracies)).astype(np.float32))
    for epoch in order[:3]:
        for rows in (epoch[:32], epoch[32:]):
            network.zero_grad()
            (network(x[rows])[:, 0] - y[rows]).abs().mean().backward()
            steps += 1
            for weight, (first, second) in zip(weights, moments, strict=True):  # Adam with Keras' epsilon
                first.lerp_(weight.grad, 0.1)
                second.lerp_(weight.grad**2, 0.01)
                rate = 0.01 * (1 - 0.99**steps) ** 0.5 / (1 - 0.9**steps)
                weight.data -= rate * first / (second.sqrt() + 1e-7)
    few = torch.from_numpy(paper_network.initial(shape, 1, np.random.default_rng(np.random.SeedSequence((7,)))))
    with torch.no_grad():
        paper_network.train(few, x, y, torch.from_numpy(order[None, :3]).transpose(0, 1).contiguous())
        got = paper_network.forward(paper_network.views(few, shape), x[None])[-1][0, :, 0]
        assert torch.allclose(got, network(x)[:, 0], atol=2e-3)
    assert want.shape == (1, 40)


# --- spaces as the original has them ---


def test_the_originals_sampler_favours_small_cells_and_ours_does_not() -> None:
    space = SPACES["nasbench101"]
    sizes = []
    for cells in (
        space.settle(space.sample_original(2000, np.random.default_rng(0))),
        space.sample(3000, np.random.default_rng(0)),
    ):
        sizes.append(np.mean([len(a.nasbench101.ops) + 2 for a in space.unpack(cells) if a.nasbench101]))
    assert sizes[0] == pytest.approx(4.15, abs=0.1)  # by brute force, before duplicates are dropped
    assert sizes[1] == pytest.approx(6.8, abs=0.1)


def test_a_spelling_settles_to_its_cell_and_has_the_dead_ends_of_a_drawn_one() -> None:
    space = SPACES["nasbench101"]
    drawn = space.sample_original(4000, np.random.default_rng(0))
    cells = space.settle(drawn)
    spelled = space.spell(cells, np.random.default_rng(1))
    assert (space.settle(spelled) == cells).all()
    assert spelled[:, :21].mean() == pytest.approx(drawn[:, :21].mean(), abs=0.01)
    assert (space.keys_original(spelled) == space.keys_original(cells)).all()


def test_four_in_ten_of_the_originals_mutants_keep_the_hash_of_the_parent() -> None:
    space = SPACES["nasbench101"]
    drawn = space.sample_original(4000, np.random.default_rng(0))
    mutants = space.mutate_original(drawn, np.random.default_rng(1))
    assert (space.keys_original(drawn) == space.keys_original(mutants)).mean() == pytest.approx(0.42, abs=0.03)


def test_different_networks_share_the_originals_hash_and_equal_ones_always_do() -> None:
    space = SPACES["nasbench101"]
    cells = space.sample(2000, np.random.default_rng(0))
    by_graph: dict[int, set[int]] = {}
    for graph, paths in zip(space.keys(cells).tolist(), space.keys_original(cells).tolist(), strict=True):
        by_graph.setdefault(graph, set()).add(paths)
    assert all(len(paths) == 1 for paths in by_graph.values())
    assert len(set.union(*by_graph.values())) < len(by_graph)


@pytest.mark.parametrize("space", list(SPACES))
def test_neighbours_are_all_different_and_none_is_the_cell(space: Space) -> None:
    searched = SPACES[space]
    rng = np.random.default_rng(0)
    for spelling in searched.sample_original(20, rng):
        around = searched.neighbours(spelling[None], rng)
        cells = searched.settle(around)
        assert len(searched.unpack(cells)) == len(around) > 0  # all of the space
        assert (cells != searched.settle(spelling[None])).any(axis=tuple(range(1, cells.ndim))).all()


# --- what does not depend on the spelling ---


@pytest.mark.parametrize("space", list(SPACES))
def test_graph_features_and_functions_are_those_of_the_network_not_of_its_spelling(space: Space) -> None:
    searched = SPACES[space]
    rng = np.random.default_rng(0)
    cells = searched.sample(600, rng)
    cells = np.concatenate([cells, searched.mutate(cells, 0.3, rng), searched.mutate(cells, 0.3, rng)])
    keys = searched.keys(cells)
    features, functions = searched.encode(cells, "graph"), searched.functions(cells)
    first = {key: row for row, key in reversed(list(enumerate(keys.tolist())))}
    rows = np.array([first[key] for key in keys.tolist()])
    graph = features.shape[1] - searched.encode(cells[:1], "truncatedPath").shape[1]
    assert np.allclose(features[:, :graph], features[rows, :graph], atol=1e-5)
    assert (functions == functions[rows]).all()


def test_cells_that_compute_the_same_have_one_function_key() -> None:
    space = SPACES["nasbench201"]
    none, skip, conv = 3, 4, 2
    dead_end = np.array([[conv, 0, none, conv, none, none], [1, 2, none, conv, none, none]], dtype=np.int8)
    passed_on = np.array([[skip, none, none, none, conv, none], [none, skip, none, none, none, conv]], dtype=np.int8)
    direct = np.array([[none, none, none, conv, none, none]], dtype=np.int8)
    assert len(set(space.functions(np.concatenate([dead_end, passed_on, direct])).tolist())) == 1
    shared = np.array([[conv, none, skip, none, conv, conv]], dtype=np.int8)  # one node's output, used twice
    twice = np.array([[conv, conv, none, none, conv, conv]], dtype=np.int8)
    assert space.functions(shared) != space.functions(twice)


def test_the_whole_of_nas_bench_201_has_fewer_functions_than_graphs() -> None:
    space = SPACES["nasbench201"]
    cells = (np.arange(5**6)[:, None] // 5 ** np.arange(6) % 5).astype(np.int8)
    keys, functions = np.unique(space.keys(cells)), np.unique(space.functions(cells))
    assert len(keys) == 14_125
    assert 4_900 < len(functions) < 5_500


def test_the_reduction_cell_alone_changes_the_graph_features_of_darts() -> None:
    space = SPACES["darts"]
    cells = space.sample(200, np.random.default_rng(0))
    others = cells.copy()
    others[:, 1] = space.sample(200, np.random.default_rng(1))[:, 1]
    different = (space.encode(cells, "graph") != space.encode(others, "graph")).any(axis=1)
    assert (different == (space.keys(cells) != space.keys(others))).all()
