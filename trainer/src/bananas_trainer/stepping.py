"""How the steps of an epoch are run: on the CPU as they are, on a GPU replayed from a CUDA graph after the first ones.

A step of a DARTS network is some thousand small kernels, and starting them one by one takes longer than they run. The graph
holds the very step that runs without it, its random numbers included, so nothing else of the training knows. Learning rate
and drop path change from epoch to epoch and are constants in the graph: it is recorded anew in each. Called by `train.py`
and by the benchmark.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Generator, Tensor

from bananas_trainer.log import warn
from bananas_trainer.training import Part, State, Task

WARM_UP_STEPS: Final = 3
"""Steps as they are before the recording, as torch's notes on CUDA graphs want it; they train like any other."""
LEAST_REPLAYS: Final = 10
"""Steps of an epoch that make a recording worth its time, which is that of about one step."""

Step = Callable[[Tensor], Tensor]
"""Trains on the images of these numbers (B,); gives the sum of their losses."""
Record = Callable[[Step, Tensor], Step]
"""Makes of a step and the numbers of a batch a step that does the same for any other batch of that size, without training."""


def steps_of(task: Task, state: State, part: Part, left: int, step: Step) -> Step:
    """The step for the `left` batches that are left of an epoch."""
    if task.device.type != "cuda" or left < WARM_UP_STEPS + LEAST_REPLAYS:
        return step
    return Replayed(
        state, part, task.recipe.batch_size, step, lambda what, chosen: record(part.generator, what, chosen)
    )


class Replayed:
    """Runs the first steps as they are, then records one, and replays it for every further batch of the same size."""

    def __init__(self, state: State, part: Part, size: int, step: Step, record: Record) -> None:
        self._state = state
        self._part = part
        self._size = size
        self._step = step
        self._record = record
        self._replay: Step | None = None
        self._to_warm_up = WARM_UP_STEPS

    def __call__(self, chosen: Tensor) -> Tensor:
        """A step."""
        if len(chosen) != self._size:
            return self._step(chosen)
        if self._to_warm_up:
            self._to_warm_up -= 1
            return self._step(chosen)
        if self._replay is None:
            self._replay = self._recorded(chosen)
        return self._replay(chosen)

    def _recorded(self, chosen: Tensor) -> Step:
        before = self._part.generator.get_state()
        try:
            return self._record(self._step, chosen)
        except RuntimeError as error:  # torch has no type for a driver or an operator that cannot be recorded
            reason = str(error).partition("\n")[0]
        # Nothing ran while it was recorded, but gradients and generator are left half way.
        for parameter in self._state.network.parameters():
            parameter.grad = None
        self._part.generator = Generator(self._part.generator.device)
        self._part.generator.set_state(before)
        warn(f"the steps of this epoch run one by one, more slowly, as no CUDA graph could be recorded ({reason})")
        return self._step


def record(generator: Generator, step: Step, chosen: Tensor) -> Step:
    """A CUDA graph of the step, whose replays draw from the generator what the step would have drawn.

    Raises:
        RuntimeError: where it cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    place = chosen.clone()
    with torch.cuda.graph(graph):  # frees the memory that the steps before it used
        loss = step(place)

    def replay(chosen: Tensor) -> Tensor:
        place.copy_(chosen)
        graph.replay()
        return loss

    return replay
