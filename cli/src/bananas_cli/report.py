"""A search as one HTML file: opens anywhere, needs no network and no script, and can be printed or sent.

A pure function of a snapshot, the search as it stands in the API, and the time.
"""

import platform
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.metadata import version
from typing import Final

import yaml

from bananas_cli.formatting import duration, origin, percent, predicted, short, with_seeds
from bananas_cli.plots import Point, accuracy_plot, forecast_plot
from bananas_cli.snapshot import RawObject, Search, Snapshot, Trial, parse_time
from bananas_cli.statistics import rank_correlation
from bananas_core import constants
from bananas_core.spaces.drawing import draw

STYLE: Final = """
:root { --ink: #1d2733; --pale: #66758a; --line: #d9e0e8; --paper: #ffffff; --soft: #f4f6f9;
        --mutated: #2166c2; --random: #9aa8ba; --best: #1c9a5b; --bad: #c43c3c; --warn: #a86a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf2; --pale: #93a1b5; --line: #2d3949; --paper: #121922; --soft: #1a2430;
          --mutated: #6ba7f5; --random: #6d7d92; --best: #45c98a; --bad: #ef7a7a; --warn: #e0ac4e; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper);
       max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 10px; }
.kind { color: var(--pale); margin: 2px 0 20px; }
.phase { font-size: 13px; padding: 2px 10px; border-radius: 10px; border: 1px solid currentColor; vertical-align: 4px;
         margin-left: 10px; }
.Complete { color: var(--best); } .Failed { color: var(--bad); } .Stalled, .Suspended { color: var(--warn); }
.Running { color: var(--mutated); }
.notice { border-left: 4px solid currentColor; background: var(--soft); padding: 8px 14px; margin: 10px 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 20px 0; }
.fact { background: var(--soft); border-radius: 8px; padding: 12px 16px; }
.fact b { display: block; font-size: 22px; } .fact span { color: var(--pale); font-size: 13px; display: block; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 24px; }
figure { margin: 0; } figcaption { color: var(--pale); font-size: 13px; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--pale); }
.grid { stroke: var(--line); stroke-width: 1; fill: none; } .axis { stroke: var(--pale); fill: none; }
.best { stroke: var(--best); stroke-width: 2; fill: none; } .diagonal { stroke: var(--pale); stroke-dasharray: 4 4; fill: none; }
.spread { stroke: var(--mutated); opacity: .35; fill: none; }
.mutated { fill: var(--mutated); } .random { fill: var(--random); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin: 0 4px 0 12px; }
.key.mutated { background: var(--mutated); } .key.random { background: var(--random); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; color: var(--pale); font-weight: 600; border-bottom: 1px solid var(--pale); }
th, td { padding: 4px 10px; } td { border-bottom: 1px solid var(--line); }
.o { white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--soft); border-radius: 8px; padding: 14px 18px; overflow-x: auto; font: 13px/1.45 "DejaVu Sans Mono",
      ui-monospace, Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; font-size: 12.5px; }
@media print { body { max-width: none; padding: 0; } .plots { grid-template-columns: 1fr 1fr; } }
"""


def report_html(snapshot: Snapshot, raw_search: RawObject, now: datetime) -> str:
    """The text of the file."""
    search = snapshot.search
    title = f"{search.name} · neural architecture search"
    sections = [
        _head(search),
        _notices(search),
        _facts(snapshot, now),
        _plots(snapshot),
        _best(snapshot),
        _promotion(search),
        _table(snapshot),
        _settings(raw_search, snapshot, now),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def points(snapshot: Snapshot) -> list[Point]:
    """The results as the plots take them, in the order in which they ended."""
    return [
        Point(
            name=trial.name,
            measured=accuracy,
            mutated=trial.spec.origin.method == "mutation",
            predicted=trial.spec.origin.predicted_mean,
            spread=trial.spec.origin.predicted_standard_deviation,
        )
        for trial, accuracy in snapshot.results()
    ]


def _head(search: Search) -> str:
    kind = f"namespace {search.namespace} · space {search.spec.space} · strategy {search.spec.strategy.name} · "
    if search.spec.evaluator == "train":
        kind += "trained by Jobs"
    elif search.spec.table is not None and search.spec.table.file is not None:
        kind += f"looked up in {search.spec.table.file}"
    else:
        kind += "looked up in the toy table: the accuracies are synthetic"
    return (
        f'<h1>{escape(search.name)}<span class="phase {search.phase}">{search.phase}</span></h1>\n'
        f'<p class="kind">{escape(kind)}</p>'
    )


def _notices(search: Search) -> str:
    out = []
    for kind in (constants.CONDITION_FAILED, constants.CONDITION_STALLED):
        condition = search.condition(kind)
        if condition is not None:
            out.append(f'<p class="notice {kind}"><b>{escape(condition.reason)}</b>: {escape(condition.message)}</p>')
    return "\n".join(out)


def _facts(snapshot: Snapshot, now: datetime) -> str:
    search = snapshot.search
    status, counts = search.status, search.status.trials
    facts = [
        (
            f"{snapshot.ended} of {search.spec.budget.trials}",
            "trials ended",
            f"{counts.succeeded} succeeded, {counts.failed} failed, {counts.running + counts.queued} in flight",
        )
    ]
    if status.best is not None:
        facts.append((percent(status.best.validation_accuracy), "best validation accuracy", status.best.trial))
    forecast = status.predictor
    if forecast is not None and forecast.rank_correlation is not None:
        error = forecast.mean_absolute_error
        words = f"{forecast.forecasts} forecasts" + (
            "" if error is None else f", off by {100 * error:.2f} points on average"
        )
        facts.append((f"{forecast.rank_correlation:.2f}", "rank correlation of the predictor", words))
    wasted = f"{duration(status.gpu_seconds.wasted)} without a result"
    facts.append((duration(status.gpu_seconds.used), "GPU time", wasted))
    start = parse_time(status.start_time)
    if start is not None:
        end = parse_time(status.completion_time)
        took = ((end or now) - start).total_seconds()
        facts.append(
            (
                duration(took),
                "from the first trial" + (" to the end" if end else " until now"),
                f"{start:%d %b %Y %H:%M} UTC",
            )
        )
    cells = "\n".join(
        f'<div class="fact"><b>{escape(value)}</b>{escape(what)}<span>{escape(more)}</span></div>'
        for value, what, more in facts
    )
    return f'<div class="facts">\n{cells}\n</div>'


def _plots(snapshot: Snapshot) -> str:
    found = points(snapshot)
    if not found:
        return '<p class="kind">No trial has a result yet.</p>'
    key = '<span class="key random"></span>random<span class="key mutated"></span>chosen by the predictor'
    figures = [
        f"<figure><h2>Accuracy over the search</h2>\n{accuracy_plot(found)}\n"
        f"<figcaption>Green: the best so far.{key}. Triangles at the lower edge lie below it.</figcaption></figure>"
    ]
    forecast = [(point.predicted, point.measured) for point in found if point.predicted is not None]
    if forecast:
        correlation = rank_correlation([p for p, _ in forecast], [m for _, m in forecast])
        words = "too few to rank" if correlation is None else f"Spearman rank correlation {correlation:.2f}"
        figures.append(
            f"<figure><h2>Predicted and measured</h2>\n{forecast_plot(found)}\n<figcaption>{len(forecast)} results that were "
            f"forecast; {words}. Bars: one predicted standard deviation to each side.</figcaption></figure>"
        )
    return '<div class="plots">\n' + "\n".join(figures) + "\n</div>"


def _best(snapshot: Snapshot) -> str:
    winner = snapshot.winner()
    if winner is None:
        return ""
    best, accuracy = winner
    words = [f"{best.name}, validation accuracy {accuracy}"]
    if best.status.test_accuracy is not None:
        words.append(f"test accuracy {percent(best.status.test_accuracy)}")
    if best.status.parameters is not None:
        words.append(f"{best.status.parameters:,} parameters")
    architecture = best.spec.architecture
    return (
        f"<h2>The best cell</h2>\n<p>{escape(', '.join(words))}</p>\n<pre>{escape(draw(architecture))}</pre>\n"
        f"<p><code>{escape(architecture.to_text())}</code></p>"
    )


def _promotion(search: Search) -> str:
    promotion = search.status.promotion
    if promotion is None or not promotion.results:
        return ""
    heads = ("trial", "validation accuracy in the search", "test accuracy, trained to the end", "failed", "parameters")
    head = "".join(f'<th class="{"n" if name != "trial" else ""}">{name}</th>' for name in heads)
    rows = []
    for result in promotion.results:
        cells = (
            ("", result.trial),
            ("n", percent(result.validation_accuracy)),
            ("n", "–" if result.test_accuracy is None else with_seeds(result)),
            ("n", str(result.failed)),
            ("n", "–" if result.parameters is None else f"{result.parameters:,}"),
        )
        rows.append("<tr>" + "".join(f'<td class="{kind}">{escape(text)}</td>' for kind, text in cells) + "</tr>")
    words = (
        f"{promotion.ended} of {promotion.trainings} trainings have ended; mean ± standard deviation over the seeds."
    )
    return (
        f"<h2>Trained to the end</h2>\n<p>{words} Chosen by validation accuracy; the test images were opened by these "
        f'trainings only.</p>\n<div class="wide"><table>\n<tr>{head}</tr>\n' + "\n".join(rows) + "\n</table></div>"
    )


def _table(snapshot: Snapshot) -> str:
    rows = [*snapshot.ranked(), *(trial for trial in snapshot.trials if trial.accuracy is None)]
    if not rows:
        return ""
    heads = ("#", "accuracy", "architecture", "origin", "predicted", "parameters", "attempts", "time")
    numeric = {"#", "accuracy", "predicted", "parameters", "attempts", "time"}
    head = "".join(f'<th class="{"n" if name in numeric else ""}">{name}</th>' for name in heads)
    body = "\n".join(_row(trial) for trial in rows)
    return f'<h2>Trials</h2>\n<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


def _row(trial: Trial) -> str:
    status = trial.status
    result = percent(trial.accuracy) if trial.accuracy is not None else status.phase.lower()
    why = status.failure.message if status.failure is not None and status.phase == "Failed" else status.message
    architecture = short(trial.spec.architecture) + (f" — {why}" if why and trial.accuracy is None else "")
    cells: Sequence[tuple[str, str]] = (
        ("n", str(trial.spec.index)),
        ("n", result),
        ("", architecture),
        ("o", origin(trial)),
        ("n", predicted(trial)),
        ("n", "–" if status.parameters is None else f"{status.parameters:,}"),
        ("n", str(status.attempts)),
        ("n", "–" if trial.seconds is None else duration(trial.seconds)),
    )
    return "<tr>" + "".join(f'<td class="{kind}">{escape(text)}</td>' for kind, text in cells) + "</tr>"


def _settings(raw: RawObject, snapshot: Snapshot, now: datetime) -> str:
    manifest = {
        "apiVersion": constants.API_VERSION,
        "kind": constants.SEARCH_KIND,
        "metadata": {"name": raw["metadata"]["name"], "namespace": raw["metadata"]["namespace"]},
        "spec": raw["spec"],
    }
    done = [trial.status for trial in snapshot.trials]
    devices = sorted({status.device for status in done if status.device})
    digests = sorted({status.data_digest for status in done if status.data_digest})
    facts = [
        f"API {constants.API_VERSION}",
        f"kubectl-nas {version('bananas-cli')}, Python {platform.python_version()}",
        f"made {now.isoformat(timespec='seconds')}",
        f"search UID {snapshot.search.uid}",
        *(f"device {device}" for device in devices),
        *(f"data {digest}" for digest in digests),
    ]
    text = yaml.safe_dump(manifest, sort_keys=False, width=100)
    return (
        f"<h2>Settings</h2>\n<p>search.yaml with all defaults, as the API server keeps it:</p>\n<pre>{escape(text)}</pre>\n"
        f"<h2>Versions</h2>\n<p><code>{'<br>'.join(escape(fact) for fact in facts)}</code></p>"
    )
