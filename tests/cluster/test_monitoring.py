"""What Grafana shows: each query of the dashboard, run against a real Prometheus that scraped a real search."""

import json
from math import isnan
from pathlib import Path

from tests.support import prometheus
from tests.support.cluster import ROOT, Cluster, condition, wait_for
from tests.support.searches import table_search

DASHBOARD = ROOT / "manifests" / "monitoring" / "grafana-dashboard.json"


def queries() -> list[tuple[str, str]]:
    """(panel, query) of the dashboard, its variables as they are when All is chosen."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        (f"{panel['title']} {target['refId']}", target["expr"].replace("$namespace", ".*").replace("$search", ".*"))
        for panel in panels
        for target in panel["targets"]
    ]


def test_every_query_of_the_dashboard_answers_from_a_search_that_runs(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    with prometheus.running(tmp_path, cluster) as server:
        strategy = {"name": "bananas", "initialTrials": 5}
        cluster.apply(table_search("watched", namespace, trials=40, parallelism=2, seconds=1, strategy=strategy))
        for panel, query in queries():
            found = wait_for(f"data for {panel}: {query}", lambda query=query: server.query(query), seconds=120)
            values = [float(series["value"][1]) for series in found]
            assert not any(isnan(value) for value in values), f"{panel}: not a number"
        mine = f'{{namespace="{namespace}",search="watched"}}'
        status = cluster.get("nassearch", "watched", namespace)["status"]
        scraped = server.query(f"bananas_search_best_validation_accuracy{mine}")[0]["value"][1]
        assert 0 < float(scraped) <= 1
        assert float(server.query(f"bananas_search_parallelism{mine}")[0]["value"][1]) == 2
        assert float(server.query(f"bananas_search_budget_trials{mine}")[0]["value"][1]) == 40
        assert status["trials"]["succeeded"] <= float(
            wait_for(
                "the count caught up",
                lambda: (
                    value
                    if float(
                        value := server.query(f'bananas_search_trials{mine[:-1]},phase="Succeeded"}}')[0]["value"][1]
                    )
                    >= status["trials"]["succeeded"]
                    else None
                ),
                seconds=20,
            )
        )
        cluster.delete("nassearch", "watched", namespace)
        wait_for(
            "the series of a deleted search end",
            lambda: not server.query(f"bananas_search_budget_trials{mine}"),
            seconds=60,
        )


def test_a_stalled_search_is_seen_by_its_condition(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    with prometheus.running(tmp_path, cluster) as server:
        cluster.apply(table_search("stuck", namespace, data={"claim": "absent"}, table={"file": "t.csv"}))
        wait_for(
            "Stalled",
            lambda: condition(cluster.get("nassearch", "stuck", namespace), "Stalled")["status"] == "True",
            seconds=30,
        )
        query = f'bananas_search_condition{{namespace="{namespace}",search="stuck",condition="Stalled"}} == 1'
        wait_for("the metric says so", lambda: server.query(query), seconds=30)
