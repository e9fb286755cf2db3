"""What the operator knows, and never goes back on."""

from typing import Any

from bananas_core import constants
from bananas_operator.cache import Cache
from bananas_operator.queue import SearchKey
from bananas_operator.resources import EVENTS, JOBS, SEARCHES, TRIALS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def item(uid: str, version: int, kind: str = "NASTrial", owner: str = "search-uid", name: str = "") -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {
            "namespace": "lab",
            "name": name or uid,
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {constants.LABEL_SEARCH_UID: owner},
        },
    }


def search(version: int = 1) -> dict[str, Any]:
    return item("search-uid", version, "NASSearch", name="s")


def versions(cache: Cache) -> dict[str, str]:
    return {i["metadata"]["uid"]: i["metadata"]["resourceVersion"] for i in cache.owned(TRIALS, "search-uid")}


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache(clock=Clock())
    assert cache.put(TRIALS, item("a", 10), "write")
    assert not cache.put(TRIALS, item("a", 9), "watch")
    assert versions(cache) == {"a": "10"}


def test_versions_are_compared_as_numbers() -> None:
    cache = Cache(clock=Clock())
    cache.put(TRIALS, item("a", 9), "watch")
    cache.put(TRIALS, item("a", 10), "watch")
    assert versions(cache) == {"a": "10"}


def test_a_deleted_object_does_not_come_back_by_a_late_event() -> None:
    cache = Cache(clock=Clock())
    cache.put(TRIALS, item("a", 10), "watch")
    cache.remove(TRIALS, item("a", 11))
    cache.put(TRIALS, item("a", 10), "watch")
    assert versions(cache) == {}


def test_a_full_list_drops_what_it_lacks_but_not_what_is_younger() -> None:
    cache = Cache(clock=Clock())
    cache.put(TRIALS, item("deleted unseen", 10), "watch")
    cache.put(TRIALS, item("made after the list", 30), "watch")
    cache.replace(TRIALS, [item("kept", 5)], list_version=20)
    assert versions(cache) == {"kept": "5", "made after the list": "30"}


def test_a_full_list_does_not_bring_back_what_the_watch_told_to_be_deleted_meanwhile() -> None:
    cache = Cache(clock=Clock())
    cache.put(TRIALS, item("a", 10), "watch")
    cache.remove(TRIALS, item("a", 25))
    cache.replace(TRIALS, [item("a", 10)], list_version=20)
    assert versions(cache) == {}


def test_a_search_made_anew_under_the_same_name_is_another_one() -> None:
    cache = Cache(clock=Clock())
    key = SearchKey("lab", "s")
    cache.put(SEARCHES, search(), "watch")
    cache.put(SEARCHES, item("new-uid", 5, "NASSearch", name="s"), "watch")
    cache.remove(SEARCHES, search(2))
    found = cache.search(key)
    assert found is not None
    assert found["metadata"]["uid"] == "new-uid"
    assert cache.owned(TRIALS, "new-uid") == []


def test_an_object_leads_to_its_search_and_an_event_through_its_job() -> None:
    cache = Cache(clock=Clock())
    cache.put(SEARCHES, search(), "watch")
    cache.put(JOBS, item("job", 2, "Job"), "watch")
    event = {"kind": "Event", "metadata": {"uid": "e", "resourceVersion": "3"}, "involvedObject": {"uid": "job"}}
    assert cache.key_of(JOBS, item("job", 2, "Job")) == SearchKey("lab", "s")
    assert cache.key_of(EVENTS, event) == SearchKey("lab", "s")
    assert cache.key_of(TRIALS, item("x", 1, owner="unknown")) is None


def test_a_watch_that_does_not_tell_what_a_write_has_done_is_noticed() -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    cache.put(TRIALS, item("a", 10), "watch")
    cache.put(TRIALS, item("a", 12), "write")
    clock.now = 50
    assert cache.seconds_untold() == 50
    cache.put(TRIALS, item("a", 11), "watch")
    assert cache.seconds_untold() == 50, "an older event does not make up for it"
    cache.put(TRIALS, item("a", 12), "watch")
    assert cache.seconds_untold() == 0


def test_a_deletion_ends_what_the_watch_owed() -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    cache.put(TRIALS, item("a", 10), "list")
    clock.now = 9
    cache.remove(TRIALS, item("a", 11))
    assert cache.seconds_untold() == 0


def test_what_no_decision_needs_and_weighs_most_is_not_kept() -> None:
    cache = Cache(clock=Clock())
    heavy = item("a", 10)
    heavy["metadata"]["managedFields"] = [{"manager": "x"}]
    cache.put(TRIALS, heavy, "watch")
    assert cache.by_uid(TRIALS, "a") == item("a", 10)


def test_a_foreign_job_that_was_read_by_its_name_is_not_expected_from_the_watch() -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    foreign = item("theirs", 10, "Job")
    del foreign["metadata"]["labels"]
    assert not cache.put(JOBS, foreign, "list")
    clock.now = 100
    assert cache.seconds_untold() == 0


def test_an_object_made_anew_under_its_name_takes_the_place_of_the_deleted_one_whoever_is_heard_first() -> None:
    cache = Cache(clock=Clock())
    cache.put(TRIALS, item("old", 10, name="s-0"), "watch")
    cache.put(TRIALS, item("new", 20, name="s-0"), "watch")  # the deletion is heard later
    assert versions(cache) == {"new": "20"}
    cache.put(TRIALS, item("old", 15, name="s-0"), "watch")
    cache.remove(TRIALS, item("old", 18, name="s-0"))
    assert versions(cache) == {"new": "20"}


def test_an_object_that_is_older_than_its_namesake_is_not_taken() -> None:
    cache = Cache(clock=Clock())
    cache.put(SEARCHES, item("new", 20, "NASSearch", name="s"), "list")
    assert not cache.put(SEARCHES, item("old", 10, "NASSearch", name="s"), "watch")
    found = cache.search(SearchKey("lab", "s"))
    assert found is not None
    assert found["metadata"]["uid"] == "new"
