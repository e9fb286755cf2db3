"""A step that is replayed trains as the step itself; what cannot be recorded is trained step by step."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bananas_core.api.recipe import Recipe
from bananas_trainer.data import load, split
from bananas_trainer.genotypes import NAMED
from bananas_trainer.stepping import LEAST_REPLAYS, WARM_UP_STEPS, Replayed, Step, record, steps_of
from bananas_trainer.train import Batches, train_step
from bananas_trainer.training import Part, State, Task, begin_epoch, start

CPU = torch.device("cpu")
STEPS = WARM_UP_STEPS + 4
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is visible")


@pytest.fixture
def task(quick_recipe: Callable[..., Recipe], npz: Callable[..., Path], tmp_path: Path) -> Callable[..., Task]:
    """A training with crop, flip, cutout and drop path, on batches of 8 of 96 images."""

    def make(device: torch.device = CPU, **changes: object) -> Task:
        npz(side=16, channels=3)
        fields = {"dataset": "npz", "file": "data.npz", "batch_size": 8, "validation_fraction": 0.25, "cutout": 4}
        recipe = quick_recipe(**{**fields, **changes})
        return Task(NAMED["BANANAS"], recipe, load(recipe, tmp_path), 0, 1, device)

    return make


class Training:
    """The steps of one epoch."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.batches = Batches(task, split(task.data.y_train, task.recipe.validation_fraction))
        self.state: State = start(task)
        self.part: Part = begin_epoch(task, self.state)
        self.order = self.batches.order(self.part.generator)
        self.state.network.train()

    def step(self, chosen: Tensor) -> Tensor:
        return train_step(self.task, self.state, self.part, self.batches, chosen)

    def replayed(self, record: Callable[[Step, Tensor], Step]) -> Replayed:
        return Replayed(self.state, self.part, self.task.recipe.batch_size, self.step, record)

    def run(self, step: Step) -> list[Tensor]:
        """The losses of some steps, and all weights after them."""
        losses = [step(chosen).clone() for chosen in self.order[:STEPS]]
        return [*losses, *(p.detach().clone() for p in self.state.network.parameters())]


def test_after_the_first_steps_a_recorded_one_is_run_on_each_batch(task: Callable[..., Task]) -> None:
    training, recordings, replays = Training(task()), [], []

    def recording(step: Step, chosen: Tensor) -> Step:
        """As a graph: it runs on one tensor of numbers, into which those of each batch are copied."""
        recordings.append(chosen)
        place = chosen.clone()

        def replay(chosen: Tensor) -> Tensor:
            replays.append(chosen)
            place.copy_(chosen)
            return step(place)

        return replay

    found = training.run(training.replayed(recording))
    plain = Training(task())
    assert all(map(torch.equal, found, plain.run(plain.step)))
    assert len(recordings) == 1
    assert len(replays) == STEPS - WARM_UP_STEPS


def test_a_batch_of_another_size_is_never_replayed(task: Callable[..., Task]) -> None:
    training = Training(task())
    sizes: list[int] = []

    def recording(step: Step, _chosen: Tensor) -> Step:
        def replay(chosen: Tensor) -> Tensor:
            sizes.append(len(chosen))
            return step(chosen)

        return replay

    step = training.replayed(recording)
    for chosen in [*training.order[:STEPS], training.order[STEPS][:5]]:
        step(chosen)
    assert set(sizes) == {8}


def test_a_step_that_cannot_be_recorded_is_trained_as_it_is_and_said(
    task: Callable[..., Task], caplog: pytest.LogCaptureFixture
) -> None:
    """Even where the recording had drawn random numbers and left gradients behind."""
    training, tries = Training(task()), []

    def recording(_step: Step, _chosen: Tensor) -> Step:
        tries.append(1)
        torch.rand(3, generator=training.part.generator)
        for parameter in training.state.network.parameters():
            parameter.grad = torch.ones_like(parameter)
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    found = training.run(training.replayed(recording))
    plain = Training(task())
    assert all(map(torch.equal, found, plain.run(plain.step)))
    assert tries == [1]
    [warning] = caplog.records
    assert "operation not permitted" in warning.fields["message"]


def test_nothing_is_recorded_on_a_cpu(task: Callable[..., Task]) -> None:
    training = Training(task())
    step = training.step
    assert steps_of(training.task, training.state, training.part, 1000, step) is step


@needs_gpu
def test_few_steps_are_not_recorded(task: Callable[..., Task]) -> None:
    training = Training(task(torch.device("cuda")))
    step, enough = training.step, WARM_UP_STEPS + LEAST_REPLAYS
    assert steps_of(training.task, training.state, training.part, enough - 1, step) is step
    assert isinstance(steps_of(training.task, training.state, training.part, enough, step), Replayed)


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_graph_trains_as_the_steps_that_it_replaces(
    task: Callable[..., Task], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    graphed, plain = (Training(task(torch.device("cuda"), precision=precision)) for _ in range(2))

    def recording(step: Step, chosen: Tensor) -> Step:
        return record(graphed.part.generator, step, chosen)

    found, want = graphed.run(graphed.replayed(recording)), plain.run(plain.step)
    for a, b in zip(found, want, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-2 if precision == "bfloat16" else 1e-4, atol=1e-4)
    assert torch.equal(graphed.part.generator.get_state(), plain.part.generator.get_state())
