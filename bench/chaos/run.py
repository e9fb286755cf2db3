"""`make chaos SEED=n`: two searches, a fault every few seconds, then the verdict of a judge that shares no code with us.

    python -m bench.chaos.run --seed 1 [--defect NAME]

Runs on the development cluster with the operator as deployed. Goes on until every kind of fault has struck often enough
while a trial ran, lets the searches end, deletes them and judges. Writes bench/results/chaos-SEED.json; exit code 1 where
anything is wrong, a kind struck too seldom included.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.chaos import report
from bench.chaos.defects import DEFECTS
from bench.chaos.deployment import Deployed
from bench.chaos.evidence import Evidence, read_audit, read_files
from bench.chaos.faults import Faults
from bench.chaos.lab import Lab
from bench.chaos.oracle import judge
from bench.chaos.proxy import Place, Proxy, Redirected
from bench.chaos.schedule import Kind, schedule
from bench.chaos.tending import Tender
from bench.containers import Container, ContainerEvents, wait_until
from bench.kube import Kube
from bench.operator import machine
from devcluster.paths import Paths

GPUS = 4
"""One more than trials run at once, so that a free one never hides that a trial waits."""
STARTED_SECONDS = 120
ENDS_SECONDS = 600
GONE_SECONDS = 120
BUSY_SECONDS = 4.0
PATIENCE_SECONDS = 20.0


def main() -> int:
    """Exit code 0 if nothing is wrong and everything struck often enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=200, help="at least so many in all")
    parser.add_argument("--each", type=int, default=15, help="of each kind while a trial runs")
    parser.add_argument("--trials", type=int, default=28, help="of the table search at first; half as many are trained")
    parser.add_argument("--minutes", type=float, default=30, help="after which no more faults are made")
    parser.add_argument("--defect", choices=sorted(DEFECTS), help="a deliberate defect, which the judge must find")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is put right on the way out
    result = run(Paths.from_environment(), arguments)
    name = f"chaos-{arguments.seed}" + (f"-{arguments.defect}" if arguments.defect else "")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{arguments.out / name}.json")
    return 0 if result["passed"] else 1


def run(paths: Paths, arguments: argparse.Namespace) -> dict[str, Any]:
    """One run, from an empty namespace to the verdict."""
    kube = Kube(paths)
    lab = Lab(paths, f"chaos-{arguments.seed}-{int(time.time()) % 100_000}")
    since = paths.audit_log.stat().st_size
    began = time.time()
    with ExitStack() as stack:
        stack.callback(lab.clean)
        events = stack.enter_context(ContainerEvents(paths))
        place = Place.of_cluster(paths)
        tender = stack.enter_context(Tender(paths, GPUS))
        faults = Faults(kube, events, tender, lambda hit: Proxy(place, arguments.seed, hit), lab.namespace, GPUS)
        stack.enter_context(faults.proxy)
        stack.enter_context(Redirected())
        stack.enter_context(Deployed(kube, arguments.defect))
        lab.set_up({"table": arguments.trials, "train": (arguments.trials + 1) // 2})
        wait_until(faults.trials, seconds=STARTED_SECONDS, what="a trial runs")
        strike_all(arguments, lab, faults, events)
        print("no more faults; the searches come to their end", flush=True)
        ended = in_time(lab)
        finals = lab.finals()
        reports, epochs = read_files(lab.volume)
        leftovers = lab.delete_searches(GONE_SECONDS)
        trials = events.containers([lab.namespace], "trainer")
    with paths.audit_log.open("rb") as log:
        log.seek(since)
        seen, preempted = read_audit(log, lab.namespace)
    evidence = Evidence([*seen, *finals], reports, epochs, preempted, leftovers)
    return verdict(arguments, faults, trials, evidence, {"seconds": round(time.time() - began), "ended": ended})


def strike_all(arguments: argparse.Namespace, lab: Lab, faults: Faults, events: ContainerEvents) -> None:
    """Strikes until it is enough; a kind that has struck often enough is passed over while others have not."""
    due = time.monotonic()
    limit = due + 60 * arguments.minutes
    enough: set[Kind] = set()
    before = 0.0
    for number, strike in enumerate(schedule(arguments.seed), start=1):
        gap, before = strike.at - before, strike.at
        if strike.kind not in enough:
            wait(due + gap, lab, faults)
            due = max(due + gap, time.monotonic())  # late ones are not made up for by a burst
            record = faults.strike(strike)
            print(
                f"{number:4d} {strike.at:7.1f} s  {strike.kind:<26}{record.target or 'nothing to strike'}", flush=True
            )
        if number % len(Kind) == 0:
            enough = often_enough(arguments, lab, faults, events)
            if len(enough) == len(Kind) or time.monotonic() > limit:
                return


def wait(due: float, lab: Lab, faults: Faults) -> None:
    """Until a strike is due and a trial runs: a fault between two trials shows little. Keeps the searches busy meanwhile."""
    busy_at = 0.0
    while (now := time.monotonic()) < due or (now < due + PATIENCE_SECONDS and not faults.trials()):
        if now >= busy_at:
            lab.keep_busy()
            busy_at = time.monotonic() + BUSY_SECONDS
        time.sleep(0.05)


def often_enough(arguments: argparse.Namespace, lab: Lab, faults: Faults, events: ContainerEvents) -> set[Kind]:
    """Kinds that have struck often enough; none while all together are too few."""
    counts = report.by_kind(faults.records, events.containers([lab.namespace], "trainer"), ())
    phases = Counter((trial.get("status") or {}).get("phase", "Pending") for trial in lab.trials())
    print(f"     trials: {dict(phases)}", flush=True)
    if sum(row["strikes"] for row in counts.values()) < arguments.faults:
        return set()
    return {kind for kind in Kind if counts[kind]["while_a_trial_ran"] >= arguments.each}


def in_time(lab: Lab) -> bool:
    """Whether both searches ended."""
    try:
        wait_until(lab.complete, seconds=ENDS_SECONDS, what="both searches have ended", every=2)
    except TimeoutError:
        return False
    return True


def verdict(
    arguments: argparse.Namespace,
    faults: Faults,
    trials: list[Container],
    evidence: Evidence,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """What came out."""
    violations = judge(evidence)
    rows = report.by_kind(faults.records, trials, violations)
    checks = report.by_check(violations)
    print("\n" + report.table(rows) + "\n")
    for name, count in checks.items():
        print(f"{name:<28}{count:>5} violations")
    for violation in violations[:40]:
        print(f"  {violation.check}: {violation.subject}: {violation.text}")
    few = [kind for kind, row in rows.items() if row["while_a_trial_ran"] < arguments.each]
    made = sum(row["strikes"] for row in rows.values())
    finals = [seen.object for seen in evidence.seen if seen.verb == "read" and seen.resource == "nastrials"]
    statuses = [trial.get("status") or {} for trial in finals]
    summary = {
        "trials": dict(Counter(status.get("phase", "Pending") for status in statuses)),
        "attempts": sum(status.get("attempts", 0) for status in statuses),
        "interruptions": sum(status.get("interruptions", 0) for status in statuses),
        "pods_preempted": len(evidence.preempted),
        "epochs_trained": sum(len(epochs) for epochs in evidence.epochs.values()),
        "faults": made,
        **facts,
    }
    passed = not violations and not few and made >= arguments.faults and facts["ended"]
    print(f"\n{summary}")
    if few:
        print(f"too few strikes while a trial ran: {', '.join(few)}")
    print("PASSED" if passed else "FAILED")
    return {
        "machine": machine(),
        "command": " ".join(["python -m bench.chaos.run", *sys.argv[1:]]),
        "seed": arguments.seed,
        "passed": passed,
        "summary": summary,
        "kinds": rows,
        "checks": checks,
        "violations": report.told(violations),
        "strikes": [{"time": round(r.time, 2), "kind": str(r.kind), "target": r.target} for r in faults.records],
    }


if __name__ == "__main__":
    sys.exit(main())
