"""A plan for a person, on one screen, and for a program, as JSON. Pure functions of the plan."""

import json
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bananas_cli.formatting import duration
from bananas_cli.plan import Check, Cost, Outcome, Plan

SIGNS: Final[dict[Outcome, tuple[str, str]]] = {
    "good": ("✓", "green"),
    "doubtful": ("!", "yellow"),
    "bad": ("✗", "bold red"),
    "unknown": ("?", "bright_black"),
}
NODES: Final = 6
"""Nodes that are listed; more would push the verdict off a small terminal."""


def plan_view(plan: Plan) -> RenderableType:
    """The whole screen."""
    style = "red" if plan.bad else "green"
    parts: list[RenderableType] = []
    if plan.trials:
        parts += [_figures(plan), Text()]
    parts.append(_checks(plan.checks))
    if plan.nodes:
        parts.append(_nodes(plan))
    return Panel(
        Group(*parts),
        title=Text.assemble("plan of ", (plan.name, "bold"), (f"  {plan.kind}", "bright_black")),
        title_align="left",
        subtitle=Text(verdict(plan), style=f"bold {style}"),
        subtitle_align="right",
        border_style=style,
        box=box.ROUNDED,
        padding=(0, 1),
    )


def verdict(plan: Plan) -> str:
    """What comes of it, in a few words."""
    if plan.bad:
        return f"would not run: {', '.join(dict.fromkeys(check.subject for check in plan.bad))}"
    unknown = sum(check.outcome == "unknown" for check in plan.checks)
    return "nothing speaks against it" + (f", {unknown} not known" if unknown else "") + "; nothing was made"


def plan_json(plan: Plan) -> str:
    """Everything, with the Job of a dry run as a sample."""
    cost = plan.cost
    told: dict[str, Any] = {
        "namespace": plan.namespace,
        "name": plan.name,
        "runs": not plan.bad,
        "verdict": verdict(plan),
        "checks": [{"subject": c.subject, "outcome": c.outcome, "message": c.message} for c in plan.checks],
        "jobs": {
            "trials": plan.trials,
            "first": plan.first_job,
            "last": plan.last_job,
            "parallelism": plan.parallelism,
            "atOnce": plan.at_once,
            "requests": plan.requests,
            "image": plan.image,
            "sample": plan.sample,
        },
        "nodes": None
        if plan.nodes is None
        else [{"name": room.name, "trials": room.trials, "ready": room.ready} for room in plan.nodes],
        "cost": None
        if cost is None
        else {
            "gpusPerTrial": cost.gpus_per_trial,
            "secondsPerTrial": cost.seconds_per_trial,
            "source": cost.source,
            "gpuHours": cost.gpu_hours,
            "boundGpuHours": cost.bound_gpu_hours,
            "durationSeconds": cost.duration_seconds,
        },
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _figures(plan: Plan) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bright_black", no_wrap=True)
    table.add_column()
    at_once = f"{plan.at_once} at once" + (
        f" (parallelism {plan.parallelism})" if plan.at_once < plan.parallelism else ""
    )
    table.add_row("Jobs", f"{plan.trials}, {plan.first_job} to {plan.last_job}, {at_once}")
    asks = ", ".join(f"{name} {amount}" for name, amount in plan.requests.items())
    table.add_row("each asks for", asks or Text("nothing: a trial may take what its node has", style="yellow"))
    if plan.cost is not None:
        table.add_row("GPU hours", _gpu_hours(plan.cost))
        table.add_row("time", _time(plan.cost))
    return table


def _gpu_hours(cost: Cost) -> Text:
    bound = "" if cost.bound_gpu_hours is None else f", at most {_hours(cost.bound_gpu_hours)} by deadline or budget"
    if cost.gpus_per_trial == 0:
        return Text("none: a trial asks for no GPU")
    if cost.gpu_hours is None:
        return Text(f"not known{bound}: {cost.source}", style="" if bound else "yellow")
    return Text(f"about {_hours(cost.gpu_hours)}{bound}")


def _time(cost: Cost) -> Text:
    if cost.seconds_per_trial is None:
        return Text("not known" if cost.gpus_per_trial else cost.source, style="bright_black")
    each = f"{duration(cost.seconds_per_trial)} a trial ({cost.source})"
    if cost.duration_seconds is None:
        return Text(each)
    return Text(f"about {duration(cost.duration_seconds)}; {each}")


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours < 100 else f"{hours:,.0f}"


def _checks(checks: tuple[Check, ...]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for check in checks:
        sign, style = SIGNS[check.outcome]
        table.add_row(Text(sign, style=style), Text(check.subject, style="bold"), Text(check.message))
    return table


def _nodes(plan: Plan) -> RenderableType:
    assert plan.nodes is not None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("node", no_wrap=True)
    table.add_column("trials at once, when empty", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    ranked = sorted(plan.nodes, key=lambda room: (not room.ready, -room.trials, room.name))
    for room in ranked[:NODES]:
        table.add_row(room.name, str(room.trials), "" if room.ready else Text("not ready", style="yellow"))
    if len(ranked) <= NODES:
        return table
    return Group(table, Text(f"{len(ranked) - NODES} more; -o json has all", style="bright_black"))
