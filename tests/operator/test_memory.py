"""What the process remembers between passes, and forgets."""

from bananas_core.contract import ProgressMessage
from bananas_operator.memory import SearchMemory

from .builders import SETTINGS, T0, at


def message(epoch: int) -> ProgressMessage:
    return ProgressMessage(namespace="lab", trial="s-0", trial_uid="told", attempt=1, epoch=epoch, epochs=2)


def test_the_same_progress_again_is_no_progress() -> None:
    memory = SearchMemory()
    for epoch, seconds in ((1, 0), (1, 50), (2, 70)):
        memory.hear(message(epoch), at(seconds))
    [(_, view)] = memory.progress_views(SETTINGS)
    assert (view.told_at, view.progress.time) == (at(70), "2026-01-01T12:01:10Z")
    memory.hear(message(2), at(90))
    assert memory.progress_views(SETTINGS)[0][1].told_at == at(70)


def test_nothing_is_kept_of_a_trial_that_has_ended() -> None:
    memory = SearchMemory()
    for uid in ("told", "ended"):
        memory.progress_written[uid] = T0  # a result writes progress, whether or not some was posted before
    memory.hear(message(epoch=1), T0)
    memory.forget_trials({"told"}, {"s-0"})
    assert [uid for uid, _ in memory.progress_views(SETTINGS)] == ["told"]
    assert set(memory.progress_written) == {"told"}
    memory.forget_trials(set(), set())
    assert memory == SearchMemory()
