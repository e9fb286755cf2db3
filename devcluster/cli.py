"""The commands, and the lock that keeps two of them apart.

A table of contents; every command lives in the module of its name.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from devcluster import binary, cluster, images, processes, teardown, volumes
from devcluster.errors import DevclusterError, Refused
from devcluster.paths import Paths
from devcluster.steps import say

# Of the machine, not of a state folder: two clusters would want the same addresses.
LOCK = Path("/run/bananas-devcluster.lock")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    paths = Paths.from_environment()
    try:
        return _flushed(_run(options, paths))
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the very end
        return 0
    except Refused as refusal:
        say(f"a cluster cannot run here. Nothing was changed.\n{refusal}")
        return 2
    except DevclusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; `up` goes on from here, `down` takes away what there is")
        return 130


def _flushed(code: int) -> int:
    """The exit code, once what was printed is out: a reader that has gone is noticed here and not at the very end."""
    sys.stdout.flush()
    return code


def _run(options: argparse.Namespace, paths: Paths) -> int:
    match options.command:
        case "check":
            cluster.check(paths)
        case "build":
            binary.ensure(paths)
        case "up":
            cluster.check(paths)
            with _lock():
                cluster.check(paths)  # again: what we waited for may have changed the answer
                cluster.up(paths)
        case "down":
            _need_root("down")
            with _lock():
                teardown.purge(paths) if options.purge else teardown.down(paths)
        case "images":
            _images(options, paths)
        case "own-image":
            _need_root("own-image")
            cluster.check_disk(paths)
            print(images.load_own(paths, options.name, options.dockerfile.resolve(), options.on))
        case "volume":
            print(
                volumes.ensure(
                    paths, options.name, namespace=options.namespace, copies=options.copy, read_only=options.read_only
                )
            )
        case "env":
            print(f"export KUBECONFIG={paths.kubeconfig}\nexport PATH={paths.bin}:$PATH")
        case "status":
            return _status(paths, as_json=options.json)
        case _:  # argparse lets nothing else through
            raise AssertionError(options.command)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devcluster", description="A real Kubernetes of one node on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say whether a cluster can run here; change nothing")
    commands.add_parser("build", help="build the Kubernetes program only")
    commands.add_parser("up", help="start the cluster, or what is missing of it")
    down = commands.add_parser("down", help="take the cluster away; images stay")
    down.add_argument("--purge", action="store_true", help="remove the state folder, images included")
    image = commands.add_parser(
        "images", help="build what changed and put it on the node; prints a line `name reference` for each"
    )
    image.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(images.NAMES)}; all when none is named")
    image.add_argument("--build-only", action="store_true", help="needs no cluster")
    image.add_argument(
        "--prefix", metavar="REGISTRY/PATH", help="name them for a registry instead, for a cluster that is not ours"
    )
    image.add_argument("--push", action="store_true", help="push them there (log in with `buildah login` first)")
    own = commands.add_parser(
        "own-image", help="build an image of yours on top of one of ours and put it on the node; prints its reference"
    )
    own.add_argument("name", help="of your image")
    own.add_argument(
        "dockerfile", type=Path, help="its folder is what COPY sees; ARG PREDICTOR_IMAGE, say, is the image below"
    )
    own.add_argument("--on", required=True, choices=images.NAMES, help="the image below")
    volume = commands.add_parser("volume", help="make a claim that pods share; prints its folder")
    volume.add_argument("name", help="of the claim")
    volume.add_argument("--namespace", default="default")
    volume.add_argument("--copy", nargs="+", type=Path, default=[], metavar="FILE", help="put these files into it")
    volume.add_argument("--read-only", action="store_true")
    commands.add_parser("env", help="print shell lines that make kubectl use the cluster")
    status = commands.add_parser("status", help="exit code 0 when the cluster is up")
    status.add_argument("--json", action="store_true", help="print the paths of everything")
    return parser


def _images(options: argparse.Namespace, paths: Paths) -> None:
    _need_root("images")
    cluster.check_disk(paths)
    names = tuple(dict.fromkeys(options.names)) or images.NAMES
    if options.prefix:
        references = images.push(paths, names, options.prefix, upload=options.push)
    elif options.build_only:
        references = images.build(paths, names)
    else:
        references = images.load(paths, names)
    for name, reference in references.items():
        print(name, reference)


def _need_root(command: str) -> None:
    if os.geteuid() != 0:
        raise Refused(
            [
                f"`{command}` needs root (this is user {os.geteuid()}): it works on mounts and namespaces. Run it with sudo."
            ]
        )


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another devcluster command is running; waiting for its end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _status(paths: Paths, *, as_json: bool) -> int:
    running = processes.leaders(paths.state)
    is_up = cluster.is_up(paths)
    if as_json:
        facts = {
            "up": is_up,
            "state": paths.state,
            "kubeconfig": paths.kubeconfig,
            "kubectl": paths.kubectl,
            "audit_log": paths.audit_log,
            "volumes": paths.volumes,
            "containerd_socket": paths.containerd_socket,
            "logs": paths.logs,
            "pod_logs": paths.pod_logs,
            "processes": {part: running[part].pid for part in cluster.PARTS if part in running},
        }
        print(json.dumps(facts, default=str, indent=2))
    else:
        for part in cluster.PARTS:
            print(f"{part:24} {f'process {running[part].pid}' if part in running else 'not running'}")
        print(f"The cluster is {'up' if is_up else 'not up'}.")
    return 0 if is_up else 1


if __name__ == "__main__":
    sys.exit(main())
