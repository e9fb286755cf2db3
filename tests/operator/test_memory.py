"""What the process remembers between passes, and forgets."""

from bananas_core.contract import ProgressMessage
from bananas_operator.memory import SearchMemory

from .builders import SETTINGS, T0


def test_nothing_is_kept_of_a_trial_that_has_ended() -> None:
    memory = SearchMemory()
    for uid in ("told", "ended"):
        memory.progress_written[uid] = T0  # a result writes progress, whether or not some was posted before
    memory.progress["told"] = ProgressMessage(
        namespace="lab", trial="s-0", trial_uid="told", attempt=1, epoch=1, epochs=2
    )
    memory.forget_trials({"told"})
    assert [uid for uid, _ in memory.progress_views(SETTINGS)] == ["told"]
    assert set(memory.progress_written) == {"told"}
    memory.forget_trials(set())
    assert memory == SearchMemory()
