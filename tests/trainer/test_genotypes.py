"""Genotypes by name and from files."""

import json
from pathlib import Path

import pytest

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture
from bananas_trainer.genotypes import NAMED, find_architecture

GOOD = NAMED["BANANAS"]


@pytest.mark.parametrize(
    "text",
    [GOOD.to_text() + "\n", GOOD.model_dump_json(), Architecture.of(GOOD).model_dump_json(exclude_none=True)],
    ids=["one line", "cell as JSON", "architecture as JSON"],
)
def test_a_file_may_hold_a_line_or_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "genotype").write_text(text)
    assert find_architecture(str(tmp_path / "genotype")).cell == GOOD


def test_the_published_bananas_cell_has_a_none_edge() -> None:
    assert [e for e, edge in enumerate(GOOD.reduce) if edge.op == "none"] == [3]


def _with_edge(**changes: object) -> str:
    content = json.loads(GOOD.model_dump_json())
    content["normal"][0].update(changes)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (_with_edge(op="conv_9x9"), "normal.0.op"),
        (_with_edge(input=4), "normal[0].input: 4 is a later node"),
        (_with_edge(input=0), "both edges of node 0"),
        (json.dumps({"normal": json.loads(GOOD.model_dump_json())["normal"][:6], "reduce": []}), "normal"),
        (GOOD.to_text().replace("sep_conv_3x3~1", "sep_conv_3x3~9", 1), "want a number from 0 to 4"),
        ('{"space": "nasbench101", "nasbench101": {"adjacency": "0", "ops": []}}', "on no path"),
        ("|nor_conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation"),
        ("0:", "on no path"),
        ("{", "Invalid JSON"),
        ("", "edges; want 8"),
    ],
)
def test_a_bad_file_is_refused_with_the_field(tmp_path: Path, text: str, want: str) -> None:
    path = tmp_path / "genotype"
    path.write_text(text)
    with pytest.raises(ArchitectureError) as caught:
        find_architecture(str(path))
    assert str(path) in str(caught.value)
    assert want in str(caught.value)
    assert ": :" not in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ArchitectureError, match="DARTS_V1, DARTS_V2, BANANAS"):
        find_architecture("DARTS_V3")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (GOOD.to_text(), "darts"),
        ("110011:01", "nasbench101"),
        ("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "nasbench201"),
    ],
)
def test_an_architecture_of_any_space_may_be_written_out(tmp_path: Path, text: str, want: str) -> None:
    assert find_architecture(text).space == want
    (tmp_path / "genotype").write_text(text)
    assert find_architecture(str(tmp_path / "genotype")) == find_architecture(text)
