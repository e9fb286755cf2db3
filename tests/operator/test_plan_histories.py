"""plan() under random histories: crashes between any two writes, lost answers, watches that lag each by their own."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bananas_operator.settings import Settings

from .builders import search, spec
from .model import KINDS, Cluster

ENDS = ("succeed", "succeed", "succeed", "interrupt", "error", "diverge", "no report", "kill", "lose pod")

STEP = st.one_of(
    st.tuples(st.just("pass")),
    st.tuples(st.just("pass")),
    st.tuples(st.just("deliver"), st.sampled_from(KINDS), st.integers(1, 5)),
    st.tuples(st.just("deliver"), st.sampled_from(KINDS), st.integers(1, 5)),
    st.tuples(st.just("propose"), st.integers(0, 7)),
    st.tuples(st.just("kubelet"), st.integers(0, 3), st.sampled_from(ENDS)),
    st.tuples(st.just("kubelet"), st.integers(0, 3), st.sampled_from(ENDS)),
    st.tuples(st.just("crash after"), st.integers(1, 4)),
    st.tuples(st.just("lose answer")),
    st.tuples(st.just("wait"), st.sampled_from((1, 20, 400))),
    st.tuples(st.just("delete"), st.sampled_from(("job", "pod")), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.just("trial"), st.integers(0, 9)),
    st.tuples(st.just("scale"), st.integers(0, 3)),
    st.tuples(st.just("suspend"), st.booleans()),
    st.tuples(st.just("aim"), st.sampled_from((0.5, 0.95, None))),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
)


def do(cluster: Cluster, step: tuple[object, ...]) -> None:
    match step:
        case ("pass",):
            cluster.run_pass()
        case ("deliver", kind, count):
            cluster.deliver(kind, count)  # type: ignore[arg-type]
        case ("propose", architecture):
            cluster.propose(architecture)  # type: ignore[arg-type]
        case ("kubelet", choice, how):
            cluster.kubelet(choice, how)  # type: ignore[arg-type]
        case ("crash after", writes):
            cluster.writes_until_crash = writes  # type: ignore[assignment]
        case ("lose answer",):
            cluster.lose_next_answer = True
        case ("wait", seconds):
            cluster.wait(seconds)  # type: ignore[arg-type]
        case ("delete", kind, choice):
            cluster.delete(kind, choice)  # type: ignore[arg-type]
        case (("scale" | "suspend" | "aim" | "cancel") as what, value):
            getattr(cluster, what)(value)
        case _:
            raise AssertionError(step)


def bring_to_the_end(cluster: Cluster) -> None:
    """Everything goes well from now on."""
    cluster.writes_until_crash = None
    cluster.lose_next_answer = False
    cluster.scale(2)
    cluster.suspend(False)
    cluster.aim(None)
    for step in range(400):
        for kind in KINDS:
            cluster.deliver(kind, 1000)
        if not cluster.run_pass() and cluster.phase == "Complete":
            return
        cluster.kubelet(step, "succeed")
        if cluster.pending() < 2:
            cluster.propose(step % 100)
        cluster.wait(60)
    raise AssertionError(f"not complete after 400 rounds: {cluster.truth}")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, min_size=10, max_size=80))
def test_whatever_happens_the_invariants_hold_and_the_search_completes(steps: list[tuple[object, ...]]) -> None:
    cluster = Cluster(Settings(), search(spec(budget={"trials": 5}, trial={"maxFailedTrials": 1000})))
    cluster.run_pass()
    for step in steps:
        do(cluster, step)
    bring_to_the_end(cluster)
    admitted = [t for t in cluster.items("trial") if t.admitted]
    assert len(admitted) == 5
    assert all(count == 1 for count in cluster.recorded.values())
    assert cluster.items("deployment") == []
    assert cluster.pending() == 0
    want = {t.uid for t in admitted if t.status.phase == "Failed"}
    assert {job.trial_uid for job in cluster.items("job")} <= want, "Jobs of results are deleted, of failures kept"
    assert not cluster.run_pass(), "an ended search must be left alone"


def test_a_history_without_trouble_completes_in_order() -> None:
    cluster = Cluster(Settings(), search(spec(budget={"trials": 5}, parallelism=1)))
    bring_to_the_end(cluster)
    want = [(f"trial-{index}", 1) for index in range(5)]
    assert cluster.started == want
