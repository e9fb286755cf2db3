"""The HTML report and the export: whole, self-contained, escaped, and true."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananas_cli.export import export_json
from bananas_cli.plots import Point, accuracy_plot, forecast_plot, robust_range
from bananas_cli.report import points, report_html
from bananas_cli.statistics import best_so_far, rank_correlation
from tests.cli import builders
from tests.cli.test_views import STATES

VOID = {"meta", "br"}


class Checker(HTMLParser):
    """Fails on a tag that is not closed in order, and collects text, tags and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(objects: tuple[builders.Object, list[builders.Object]]) -> tuple[str, Checker]:
    html = report_html(builders.snapshot(objects), objects[0], builders.NOW)
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return html, checker


@pytest.mark.parametrize("state", STATES)
def test_a_report_is_whole_and_needs_nothing_from_outside(state: str) -> None:
    html, checker = checked(STATES[state]())
    assert "script" not in checker.tags
    assert checker.addresses == []
    assert "http" not in html.replace("http://www.w3.org", "")
    assert "url(" not in html
    assert "@import" not in html


def test_a_complete_search_has_all_parts() -> None:
    html, checker = checked(builders.complete(150))
    for want in (
        "150 of 150",
        "rank correlation of the predictor",
        "Accuracy over the search",
        "Predicted and measured",
        "Spearman rank correlation",
        "The best cell",
        "normal cell",
        "initialTrials: 6",
        "apiVersion: nas.bananas.dev/v1alpha1",
        "kubectl-nas 0.",
        "device NVIDIA H100",
        "sha256:abab",
    ):
        assert want in checker.text, want
    assert html.count("<tr>") == 151
    assert html.count('<circle class="mutated"') == 2 * 144


def test_text_from_the_cluster_cannot_become_markup() -> None:
    search, trials = builders.failed()
    search["status"]["conditions"][0]["message"] = "<script>alert(1)</script> & more"
    trials[0]["status"]["failure"]["message"] = "<img src=x>"
    html, checker = checked((search, trials))
    assert "<script" not in html
    assert "img" not in checker.tags
    assert "<script>alert(1)</script> & more" in checker.text


def test_toy_accuracies_are_called_synthetic() -> None:
    search = builders.search(spec={"space": "nasbench201", "evaluator": "table"})
    _, checker = checked((search, [builders.trial(0, architecture=builders.nasbench201(0))]))
    assert "the accuracies are synthetic" in checker.text


def coordinates(svg: str, kind: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    return [
        (float(c.attrib["cx"]), float(c.attrib["cy"]))
        for c in root.iter("circle")
        if kind in (c.attrib["class"], "any")
    ]


def test_a_better_result_stands_higher_and_later_ones_stand_right() -> None:
    svg = accuracy_plot([Point("a", 0.90, False), Point("b", 0.92, True), Point("c", 0.91, True)])
    (ax, ay), (bx, by), (cx, cy) = coordinates(svg, "any")
    assert ax < bx < cx
    assert by < cy < ay
    assert len(coordinates(svg, "mutated")) == 2
    ticks = [t.text for t in ElementTree.fromstring(svg).iter("text")]
    assert "91.0" in ticks


def test_a_perfect_forecast_lies_on_the_diagonal() -> None:
    svg = forecast_plot([Point(str(v), v, True, predicted=v, spread=0.01) for v in (0.8, 0.85, 0.9)])
    marks = coordinates(svg, "any")
    slope = {round((y2 - y1) / (x2 - x1), 2) for (x1, y1), (x2, y2) in pairwise(marks)}
    assert len(slope) == 1


@settings(deadline=None)  # a busy machine takes long; what is drawn is the same
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.data())
def test_every_set_of_results_makes_a_plot_inside_its_frame(values: list[float], data: st.DataObject) -> None:
    forecast = [data.draw(st.none() | st.floats(-0.5, 1.5)) for _ in values]
    marks = [Point(f"<{i}>", v, p is not None, p, 0.1) for i, (v, p) in enumerate(zip(values, forecast, strict=True))]
    svgs = [accuracy_plot(marks)]
    if any(p is not None for p in forecast):
        svgs.append(forecast_plot(marks))
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert "nan" not in svg
        for x, y in coordinates(svg, "any"):
            assert 0 <= x <= width
            assert 0 <= y <= height


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_range_always_holds_the_best(values: list[float]) -> None:
    low, high = robust_range(values)
    assert low < max(values) < high


def test_a_network_that_learnt_nothing_does_not_flatten_the_rest() -> None:
    low, high = robust_range([0.1, 0.91, 0.92, 0.93, 0.94])
    assert low > 0.8
    assert '<path class="random"' in accuracy_plot([Point(str(v), v, False) for v in (0.1, 0.91, 0.92, 0.93, 0.94)])
    assert high < 0.96


def test_rank_correlation_is_that_of_the_ranks() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert rank_correlation([1, 2, 3, 4], [1, 0.5, 0.2, 0.1]) == -1
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)
    assert rank_correlation([1, 1, 2], [1, 2, 3]) == pytest.approx(0.8660254)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2], [1, 2]) is None


def test_the_best_so_far_never_falls() -> None:
    assert best_so_far([0.5, 0.4, 0.7, 0.6]) == [0.5, 0.5, 0.7, 0.7]


def test_the_points_are_the_results_in_order() -> None:
    got = points(builders.snapshot(builders.running()))
    assert [point.measured for point in got][:3] == [0.71, 0.84, 0.12]
    assert [point.mutated for point in got] == [False] * 6 + [True] * 4


def test_the_export_is_what_the_api_said_in_order_of_index() -> None:
    search, trials = builders.running()
    got = json.loads(export_json(search, trials[::-1], builders.NOW))
    assert got["format"] == "bananas.export/v1"
    assert got["exportTime"] == "2026-03-04T12:30:00+00:00"
    assert [t["spec"]["index"] for t in got["trials"]] == list(range(15))
    assert got["search"]["spec"] == search["spec"]
    assert got["search"]["status"] == search["status"]
    assert got["trials"][8]["status"] == trials[8]["status"]
    assert not re.search("managedFields", json.dumps(got))
    builders.snapshot((got["search"], got["trials"]))  # and it can be read again
