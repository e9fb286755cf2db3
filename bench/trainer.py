"""`make bench-trainer`: how fast the trainer is against two baselines, and how soon a container trains.

Rounds of A, ours and B, one after the other in this process, so that whatever else the machine does falls on all of them; a
ratio is that of one round, and the median of the rounds is what counts. `PART=learn` and `PART=rank` run
`trainer_learning.py`. Writes a JSON file with machine, seed and command.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bananas_core.api.recipe import Recipe
from bananas_core.contract import TRIAL_FILE_VARIABLE, TrialFile
from bananas_core.spaces import Architecture
from bananas_trainer.data import read
from bananas_trainer.device import choose_device, device_name
from bananas_trainer.genotypes import NAMED
from bananas_trainer.recipes import fields_of
from bananas_trainer.settings import CHECKPOINT_SECONDS_VARIABLE
from bananas_trainer.training import Task
from bench.machine import processor
from bench.trainer_baselines import Loop, ours, plain
from bench.trainer_learning import learn, rank

DATA = Path(os.environ.get("BANANAS_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
SUBSET = "cifar10_lossless_subset.npz"
GENOTYPE = "BANANAS"
NOT_RUN = "not run"


def main() -> int:
    """Exit code 0 if everything that ran reached its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("speed", "learn", "rank"), default="speed")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that it runs; the figures mean nothing"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="steps of a round")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.part == "speed":
        result = speed(arguments.quick, arguments.rounds, arguments.steps)
    else:
        result = (learn if arguments.part == "learn" else rank)(DATA / SUBSET, arguments.out, arguments.quick)
    command = " ".join(["python -m bench.trainer", *sys.argv[1:]])
    result = {"machine": machine(), "command": command, "quick": arguments.quick, **result}
    name = f"trainer-{arguments.part}{'-quick' if arguments.quick else ''}.json"
    (arguments.out / name).write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{arguments.out / name}")
    return 0 if all(target["reached"] is not False for target in result["targets"]) or arguments.quick else 1


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "device": device_name(choose_device()),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": os.getloadavg()[0],
    }


def target(name: str, value: float | None, want: Callable[[float], bool], text: str) -> dict[str, Any]:
    """A line of the table: reached, missed, or not run."""
    reached = None if value is None else want(value)
    said = {None: NOT_RUN, True: "reached", False: "MISSED"}[reached]
    shown = "-" if value is None else f"{value:.3g}"
    print(f"{name:<58} {shown:>8}   want {text:<14} {said}", flush=True)
    return {"name": name, "value": value, "want": text, "reached": reached}


def speed(quick: bool, rounds: int, steps: int) -> dict[str, Any]:
    """Images per second on this machine's CPU, and on its GPU where there is one."""
    print("images per second, A: the original's loop; B: data on the device; C: ours\n")
    sizes = {"channels": 4, "layers": 3} if quick else {"channels": 16, "layers": 8}
    cpu = task_of({**fields_of("proxy"), **sizes, "drop_path": 0.2, "auxiliary": True}, torch.device("cpu"))
    rounds, steps = (2, 2) if quick else (rounds, steps)
    on_cpu = pairs(cpu, rounds, steps)
    targets = [
        target("CPU, 16 channels, 8 layers, batch 64: C / A", ratio(on_cpu, "C", "A"), lambda v: v >= 1.3, ">= 1.3"),
        target("CPU: data path, part of a step", data_part(on_cpu), lambda v: v < 0.03, "< 0.03"),
    ]
    result: dict[str, Any] = {"seed": 0, "cpu": on_cpu}
    if not targets[0]["reached"]:
        result["profile"] = profile(cpu)
    on_gpu = None
    if torch.cuda.is_available():
        gpu = task_of({**fields_of("search"), "precision": "bfloat16"}, torch.device("cuda"))
        on_gpu = pairs(gpu, rounds, steps)
        result["gpu"] = on_gpu
    size = "GPU, 36 channels, 20 layers, batch 96, bf16"
    targets += [
        target(f"{size}: C / A", ratio(on_gpu, "C", "A") if on_gpu else None, lambda v: v >= 4, ">= 4"),
        target(f"{size}: C / B", ratio(on_gpu, "C", "B") if on_gpu else None, lambda v: v >= 2.5, ">= 2.5"),
        target("seconds from the program's start to the first step", first_step(quick), lambda v: v <= 8, "<= 8"),
    ]
    return {**result, "targets": targets}


def task_of(fields: dict[str, Any], device: torch.device) -> Task:
    """The genotype on the lossless subset."""
    recipe = Recipe.model_validate({**fields, "dataset": "npz", "file": SUBSET})
    choose_device()  # sets the threads
    return Task(NAMED[GENOTYPE], recipe, read("npz", DATA / SUBSET), 0, 1, device)


def pairs(task: Task, rounds: int, steps: int) -> list[dict[str, dict[str, float]]]:
    """Rounds of all three, after one that is not counted."""
    loops: dict[str, Loop] = {"A": plain(task, False), "C": ours(task), "B": plain(task, True)}
    out: list[dict[str, dict[str, float]]] = []
    for number in range(rounds + 1):
        paces = {name: loop(steps if number else min(steps, 3)) for name, loop in loops.items()}
        if number:
            out.append(
                {
                    name: {"images_per_second": pace.images_per_second, "data_part": pace.data_seconds / pace.seconds}
                    for name, pace in paces.items()
                }
            )
            print(
                "   ".join(f"{name} {pace.images_per_second:8.1f}" for name, pace in sorted(paces.items())), flush=True
            )
    return out


def ratio(rounds: list[dict[str, dict[str, float]]], one: str, other: str) -> float:
    """The median over the rounds."""
    return median(each[one]["images_per_second"] / each[other]["images_per_second"] for each in rounds)


def data_part(rounds: list[dict[str, dict[str, float]]]) -> float:
    """Of ours."""
    return median(each["C"]["data_part"] for each in rounds)


def profile(task: Task) -> list[dict[str, Any]]:
    """The operators that take most of our time."""
    loop = ours(task)
    loop(1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        loop(3)
    averages = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)[:12]
    whole = sum(event.self_cpu_time_total for event in found.key_averages()) or 1
    rows = [{"operator": e.key, "part": e.self_cpu_time_total / whole, "calls": e.count} for e in averages]
    for row in rows:
        print(f"    {row['part']:6.1%}  {row['operator']} x {row['calls']}")
    return rows


def first_step(quick: bool) -> float:
    """Seconds of the container's program until the first step is in a checkpoint."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fields = {**fields_of("proxy"), **({"channels": 2, "layers": 3} if quick else {})}
        trial = TrialFile(
            namespace="bench",
            search="bench",
            trial="bench",
            trial_uid="bench",
            attempt=1,
            architecture=Architecture.of(NAMED[GENOTYPE]),
            recipe=Recipe.model_validate({**fields, "dataset": "npz", "file": SUBSET}),
            data_dir=str(DATA),
            checkpoint_dir=str(folder / "checkpoints"),
            termination_file=str(folder / "termination"),
        )
        (folder / "trial.json").write_text(trial.model_dump_json(by_alias=True, exclude_none=True))
        environment = {**os.environ, TRIAL_FILE_VARIABLE: str(folder / "trial.json"), CHECKPOINT_SECONDS_VARIABLE: "0"}
        began = time.monotonic()
        command = [sys.executable, "-m", "bananas_trainer.pod"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as running:
            while not list(folder.glob("checkpoints/checkpoint-*")) and running.poll() is None:
                if time.monotonic() - began > 120:
                    break
                time.sleep(0.01)
            seconds = time.monotonic() - began
            ended = running.poll()
            running.kill()
        if ended is not None:
            raise RuntimeError(f"{' '.join(command)} ended with {ended} before its first step")
        return seconds


if __name__ == "__main__":
    sys.exit(main())
