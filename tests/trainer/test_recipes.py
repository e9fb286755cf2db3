"""The recipes by name, and the curve that a training leaves."""

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bananas_core.api.recipe import Recipe
from bananas_core.contract import ExitCode
from bananas_trainer.curve import to_csv, to_svg
from bananas_trainer.data import load
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.genotypes import NAMED
from bananas_trainer.published import read_weights
from bananas_trainer.recipes import FINAL, PROXY, SEARCH, recipe_of
from bananas_trainer.train import train
from bananas_trainer.training import Task
from bananas_trainer.weights import trained_of
from tests.support.trainer import Processes

PAPER = {
    "epochs": 50,
    "channels": 36,
    "layers": 20,
    "batch_size": 96,
    "learning_rate": 0.025,
    "momentum": 0.9,
    "weight_decay": 3e-4,
    "gradient_clip": 5.0,
    "auxiliary_weight": 0.4,
    "cutout": 16,
    "drop_path": 0.2,
    "validation_fraction": 0.3,
    "score_epochs": 5,
}


def test_the_search_recipe_is_the_papers_and_the_default() -> None:
    assert {field: SEARCH[field].value for field in PAPER} == PAPER
    assert recipe_of("search") == Recipe()


def test_the_final_recipe_trains_on_all_images_for_600_epochs_and_tests_at_the_end() -> None:
    final = recipe_of("final")
    assert (final.epochs, final.validation_fraction, final.test_at_end) == (600, 0, True)
    changed = {field for field in FINAL if FINAL[field].value != SEARCH[field].value}
    assert changed == {"epochs", "validation_fraction", "test_at_end"}


def test_the_proxy_is_smaller_in_epochs_channels_and_layers() -> None:
    for field in ("epochs", "channels", "layers"):
        assert PROXY[field].value < SEARCH[field].value


@pytest.mark.parametrize("name", ["search", "proxy", "final"])
def test_every_number_has_a_source(name: str) -> None:
    fields = {"search": SEARCH, "proxy": PROXY, "final": FINAL}[name]
    assert all(setting.source for setting in fields.values())
    unnamed = set(Recipe.model_fields) - set(fields)
    assert unnamed == {"dataset", "file", "classes"}


def test_a_final_training_has_no_validation_images_and_one_test(quick_recipe: Callable[..., Recipe]) -> None:
    recipe = quick_recipe(validation_fraction=0, test_at_end=True, epochs=2)
    records: list[EpochRecord] = []
    data = load(recipe, None)
    result = train(Task(NAMED["DARTS_V2"], recipe, data, 0, 1, torch.device("cpu")), None, records.append)
    assert [record.validation_accuracy for record in records] == [None, None]
    assert result.validation_accuracy is None
    assert result.test_accuracy is not None
    assert 0 <= result.test_accuracy <= 1


def test_the_weights_say_which_seed_chose_the_validation_images(
    processes: Processes, tmp_path: Path, quick_recipe: Callable[..., Recipe]
) -> None:
    small = quick_recipe(epochs=1, score_epochs=1).model_dump(exclude={"dataset", "file", "classes"})
    for fraction, want in ((0.3, 0), (0, None)):
        out = tmp_path / str(fraction)
        changes = {**small, "validation_fraction": fraction, "test_at_end": True}
        sets = [part for field, value in changes.items() for part in ("--set", f"{field}={json.dumps(value)}")]
        code, output = processes.run_command(tmp_path, "train", "--genotype", "DARTS_V2", "--out", out, *sets)
        assert code == 0
        assert json.loads(output.splitlines()[-1]).get("splitSeed") == want
        weights = read_weights(out)
        trained = trained_of(weights.path, weights.metadata)
        assert trained is not None
        assert trained.split_seed == want


def test_without_validation_images_the_test_must_be_asked_for(processes: Processes, tmp_path: Path) -> None:
    command = ["train", "--genotype", "BANANAS", "--out", tmp_path / "out", "--set", "validationFraction=0"]
    code, output = processes.run_command(tmp_path, *command)
    assert code == ExitCode.RECIPE_INVALID
    assert "recipe.validationFraction: 0 leaves no images to validate; set testAtEnd: true" in output


def test_a_winner_is_trained_to_the_end_by_one_command(processes: Processes, tmp_path: Path) -> None:
    """Shortened, for the digits; the recipe by name and a field on top of it."""
    out = tmp_path / "out"
    small = ["epochs=3", "channels=1", "layers=2", "batch_size=512", "auxiliary=false", "cutout=0", "scoreEpochs=1"]
    sets = [part for value in small for part in ("--set", value)]
    command = ["train", "--genotype", "BANANAS", "--recipe", "final", "--out", out]
    code, output = processes.run_command(tmp_path, *command, *sets)
    assert code == 0
    report = json.loads(output.splitlines()[-1])
    assert report["testAccuracy"] == report["validationAccuracy"]
    with (out / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [row["validation_accuracy"] for row in rows] == ["", "", ""]
    assert all(float(row["images_per_second"]) > 0 for row in rows)
    assert ET.parse(out / "curve.svg").getroot().tag.endswith("svg")


def test_an_unknown_recipe_is_refused_with_the_known_ones(processes: Processes, tmp_path: Path) -> None:
    command = ["train", "--genotype", "BANANAS", "--recipe", "finale", "--out", tmp_path / "out"]
    code, output = processes.run_command(tmp_path, *command)
    assert code == 2
    assert "search, proxy, final" in output


def test_the_recipes_are_shown_with_unit_and_source(processes: Processes, tmp_path: Path) -> None:
    code, output = processes.run_command(tmp_path, "recipes", "final", "--json")
    assert code == 0
    assert json.loads(output)["final"]["epochs"]["value"] == 600
    code, output = processes.run_command(tmp_path, "recipes")
    assert code == 0
    assert "arXiv 1806.09055" in output


def record(epoch: int, accuracy: float | None = 0.5) -> EpochRecord:
    return EpochRecord(
        attempt=1,
        epoch=epoch,
        loss=2.0 / epoch,
        validation_accuracy=accuracy,
        learning_rate=0.025,
        seconds=1.5,
        images_per_second=100.0,
    )


def test_a_curve_is_a_line_for_each_epoch() -> None:
    lines = to_csv([record(1), record(2, None)]).splitlines()
    assert lines[0] == "epoch,loss,validation_accuracy,learning_rate,images_per_second,seconds,attempt"
    assert lines[1:] == ["1,2,0.5,0.025,100,1.5,1", "2,1,,0.025,100,1.5,1"]


@pytest.mark.parametrize("epochs", [0, 1, 2, 40])
def test_a_curve_is_drawn_within_its_panels(epochs: int) -> None:
    root = ET.fromstring(to_svg([record(epoch) for epoch in range(1, epochs + 1)]))
    lines = [line.get("points", "").split() for line in root.iter() if line.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [epochs] * 4
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for x, y in (point.split(",") for points in lines for point in points):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height
    if epochs > 1:  # the loss falls, so its line goes down, which is a greater y
        assert float(lines[0][0].split(",")[1]) < float(lines[0][-1].split(",")[1])
