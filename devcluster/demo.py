"""`make demo`: from a machine with nothing on it to a completed search, and what came of it.

Reads from top to bottom as what a person sees. Every part is a command of its own, too (see `make help`); a part that
is done already is skipped. It never touches a cluster that was not named with CONTEXT.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from devcluster import cluster, images
from devcluster.commands import run
from devcluster.deploy import deploy
from devcluster.errors import DevclusterError, Refused
from devcluster.paths import Paths
from devcluster.steps import say, step
from devcluster.target import Target, root

NAMESPACE = "bananas-demo"
SEARCH = "demo"
REPORT = Path("out") / "demo.html"


def demo(paths: Paths, target: Target, data: Path | None) -> int:
    started = time.monotonic()
    prepare(paths, target)
    deploy(paths, target)
    start_search(paths, target, data)
    code = watch(target)
    if code == 0:
        show(target)
    say(f"the whole took {(time.monotonic() - started) / 60:.1f} minutes")
    tell_how_to_go_on(target)
    return code


def check_data(data: Path | None, target: Target) -> None:
    """Before anything is changed."""
    if data is None:
        return
    if not data.is_file():
        raise DevclusterError(f"DATA: {data} is no file; want an npz file with x_train, y_train, x_test, y_test")
    if not target.is_development_cluster:
        raise DevclusterError(
            "DATA is for the development cluster. On a cluster of yours put the file as images.npz into a claim named data "
            f"in the namespace {NAMESPACE}, and apply manifests/examples/demo-data.yaml."
        )


def prepare(paths: Paths, target: Target) -> None:
    """Everything that the search needs, from nothing."""
    # Says what is missing before anything is changed.
    if target.is_development_cluster:
        cluster.check(paths)
    else:
        images.check()
    _visibly("./setup.sh")
    if target.is_development_cluster:
        _visibly(sys.executable, "-m", "devcluster", "up")


def start_search(paths: Paths, target: Target, data: Path | None) -> None:
    """Takes an earlier demo away and applies the example."""
    example = root() / "manifests" / "examples" / ("demo-data.yaml" if data else "demo.yaml")
    with step("an earlier demo") as current:
        gone = run([*target.kubectl, "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"])
        current.skip("none") if not gone.strip() else current.note("taken away")
        if target.is_development_cluster:
            shutil.rmtree(paths.volumes / NAMESPACE, ignore_errors=True)
    with step(f"kubectl apply -f {example.relative_to(root())}"):
        run([*target.kubectl, "apply", "-f", str(example)])
    if target.is_development_cluster:
        give_volumes(data)


def give_volumes(data: Path | None) -> None:
    """Directories of the node behind the claims of the example: this cluster has no storage class."""
    volume = [sys.executable, "-m", "devcluster", "volume", "--namespace", NAMESPACE]
    run([*volume, "checkpoints"], cwd=root())
    if data:
        file = root() / "out" / "images.npz"  # the name that the example asks for
        file.parent.mkdir(exist_ok=True)
        shutil.copyfile(data, file)
        run([*volume, "data", "--copy", str(file)], cwd=root())
        file.unlink()


def watch(target: Target) -> int:
    """The live view, until the search is Complete (0) or has failed (1)."""
    return _plugin(target, "status", SEARCH, "--watch", "--timeout", "1800")


def show(target: Target) -> None:
    """The table of trials, the best cell, the report."""
    _plugin(target, "trials", SEARCH)
    _plugin(target, "best", SEARCH, "--format", "drawing")
    (root() / REPORT).parent.mkdir(exist_ok=True)
    _plugin(target, "report", SEARCH, "--output", str(REPORT))


def tell_how_to_go_on(target: Target) -> None:
    kubectl = " ".join(target.kubectl)
    say(f"look further:        {kubectl} get nassearches,nastrials -n {NAMESPACE}")
    if target.is_development_cluster:
        say('or, with the plugin: eval "$(python3 -m devcluster env)"; export PATH=$PWD/.venv/bin:$PATH')
        say(f"                     kubectl nas status {SEARCH} -n {NAMESPACE}")
        say("take it all down:    make cluster-down")
    else:
        say(f"take the demo away:  {kubectl} delete namespace {NAMESPACE}")


def _visibly(*command: str) -> None:
    done = subprocess.run(command, cwd=root(), check=False)
    if done.returncode:
        raise DevclusterError(
            f"`{' '.join(command)}` failed with exit code {done.returncode}; what it printed says why"
        )


def _plugin(target: Target, *arguments: str) -> int:
    command = [
        str(root() / ".venv" / "bin" / "kubectl-nas"),
        *arguments,
        "--namespace",
        NAMESPACE,
        *target.plugin_options,
    ]
    return subprocess.run(command, cwd=root(), check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="A real search on a real Kubernetes, from nothing.")
    parser.add_argument("--context", help="a cluster of yours, by the name of its kubectl context")
    parser.add_argument("--image-prefix", help="where its nodes pull images from: registry/path")
    parser.add_argument("--data", type=Path, help="an npz file with x_train, y_train, x_test, y_test")
    options = parser.parse_args()
    paths = Paths.from_environment()
    try:
        target = Target.choose(paths, context=options.context, image_prefix=options.image_prefix)
        check_data(options.data, target)
        return demo(paths, target, options.data)
    except Refused as refusal:
        say(f"the demo cannot run here. Nothing was changed.\n{refusal}")
        return 2
    except DevclusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted. `make demo` goes on from here; a search that has begun goes on in the cluster")
        return 130


if __name__ == "__main__":
    sys.exit(main())
