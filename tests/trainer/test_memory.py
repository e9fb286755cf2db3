"""What happens when a network exceeds its device: the allocator's failures are put in by the test.

A limit of the address space would be the real thing on the CPU, but what a process has left after a first failure depends on
how its heap happens to lie, and so would the test. `test_pod.py` has the one case that does not depend on it.
"""

import re
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor

from bananas_core.api.recipe import Recipe
from bananas_trainer.data import load, split
from bananas_trainer.errors import OutOfDeviceMemory
from bananas_trainer.genotypes import NAMED
from bananas_trainer.memory import in_two_pieces, is_about_memory, largest_batch_that_fits
from bananas_trainer.networks.darts import DropPath
from bananas_trainer.train import Batches, forward, train, try_step
from bananas_trainer.training import Result, State, Task

RESULT = cast("Result", object())  # of a training that fitted; nobody here looks into it


def task_of(recipe: Recipe) -> Task:
    return Task(NAMED["DARTS_V2"], recipe, load(recipe, None), 0, 1, torch.device("cpu"))


def step_of(task: Task) -> Callable[[int], None]:
    """The step that finds out what fits."""
    return lambda size: try_step(task, split(task.data.y_train, task.recipe.validation_fraction), size)


def too_large_for(batch: int, task: Task) -> Callable[[int], Result]:
    """A training whose batches fit only up to that many images."""

    def run(pieces: int) -> Result:
        if task.recipe.batch_size // pieces > batch:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"
            )
        return RESULT

    return run


def test_a_batch_that_does_not_fit_is_tried_once_more_in_halves(
    quick_recipe: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    task = task_of(quick_recipe(batch_size=512))
    tried: list[int] = []
    run = too_large_for(256, task)
    assert in_two_pieces(task, lambda pieces: (tried.append(pieces), run(pieces))[1], step_of(task)) is RESULT
    assert tried == [1, 2]
    told = str(caplog.records[0].__dict__)
    assert "recipe.batchSize 512 does not fit the memory of cpu; going on in two halves" in told


def test_halves_that_do_not_fit_either_are_told_a_batch_that_does(quick_recipe: Callable[..., Recipe]) -> None:
    task = task_of(quick_recipe(batch_size=512))
    with pytest.raises(OutOfDeviceMemory) as caught:
        in_two_pieces(task, too_large_for(100, task), step_of(task))
    assert "recipe.batchSize 512 with channels 1 and layers 2 does not fit" in str(caught.value)
    assert "recipe.batchSize 128 would fit" in str(caught.value)


def test_a_recipe_that_forbids_halves_is_told_the_half_that_would_fit(quick_recipe: Callable[..., Recipe]) -> None:
    task = task_of(quick_recipe(batch_size=512, halve_batch=False))
    with pytest.raises(OutOfDeviceMemory, match=r"recipe\.batchSize 256 would fit"):
        in_two_pieces(task, too_large_for(256, task), step_of(task))


def test_an_error_of_another_kind_passes_through(quick_recipe: Callable[..., Recipe]) -> None:
    def run(pieces: int) -> Result:
        raise RuntimeError(f"a bug in piece {pieces}")

    task = task_of(quick_recipe())
    with pytest.raises(RuntimeError, match="a bug in piece 1"):
        in_two_pieces(task, run, step_of(task))


@pytest.mark.parametrize(
    ("in_training", "images", "want"), [(True, 20, 16), (False, 40, 16), (True, 1000, 64), (True, 1, None)]
)
def test_the_largest_batch_is_found_by_a_real_step_and_a_real_validation(
    quick_recipe: Callable[..., Recipe],
    monkeypatch: pytest.MonkeyPatch,
    in_training: bool,
    images: int,
    want: int | None,
) -> None:
    """Of `images` there is room, in training or in validation, whose batches are twice as large."""
    sizes: dict[bool, list[int]] = {True: [], False: []}

    def scarce(task: Task, state: State, batch: Tensor, drop: DropPath | None) -> tuple[Tensor, Tensor | None]:
        sizes[state.network.training].append(len(batch))
        if state.network.training is in_training and len(batch) > images:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(task, state, batch, drop)

    monkeypatch.setattr("bananas_trainer.train.forward", scarce)
    task = task_of(quick_recipe())
    assert largest_batch_that_fits(task, step_of(task), 64) == want
    assert sizes[True][0] == 64
    assert sizes[False][-1:] == ([2 * want] if want else [])


def test_the_largest_batch_is_the_first_whose_step_has_room(quick_recipe: Callable[..., Recipe]) -> None:
    task, tried = task_of(quick_recipe()), []

    def step(size: int) -> None:
        tried.append(size)
        if size > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert largest_batch_that_fits(task, step, 128) == 16
    assert tried == [128, 64, 32, 16]


def test_validation_is_halved_with_the_training(quick_recipe: Callable[..., Recipe]) -> None:
    task = task_of(quick_recipe(batch_size=64))
    batches = Batches(task, split(task.data.y_train, task.recipe.validation_fraction))
    for pieces, want in ((1, 128), (2, 64)):
        sizes = [len(labels) for _, labels in batches.validation(pieces)]
        assert sizes[0] == max(sizes) == want
        assert sum(sizes) == 431


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is at hand")
def test_the_batch_that_is_advised_on_a_gpu_trains_there(quick_recipe: Callable[..., Recipe]) -> None:
    """The limit is twice what 64 images need, so 512 and their halves do not fit, and some smaller batch does."""
    fields = {"channels": 64, "layers": 8, "epochs": 1, "score_epochs": 1}

    def task(batch_size: int) -> Task:
        recipe = quick_recipe(batch_size=batch_size, **fields)
        return Task(NAMED["DARTS_V2"], recipe, load(recipe, None), 0, 1, torch.device("cuda"))

    train(task(64), None, lambda _: None)
    limit = 2 * torch.cuda.max_memory_reserved() / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit)
    try:
        with pytest.raises(OutOfDeviceMemory) as caught:
            train(task(512), None, lambda _: None)
        advised = re.search(r"recipe\.batchSize (\d+) would fit", str(caught.value))
        assert advised is not None
        assert train(task(int(advised[1])), None, lambda _: None).validation_accuracy is not None
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_what_is_about_memory_is_told_from_what_is_not() -> None:
    assert is_about_memory(MemoryError())
    assert is_about_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_about_memory(RuntimeError("could not create a primitive"))
    assert not is_about_memory(RuntimeError("shapes do not match"))
