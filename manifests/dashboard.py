"""The Grafana dashboard, as a function: `generate.py` writes it to monitoring/grafana-dashboard.json.

One row per question a person has while a search runs: how far is it, how good is it, does the predictor know anything,
what does it cost, is something wrong. Every query is run against a real Prometheus by tests/cluster/test_monitoring.py.
"""

from typing import Any

from bananas_core import constants as c

Panel = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_SEARCH = '{namespace=~"$namespace",search=~"$search"}'
BY_SEARCH = "{{namespace}}/{{search}}"


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it (schema version 39, Grafana 10 and later)."""
    panels = [
        _stat("Trials done", f"sum({c.METRIC_TRIALS}{_of(phase='Succeeded')})", 0, 0),
        _stat("Budget", f"sum({c.METRIC_BUDGET_TRIALS}{OF_SEARCH})", 4, 0),
        _stat(
            "Best validation accuracy",
            f"max({c.METRIC_BEST_ACCURACY}{OF_SEARCH})",
            8,
            0,
            unit="percentunit",
            decimals=2,
        ),
        _stat("Rank correlation of forecasts", f"max({c.METRIC_RANK_CORRELATION}{OF_SEARCH})", 12, 0, decimals=2),
        _stat("GPU hours", f"sum({c.METRIC_GPU_SECONDS}{OF_SEARCH}) / 3600", 16, 0, decimals=2),
        _stat("Stalled searches", f"sum({c.METRIC_CONDITION}{_of(condition='Stalled')})", 20, 0, red_above=0.5),
        _graph(
            "Trials by phase",
            [(f"sum by (phase) ({c.METRIC_TRIALS}{OF_SEARCH})", "{{phase}}")],
            0,
            4,
            stacked=True,
            description="All trials of the chosen searches; Cancelled ones were never admitted and cost nothing.",
        ),
        _graph(
            "Best validation accuracy",
            [(f"{c.METRIC_BEST_ACCURACY}{OF_SEARCH}", BY_SEARCH)],
            12,
            4,
            unit="percentunit",
            description="The best result of each search so far.",
        ),
        _graph(
            "Forecasts of the predictor",
            [
                (f"{c.METRIC_RANK_CORRELATION}{OF_SEARCH}", f"{BY_SEARCH} rank correlation"),
                (f"{c.METRIC_ABSOLUTE_ERROR}{OF_SEARCH}", f"{BY_SEARCH} mean absolute error"),
            ],
            0,
            12,
            description="Spearman correlation and mean absolute error of forecasts against what came true. A correlation "
            "near 0 after a few dozen results: the predictor is no better than chance.",
        ),
        _graph(
            "GPU seconds",
            [
                (f"sum by (search) ({c.METRIC_GPU_SECONDS}{OF_SEARCH})", "{{search}} used"),
                (f"sum by (search) ({c.METRIC_GPU_SECONDS_WASTED}{OF_SEARCH})", "{{search}} wasted"),
            ],
            12,
            12,
            unit="s",
            description="GPU time of ended attempts; wasted is that of attempts which gave no result.",
        ),
        _graph(
            "Free slots",
            [
                (f"{c.METRIC_FREE_SLOTS}{OF_SEARCH}", BY_SEARCH),
                (f"{c.METRIC_PARALLELISM}{OF_SEARCH}", f"{BY_SEARCH} parallelism"),
            ],
            0,
            20,
            description="Slots that no trial fills. More than 0 for long: proposals or the cluster are the bottleneck.",
        ),
        _graph(
            "Seconds per fit, and per pass of the operator",
            [
                (f"{c.METRIC_FIT_SECONDS}{OF_SEARCH}", f"{BY_SEARCH} fit"),
                (
                    f"sum(rate({c.METRIC_RECONCILE_SECONDS}_sum[5m])) / sum(rate({c.METRIC_RECONCILE_SECONDS}_count[5m]))",
                    "pass of the operator",
                ),
            ],
            12,
            20,
            unit="s",
            description="How long the last fit of each predictor took, and a mean pass of the operator.",
        ),
        _graph(
            "Interruptions",
            [(f"sum by (search, cause) ({c.METRIC_INTERRUPTIONS}{OF_SEARCH})", "{{search}} {{cause}}")],
            0,
            28,
            description="Attempts that were ended from outside: preempted, evicted or drained, and others (a node or pod was "
            "lost). They are no failures; what they cost is under GPU seconds, wasted.",
        ),
        _graph(
            "Searches by condition",
            [
                (f"sum by (condition, reason) ({c.METRIC_CONDITION}{_rests()}) > 0", "{{condition}} {{reason}}"),
            ],
            12,
            28,
            stacked=True,
            description="Searches that do not go on, and why: suspended by a person, held up from outside, given up, or "
            "complete because a bound of the budget was reached.",
        ),
    ]
    return {
        "title": "Bananas: neural architecture search",
        "uid": "bananas-searches",
        "description": "Searches of the Bananas operator: progress, quality, forecasts, cost.",
        "tags": ["bananas", "neural-architecture-search"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_datasource(), _variable("namespace"), _variable("search", 'namespace=~"$namespace"')]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, start=1)],
    }


def _of(**labels: str) -> str:
    extra = "".join(f',{name}="{value}"' for name, value in labels.items())
    return OF_SEARCH[:-1] + extra + "}"


def _rests() -> str:
    return OF_SEARCH[:-1] + ',condition=~"Suspended|Stalled|Failed|Complete"}'


def _targets(queries: list[tuple[str, str]]) -> list[Panel]:
    return [
        {"refId": chr(ord("A") + i), "datasource": DATASOURCE, "expr": expression, "legendFormat": legend}
        for i, (expression, legend) in enumerate(queries)
    ]


def _stat(
    title: str, query: str, x: int, y: int, *, unit: str = "none", decimals: int = 0, red_above: float | None = None
) -> Panel:
    steps: list[Panel] = [{"color": "green", "value": None}]
    if red_above is not None:
        steps.append({"color": "red", "value": red_above})
    return {
        "type": "stat",
        "title": title,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": 4, "h": 4},
        "targets": _targets([(query, "")]),
        "fieldConfig": {
            "defaults": {"unit": unit, "decimals": decimals, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
    }


def _graph(
    title: str,
    queries: list[tuple[str, str]],
    x: int,
    y: int,
    *,
    description: str,
    unit: str = "short",
    stacked: bool = False,
) -> Panel:
    custom: Panel = {"lineWidth": 2, "fillOpacity": 30 if stacked else 0, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": 12, "h": 8},
        "targets": _targets(queries),
        "fieldConfig": {"defaults": {"unit": unit, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


def _datasource() -> Panel:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _variable(name: str, matcher: str = "") -> Panel:
    selector = f"{{{matcher}}}" if matcher else ""
    return {
        "name": name,
        "type": "query",
        "label": name.capitalize(),
        "datasource": DATASOURCE,
        "query": f"label_values({c.METRIC_BUDGET_TRIALS}{selector}, {name})",
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
