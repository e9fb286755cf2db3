"""The folders install into a fresh environment, as docs/command.md says, and the command starts there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.prefix) / "bin" / "uv"


def uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(900)  # torch, where the cache of uv has none
def test_the_folders_install_into_a_fresh_environment_and_the_command_starts(tmp_path: Path) -> None:
    if not UV.exists():
        pytest.skip(f"{UV} is not there; `make setup` installs it")
    python, pins, small = tmp_path / "venv" / "bin" / "python", tmp_path / "pins.txt", tmp_path / "small.in"
    pinned = re.findall(r"^(\S+==.*?) *\\?$", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    pins.write_text("\n".join(pinned) + "\n")
    made = uv("venv", "--python", sys.executable, tmp_path / "venv")
    assert made.returncode == 0, made.stderr
    install = ("pip", "install", "--python", python, "-c", pins, "./core", "./tables", "./predictor[plots]")
    if uv(*install, "--offline").returncode:
        small.write_text("hatchling\n")
        reached = uv("pip", "compile", "--no-cache", small)
        if reached.returncode:
            pytest.skip(f"neither the cache of uv nor a package index has what is needed: {reached.stderr[-300:]}")
        done = uv(*install)
        assert done.returncode == 0, done.stderr
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    bananas = python.parent / "bananas"
    for arguments, want in (
        (["--help"], "search"),
        (["search", "--space", "nasbench201", "--strategy", "random", "--trials", "3"], "best validation"),
    ):
        ran = subprocess.run(
            [bananas, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        assert want in ran.stdout
