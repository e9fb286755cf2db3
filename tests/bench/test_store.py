"""The file of results that long measurements are made into."""

from pathlib import Path

import numpy as np
import pytest

from bench.store import Chunk, Store, joined


def chunk(first_seed: int, configuration: str = "as shipped", **figures: list[list[float]]) -> Chunk:
    values = {name.replace("_", " "): np.array(rows) for name, rows in figures.items()}
    return Chunk("toy", "bananas", configuration, first_seed, values, 0.5)


def test_a_store_that_is_opened_again_holds_every_seed_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "results.jsonl")
    store.add(chunk(25, regret=[[0.3], [0.4]]))
    store.add(chunk(0, regret=[[0.1], [0.2]]))
    again = Store(tmp_path / "deep" / "results.jsonl")
    want = [[0.1], [0.2], [0.3], [0.4]]
    assert joined(again.of("toy", "bananas", "as shipped"))["regret"].tolist() == want
    assert again.has("toy", "bananas", "as shipped", 25)
    assert not again.has("toy", "bananas", "as shipped", 50)


def test_other_settings_under_the_same_name_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.jsonl")
    store.add(chunk(0, regret=[[0.1]]))
    with pytest.raises(ValueError, match="with other settings"):
        store.of("toy", "bananas", "something else")


def test_only_figures_that_every_chunk_has_are_joined() -> None:
    both = joined([chunk(0, regret=[[0.1]], test_error=[[5.0]]), chunk(25, regret=[[0.2]])])
    assert list(both) == ["regret"]
