"""Histories of a search: random steps, each of which may be the one that nobody thought of, and how they must end.

`test_plan_histories` lets hypothesis draw them, which shrinks what fails; `bench.histories` draws ten thousand by seed.
"""

from collections.abc import Sequence
from random import Random

from bananas_operator.settings import Settings

from .builders import search, spec
from .model import KINDS
from .people import Neighbours

Step = tuple[object, ...]

ENDS = ("succeed", "succeed", "succeed", "interrupt", "error", "diverge", "no report", "kill", "lose pod")
TABLE: tuple[tuple[int, str, tuple[Sequence[object], ...]], ...] = (
    (4, "run_pass", ()),
    (4, "deliver", (KINDS, range(1, 6))),
    (2, "propose", (range(8),)),
    (4, "kubelet", (range(4), ENDS)),
    (2, "crash_after", (range(1, 5),)),
    (2, "lose_answer", ()),
    (2, "wait", ((1, 20, 400),)),
    (1, "jump", ((-3600, -30, 30, 3600),)),
    (2, "replay", (KINDS, range(1, 8))),
    (1, "lose", (KINDS, range(1, 4))),
    (1, "relist", ()),
    (2, "delete", (("job", "pod", "trial", "deployment"), range(10))),
    (2, "scale", ((0, 1, 1, 2, 3, 3),)),
    (2, "budget", (range(2, 8),)),
    (1, "suspend", ((True, False),)),
    (1, "aim", ((0.5, 0.95, None),)),
    (1, "cancel", (range(10),)),
    (2, "retry", (range(10),)),
    (1, "change_template", (("one", "two"),)),
    (1, "edit_predictor", (range(3), ("", "another"))),
    (1, "hold", (range(4),)),
    (1, "let_go", ()),
    (2, "drain", ((True, False),)),
    (2, "catch_up", ()),
    (2, "come_to_rest", ()),
    (2, "offer", (range(2, 5), range(8))),
    (2, "kubelets", (ENDS,)),
    (1, "refuse", (range(1, 4),)),
    (1, "offer_results", (range(4),)),
    (1, "lose_node", (range(4),)),
    (1, "nodes_back", ()),
    (1, "pause_leader", ()),
    (1, "wake_leader", ()),
)
"""How often, what, and with which arguments."""
BUDGET = 6


def draw(random: Random) -> list[Step]:
    """A history."""
    weights = [weight for weight, _, _ in TABLE]
    chosen = random.choices(TABLE, weights, k=random.randint(10, 90))
    return [(name, *(random.choice(values) for values in arguments)) for _, name, arguments in chosen]


def live(steps: Sequence[Step], *, fenced: bool = True) -> Neighbours:
    """Lets a history happen, then lets everything go well.

    Raises:
        AssertionError: something happened that may never happen, or the search did not complete.
    """
    given = spec(budget={"trials": BUDGET}, trial={"maxFailedTrials": 1000})
    cluster = Neighbours(Settings(), search(given), fenced=fenced)
    cluster.run_pass()
    for step in steps:
        _do(cluster, step)
    _bring_to_the_end(cluster)
    _check_the_end(cluster)
    return cluster


def _do(cluster: Neighbours, step: Step) -> None:
    match step:
        case ("crash_after", int(writes)):
            cluster.writes_until_crash = writes
        case ("lose_answer",):
            cluster.lose_next_answer = True
        case (str(name), *arguments):
            getattr(cluster, name)(*arguments)
        case _:
            raise TypeError(f"no step: {step}")


def _bring_to_the_end(cluster: Neighbours) -> None:
    """Everything goes well from now on."""
    cluster.mend()
    cluster.scale(3)
    cluster.suspend(False)
    cluster.aim(None)
    cluster.budget(BUDGET + 2)  # above every budget before: a search that had ended goes on
    for step in range(400):
        for kind in KINDS:
            cluster.deliver(kind, 1000)
        if not cluster.run_pass() and cluster.phase == "Complete":
            return
        for choice in range(step % 4):
            cluster.kubelet(choice, "succeed")
        for choice in range(3 - cluster.pending()):
            cluster.propose((step + choice) % 100)
        cluster.wait(60)
    raise AssertionError(f"not complete after 400 rounds: {cluster.truth}")


def _check_the_end(cluster: Neighbours) -> None:
    admitted = [t for t in cluster.items("trial") if t.admitted]
    assert len(admitted) == BUDGET + 2, f"{len(admitted)} admitted, the budget is {BUDGET + 2}"
    assert all(count == 1 for count in cluster.recorded.values()), "a result was recorded twice"
    assert cluster.items("deployment") == [], "the predictor was left behind"
    assert cluster.pending() == 0, "a proposal was left waiting"
    kept = {t.uid for t in cluster.items("trial") if t.status.phase in ("Failed", "Cancelled")}  # for their logs
    left = {job.trial_uid for job in cluster.items("job")} - kept
    assert not left, f"a Job was left behind that has a result: {left}"
    assert not cluster.run_pass(), "an ended search must be left alone"


def shrink(steps: Sequence[Step], *, fenced: bool = True) -> list[Step]:
    """The history without every step that it fails without, too."""
    shorter = list(steps)
    index = 0
    while index < len(shorter):
        without = shorter[:index] + shorter[index + 1 :]
        if failure(without, fenced=fenced) is not None:
            shorter = without
        else:
            index += 1
    return shorter


def failure(steps: Sequence[Step], *, fenced: bool = True) -> str | None:
    """What goes wrong in a history, if anything."""
    try:
        live(steps, fenced=fenced)
    except AssertionError as error:
        return str(error).splitlines()[0] if str(error) else "an assertion"
    return None
