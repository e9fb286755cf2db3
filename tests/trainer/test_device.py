"""The process: threads, as many as the container may use and never more; its device; how it loads torch."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bananas_core.contract import Report
from bananas_trainer.attempt import without_collection
from bananas_trainer.device import allowed_threads, device_name
from bananas_trainer.settings import share_processors

CPUS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("value", "want"), [("1", 1), ("3", 3), ("0", CPUS), ("many", CPUS), ("", CPUS)])
def test_omp_num_threads_is_obeyed_where_it_is_a_number(tmp_path: Path, value: str, want: int) -> None:
    assert allowed_threads({"OMP_NUM_THREADS": value}, tmp_path) == want


@pytest.mark.parametrize(("content", "want"), [("50000 100000", 1), ("max 100000", CPUS), ("100000 100000", 1)])
def test_a_limit_of_the_cgroup_is_kept(tmp_path: Path, content: str, want: int) -> None:
    (tmp_path / "cpu.max").write_text(content + "\n")
    assert allowed_threads({}, tmp_path) == want


@pytest.mark.parametrize(("quota", "want"), [("100000", 1), ("-1", CPUS)])
def test_a_limit_of_an_old_cgroup_is_kept(tmp_path: Path, quota: str, want: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert allowed_threads({}, tmp_path) == want


def test_threads_sleep_while_they_wait_unless_a_person_wants_it_otherwise() -> None:
    environment: dict[str, str] = {}
    share_processors(environment)
    assert environment == {"OMP_WAIT_POLICY": "passive"}
    own = {"OMP_WAIT_POLICY": "active"}
    share_processors(own)
    assert own == {"OMP_WAIT_POLICY": "active"}


def test_the_wait_policy_is_set_before_torch_is_loaded() -> None:
    """OpenMP looks when torch loads it, and never again."""
    program = (
        "import sys, os, bananas_trainer.pod as pod, bananas_trainer.command as command;"
        "assert 'torch' not in sys.modules;"
        "command.prepare();"
        "assert os.environ['OMP_WAIT_POLICY'] == 'passive'"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=100)


def test_a_device_of_any_name_fits_into_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition, a slice of it, " * 2
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    device = device_name(torch.device("cuda"))
    assert name.startswith(device)
    assert Report(trial_uid="u", attempt=1, validation_accuracy=0, device=device).device == device


def test_garbage_is_collected_again_once_torch_is_loaded() -> None:
    def load() -> None:
        with without_collection():
            assert not gc.isenabled()
            raise ImportError("no torch")

    with pytest.raises(ImportError):
        load()
    assert gc.isenabled()
