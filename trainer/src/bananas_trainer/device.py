"""Where a training runs: the GPU that is visible, else as many CPU threads as the container may use.

Called once at the start by the programs; nothing else looks at the machine.
"""

import os
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import torch

from bananas_core.contract import MAX_DEVICE


def choose_device() -> torch.device:
    """The visible GPU, else the CPU with its threads set."""
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True  # images of one size: its choice of algorithms pays in the first steps
        return torch.device("cuda")
    torch.set_num_threads(allowed_threads())
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """The device, for a report: at most as many characters as that takes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)[:MAX_DEVICE]
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


def allowed_threads(environment: Mapping[str, str] = os.environ, cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Threads that make sense here: OMP_NUM_THREADS where set, else the CPUs of the affinity mask and the cgroup's limit.

    More threads than the limit are throttled in the middle of a step, which is slower than fewer threads.
    """
    wanted = environment.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    cpus = len(os.sched_getaffinity(0))
    limit = _cgroup_limit(cgroup)
    return max(1, min(cpus, ceil(limit))) if limit is not None else cpus


def _cgroup_limit(cgroup: Path) -> float | None:
    """CPUs that the container's cgroup allows (v2, then v1), None where there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((cgroup / "cpu/cpu.cfs_quota_us").read_text())
        period_us = int((cgroup / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None
