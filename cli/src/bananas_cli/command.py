"""The commands of `kubectl nas`. They read searches and trials from the cluster and show them; only `retry` and `cancel` ask for
a change.

Exit codes: 0 done, 1 an error (one line on standard error) or a failed search, 2 wrong usage; for `status --watch` also 124,
`--timeout` passed, and 130, Ctrl-C.
"""

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bananas_cli.best import BestFormat, best_json, drawing_view, genotype_text
from bananas_cli.cluster import Cluster
from bananas_cli.errors import CliError, NotPossible
from bananas_cli.export import export_json
from bananas_cli.ground import survey
from bananas_cli.logs import Wanted, log_pieces
from bananas_cli.manifest import read_manifest
from bananas_cli.plan import plan as make_plan
from bananas_cli.plan_view import plan_json, plan_view
from bananas_cli.report import report_html
from bananas_cli.snapshot import RawObject, Snapshot, parse_search, parse_snapshot
from bananas_cli.status import status_view
from bananas_cli.steering import cancel as cancel_trial
from bananas_cli.steering import retry as retry_trial
from bananas_cli.trials import trials_view
from bananas_cli.watching import watch

INTERRUPTED: Final = 130

commands = typer.Typer(
    name="kubectl nas",
    help="Looks at neural architecture searches, and steers their trials.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the NASSearch.")]
TrialNames = Annotated[list[str], typer.Argument(metavar="TRIAL...", help="Names of NASTrials.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Its namespace. Unset: that of the context.", show_default=False)
]
Context = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig. Unset: the current one.", show_default=False)
]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Kubeconfig file. Unset: as kubectl.", show_default=False)
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write. Unset: standard output.", show_default=False)
]
Limit = Annotated[int, typer.Option(help="Rows to show, best first; 0 is all.", min=0)]


class PlanFormat(StrEnum):
    """For whom a plan is."""

    SCREEN = "screen"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Subject:
    """The search that a command is about, and where it is."""

    name: str
    cluster: Cluster

    def fetch(self) -> tuple[RawObject, list[RawObject]]:
        """The search and its trials as the API server gives them."""
        search = self.cluster.search(self.name)
        return search, self.cluster.trials(parse_search(search).uid)

    def look(self) -> Snapshot:
        """The search and its trials now."""
        return parse_snapshot(*self.fetch())


@commands.command()
def status(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    watching: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it live until it is Complete (exit code 0) or Failed (1).")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(help="With --watch: seconds after which to end, with exit code 124.", min=0, show_default=False),
    ] = None,
    table: Annotated[bool, typer.Option("--all", help="The table of all trials below.")] = False,
) -> None:
    """How a search is doing, on one screen."""
    subject = Subject(name, Cluster.of(kubeconfig, context, namespace))
    console, code = _console(), 0
    if watching:
        try:
            code = watch(subject.look, console, _now, timeout)
        except KeyboardInterrupt:
            _say_that_it_goes_on(subject)
            raise typer.Exit(INTERRUPTED) from None
        if not table:
            raise typer.Exit(code)
    snapshot = subject.look()
    if not watching:
        console.print(status_view(snapshot, _now()))
    if table:
        console.print(trials_view(snapshot))
    raise typer.Exit(code)


@commands.command()
def trials(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    limit: Limit = 50,
) -> None:
    """The trials of a search, best first."""
    subject = Subject(name, Cluster.of(kubeconfig, context, namespace))
    _console().print(trials_view(subject.look(), limit or None))


@commands.command()
def best(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    form: Annotated[
        BestFormat,
        typer.Option("--format", help="drawing for people, genotype for bananas-trainer, json for programs."),
    ] = BestFormat.DRAWING,
) -> None:
    """The best architecture found so far."""
    snapshot = Subject(name, Cluster.of(kubeconfig, context, namespace)).look()
    match form:
        case BestFormat.DRAWING:
            _console().print(drawing_view(snapshot))
        case BestFormat.GENOTYPE:
            print(genotype_text(snapshot))
        case BestFormat.JSON:
            print(best_json(snapshot))


@commands.command()
def report(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write. Unset: NAME.html here.", show_default=False)
    ] = None,
) -> None:
    """One HTML file with plots, trials, the best cell and all settings; prints where it is."""
    search, raw_trials = Subject(name, Cluster.of(kubeconfig, context, namespace)).fetch()
    path = output or Path(f"{name}.html")
    _write(path, report_html(parse_snapshot(search, raw_trials), search, _now()))
    print(path.resolve())


@commands.command()
def export(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: Output = None,
) -> None:
    """The search and its trials, as they are in the API, as one JSON file."""
    search, raw_trials = Subject(name, Cluster.of(kubeconfig, context, namespace)).fetch()
    text = export_json(search, raw_trials, _now())
    if output is None:
        print(text)
    else:
        _write(output, text + "\n")


@commands.command()
def plan(
    file: Annotated[Path, typer.Option("--filename", "-f", help="File with a NASSearch; - is standard input.")],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Search to take times from. Unset: one with the same recipe, if there is any.", show_default=False
        ),
    ] = None,
    output: Annotated[
        PlanFormat, typer.Option("--output", "-o", help="screen for people, json for programs.")
    ] = PlanFormat.SCREEN,
) -> None:
    """What a search would be: its Jobs, volumes, quota, image, nodes and GPU hours. Nothing is made.

    Exit code 1 if it would be refused or could not run.
    """
    manifest = read_manifest(file)
    if namespace and manifest.namespace and namespace != manifest.namespace:
        raise NotPossible(
            f"{file}: metadata.namespace is {manifest.namespace}, -n says {namespace}; want the same, or one of them"
        )
    cluster = Cluster.of(kubeconfig, context, namespace or manifest.namespace)
    found = make_plan(manifest, survey(cluster, manifest, like))
    match output:
        case PlanFormat.SCREEN:
            _console().print(plan_view(found))
        case PlanFormat.JSON:
            print(plan_json(found))
    raise typer.Exit(1 if found.bad else 0)


@commands.command()
def logs(
    name: Annotated[
        str,
        typer.Argument(metavar="TRIAL|SEARCH", help="Name of a NASTrial; or of a NASSearch, for its predictor's log."),
    ],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the container ends.")] = False,
    attempt: Annotated[
        int | None, typer.Option(help="Attempt of the trial. Unset: the last that has a pod.", show_default=False)
    ] = None,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the container before the last restart.")
    ] = False,
    tail: Annotated[int | None, typer.Option(help="Last lines only. Unset: all.", min=0, show_default=False)] = None,
) -> None:
    """What a trial's training, or a search's predictor, has written."""
    cluster = Cluster.of(kubeconfig, context, namespace)
    wanted = Wanted(attempt, follow, previous, tail)
    try:
        for piece in log_pieces(cluster, name, wanted, lambda text: print(text, file=sys.stderr)):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the very end
        raise typer.Exit from None


@commands.command()
def retry(
    names: TrialNames, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Tries trials again now: ends the wait after an error, or has a failed architecture offered anew."""
    _steer(names, Cluster.of(kubeconfig, context, namespace), retry_trial)


@commands.command()
def cancel(
    names: TrialNames, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Gives trials up: a running attempt is stopped, and another architecture takes the slot. Not to be undone."""
    _steer(names, Cluster.of(kubeconfig, context, namespace), cancel_trial)


def app() -> None:
    """The program: the commands, with every error of ours as one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows ? for a bar, not a traceback
    try:
        commands()
    except CliError as error:
        _complain(error)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output (head, less) has gone; nothing is wrong
        sys.exit(0)


def _steer(names: list[str], cluster: Cluster, steer: Callable[[Cluster, str, datetime], str]) -> None:
    """Each trial by itself: one that cannot be steered does not keep the others from it."""
    failed = False
    for name in names:
        try:
            print(steer(cluster, name, _now()))
        except CliError as error:
            _complain(error)
            failed = True
    if failed:
        raise typer.Exit(1)


def _complain(error: CliError) -> None:
    print(f"kubectl nas: {error}", file=sys.stderr)


def _console() -> Console:
    return Console()


def _now() -> datetime:
    return datetime.now(UTC).astimezone()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}; name another file with -o") from error


def _say_that_it_goes_on(subject: Subject) -> None:
    where = f"{shlex.quote(subject.name)} -n {subject.cluster.namespace}"
    print(
        f"\nThe search goes on in the cluster. Look again: kubectl nas status {where} --watch\n"
        f"To end it and delete its trials: kubectl delete nassearch {where}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    app()
