"""What happens when a network exceeds the memory of its device: one retry in two halves, then an error that says what fits.

Called by `train.train`; the memory of the container is the kernel's and the operator's business. The step that is tried runs
as it is; a training on a GPU records it as a CUDA graph, which takes some more, and runs it as it is where that does not fit.
"""

import gc
from collections.abc import Callable
from typing import Final

import torch

from bananas_trainer.errors import OutOfDeviceMemory
from bananas_trainer.log import warn
from bananas_trainer.training import Result, Task

SMALLEST_BATCH: Final = 2  # images; batch norm needs two
_CPU_TEXTS: Final = (
    "can't allocate memory",
    "could not create a primitive",  # oneDNN, whose networks we build from operations that it has
    "could not create a memory object",
    "could not execute a primitive",
)


TryStep = Callable[[int], None]
"""A step with batches of that many images, as it is trained without a CUDA graph."""


def in_two_pieces(task: Task, run: Callable[[int], Result], try_step: TryStep) -> Result:
    """Runs with whole batches and, where these do not fit and the recipe allows it, once more with batches in two halves.

    Raises:
        OutOfDeviceMemory: with the batch that would fit.
    """
    recipe, pieces = task.recipe, 1
    while True:
        try:
            return run(pieces)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_about_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        # Out of the except clause, which holds on to every tensor of the failed step.
        _release(task)
        if pieces == 1 and recipe.halve_batch and recipe.batch_size >= 2 * SMALLEST_BATCH:
            pieces = 2
            warn(
                f"recipe.batchSize {recipe.batch_size} does not fit the memory of {task.device}; going on in two halves whose "
                f"gradients are added up, so batch norms see {recipe.batch_size // 2} images"
            )
            continue
        raise OutOfDeviceMemory(
            f"recipe.batchSize {recipe.batch_size} with channels {recipe.channels} and layers {recipe.layers} does not fit "
            f"the memory of {task.device}; {_advice(task, try_step, recipe.batch_size // pieces // 2)} ({reason})"
        )


def is_about_memory(error: BaseException) -> bool:
    """torch has no type of its own for the CPU's allocator and for oneDNN's, only these texts."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in _CPU_TEXTS)


def largest_batch_that_fits(task: Task, try_step: TryStep, largest: int) -> int | None:
    """Of `largest` and its halves, half of these and so on, found by trying one step each; None where none fits."""
    size = largest
    while size >= SMALLEST_BATCH:
        try:
            try_step(size)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_about_memory(error):
                raise
        else:
            return size
        _release(task)
        size //= 2
    return None


def _advice(task: Task, try_step: TryStep, largest: int) -> str:
    fits = largest_batch_that_fits(task, try_step, largest)
    _release(task)
    if fits is None:
        return f"not even {SMALLEST_BATCH} images would fit: want fewer recipe.channels or recipe.layers"
    graph = ", though perhaps without a CUDA graph, so more slowly" if task.device.type == "cuda" else ""
    return f"recipe.batchSize {fits} would fit{graph}"


def _release(task: Task) -> None:
    gc.collect()
    if task.device.type == "cuda":
        torch.cuda.empty_cache()
