"""The garbage collector while torch is loaded: it is left as it was found."""

import gc
import sys
from collections.abc import Iterator

import pytest

from bananas_trainer.attempt import without_collection


@pytest.fixture
def collecting() -> Iterator[None]:
    """As it is found, and as it is left."""
    was_enabled = gc.isenabled()
    yield
    (gc.enable if was_enabled else gc.disable)()


@pytest.mark.usefixtures("collecting")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    with without_collection():
        assert not gc.isenabled()
    assert gc.isenabled() is enabled


@pytest.mark.usefixtures("collecting")
@pytest.mark.parametrize("is_there", [True, False])
def test_only_what_the_first_load_of_torch_made_is_frozen(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    calls: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append(None))
    if is_there:
        monkeypatch.setitem(sys.modules, "torch", sys)
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    with without_collection():
        pass
    assert len(calls) == (not is_there)
