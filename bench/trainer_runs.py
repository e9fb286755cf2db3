"""The trainings of a benchmark: each done once, however often the command is stopped and started.

Every finished training is a line of a file, by which a later call goes on. The recipe, the architecture, the seed and the data
are the key: whatever changes one of them trains anew.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bananas_core.api.recipe import Recipe
from bananas_core.model import Model
from bananas_trainer.datasets.dataset import Dataset
from bananas_trainer.device import choose_device
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.networks.building import Cell
from bananas_trainer.networks.counting import measure
from bananas_trainer.train import train
from bananas_trainer.training import Task


class Run(Model):
    """A finished training."""

    architecture: str
    recipe: Recipe
    seed: int
    data_digest: str
    test_accuracy: float
    parameters: int
    wall_minutes: float
    """By the clock, on a machine that other programs may use too."""
    cpu_minutes: float
    """Of all threads: half of it is what an idle machine of two cores takes at least."""
    load: float
    """Programs that wanted a processor, averaged over the last minute of the training."""
    curve: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class Runs:
    """Trainings on one data set, kept in a file."""

    file: Path
    data: Dataset

    def train(self, cell: Cell, recipe: Recipe, seed: int) -> Run:
        """The run of that key, trained now where it is not there."""
        for run in self._earlier():
            if (run.architecture, run.recipe, run.seed, run.data_digest) == (
                cell.to_text(),
                recipe,
                seed,
                self.data.digest,
            ):
                return run
        run = self._train(cell, recipe, seed)
        with self.file.open("a") as file:
            file.write(run.model_dump_json(by_alias=True) + "\n")
        return run

    def _earlier(self) -> list[Run]:
        if not self.file.exists():
            return []
        return [Run.model_validate(json.loads(line)) for line in self.file.read_text().splitlines()]

    def _train(self, cell: Cell, recipe: Recipe, seed: int) -> Run:
        def tell(record: EpochRecord) -> None:
            facts = f"loss {record.loss:.3f}  accuracy {record.validation_accuracy or 0:.3f}"
            pace = f"{record.images_per_second:.0f} images/s"
            print(f"\r  epoch {record.epoch}/{recipe.epochs}  {facts}  {pace}   ", end="", flush=True)

        wall, cpu = time.monotonic(), time.process_time()
        result = train(Task(cell, recipe, self.data, seed, 1, choose_device()), None, tell)
        print("\r", end="")
        assert result.test_accuracy is not None  # the recipes of the benchmarks open the test images
        return Run(
            architecture=cell.to_text(),
            recipe=recipe,
            seed=seed,
            data_digest=self.data.digest,
            test_accuracy=result.test_accuracy,
            parameters=measure(result.network, self.data.image_shape).parameters,
            wall_minutes=round((time.monotonic() - wall) / 60, 2),
            cpu_minutes=round((time.process_time() - cpu) / 60, 2),
            load=round(os.getloadavg()[0], 1),
            curve=result.history,
        )


def first(data: Dataset, n: int | None) -> Dataset:
    """The first images of each part, for a quick try; None is all of them."""
    if n is None:
        return data
    digest = f"{data.digest}:{n}"
    return Dataset(
        data.name, data.x_train[:n], data.y_train[:n], data.x_test[:n], data.y_test[:n], data.classes, digest
    )
