"""`make bench-planner`: ten thousand histories of a search in which everything goes wrong, and nothing may break.

Each is drawn by its seed from `tests/operator/histories.py`: the operator's plan() against an API server, kubelet, predictor
and people in memory, with crashes between any two writes, watches that lag, lose and repeat, and a clock that jumps. The
invariants are checked at every write. Then rules of the operator are broken on purpose: each defect must be found.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from bench.machine import machine
from tests.operator.defects import DEFECTS, broken
from tests.operator.histories import draw, failure, shrink

FOUND_WITHIN = 3_000
"""Histories in which a defect must show."""


def main() -> int:
    """Lives the histories; 1 if an invariant broke, or a defect was not found."""
    parser = argparse.ArgumentParser(description="Histories of a search in which everything goes wrong.")
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--defects", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    started = time.perf_counter()
    seeds = range(options.first_seed, options.first_seed + options.histories)
    steps: Counter[str] = Counter()
    broke: list[dict[str, Any]] = []
    for seed in seeds:
        history = draw(Random(seed))  # noqa: S311 - no secret
        steps.update(str(step[0]) for step in history)
        wrong = failure(history)
        if wrong is not None:
            broke.append({"seed": seed, "why": wrong, "steps": shrink(history)})
            print(f"seed {seed}: {wrong}", *broke[-1]["steps"], sep="\n  ", flush=True)
        if (seed + 1) % 1000 == 0:
            print(f"{seed + 1 - seeds[0]} histories, {len(broke)} broke an invariant", flush=True)
    seconds = time.perf_counter() - started
    found = {name: find(name) for name in DEFECTS} if options.defects else {}
    result = {
        "command": "python -m bench.histories " + " ".join(sys.argv[1:]),
        "machine": machine(),
        "seeds": [seeds[0], seeds[-1]],
        "seconds": round(seconds, 1),
        "histories": len(seeds),
        "steps": dict(steps.most_common()),
        "broke": broke,
        "defects": found,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "planner.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "planner.md").write_text(page(result))
    print(page(result))
    missed = [name for name, at in found.items() if at is None]
    return 1 if broke or missed else 0


def find(name: str) -> dict[str, Any] | None:
    """The first seed whose history shows a defect, and how."""
    for seed in range(FOUND_WITHIN):
        with broken(DEFECTS[name]):
            try:
                wrong = failure(draw(Random(seed)), fenced=DEFECTS[name].fenced)  # noqa: S311 - no secret
            except (KeyError, ValueError) as error:  # a model that is broken in that way
                wrong = repr(error)
        if wrong is not None:
            print(f"defect found: {name}: seed {seed}: {wrong}", flush=True)
            return {"seed": seed, "why": wrong}
    return None


def page(result: dict[str, Any]) -> str:
    """The result for a person."""
    lines = [
        f"# Histories of the planner\n\n`{result['command']}`, {result['machine']['processor']}, seeds "
        f"{result['seeds'][0]} to {result['seeds'][1]}, {result['seconds']:.0f} s.\n",
        f"{result['histories']} histories, {sum(result['steps'].values())} steps: "
        f"**{len(result['broke'])} broke an invariant or did not complete**.\n",
        "| step | times |",
        "|---|---|",
        *(f"| {name} | {times} |" for name, times in result["steps"].items()),
        "\nRules broken on purpose, and the first history that shows it:\n",
        "| defect | seed | what was seen |",
        "|---|---|---|",
        *(
            f"| {name} | {at['seed']} | {at['why']} |" if at else f"| {name} | **not found** | |"
            for name, at in result["defects"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
