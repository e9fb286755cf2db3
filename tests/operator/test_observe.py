"""What a pass sees, from the cache."""

from dataclasses import replace
from typing import Any, cast

from bananas_core import constants
from bananas_operator.cache import Cache
from bananas_operator.memory import Memory
from bananas_operator.observe import Observer
from bananas_operator.resources import TRIALS

from .builders import SETTINGS, search, spec, trial


def test_trials_are_parsed_once_for_each_version_whatever_a_person_changes_in_the_search() -> None:
    cache = Cache(clock=lambda: 0.0)
    observer = Observer(cast(Any, None), cache, Memory(), SETTINGS)

    def put(version: str, **status: Any) -> None:
        given = trial(0).spec
        assert given is not None
        metadata = {
            "namespace": "lab",
            "name": "s-0",
            "uid": "trial-0",
            "resourceVersion": version,
            "labels": {constants.LABEL_SEARCH_UID: "search-uid"},
            "ownerReferences": [{"uid": "search-uid", "controller": True}],
        }
        cache.put(TRIALS, {"metadata": metadata, "spec": given.to_kubernetes(), "status": status}, "watch")

    put("1")
    (first,) = observer._trials(search())
    scaled = search(spec(parallelism=9, budget={"trials": 9}), generation=2)
    assert observer._trials(scaled)[0] is first
    assert observer._trials(replace(scaled, spec=None))[0] is not first, "there is nothing to compare it with"
    put("2", phase="Queued")
    assert observer._trials(scaled)[0].status.phase == "Queued"
