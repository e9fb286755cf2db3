"""The judge shares no code with what it judges."""

import ast
from pathlib import Path

import pytest

from bench.chaos import evidence, isomorphism, oracle, report, schedule


@pytest.mark.parametrize("module", [evidence, isomorphism, oracle, report, schedule])
def test_the_judge_imports_nothing_of_ours(module: object) -> None:
    todo, done = [Path(str(module.__file__))], set()  # type: ignore[attr-defined]
    while todo:
        path = todo.pop()
        done.add(path)
        for name in _imports(path):
            assert not name.startswith("bananas_"), f"{path} imports {name}"
            for found in (Path(*name.split(".")).with_suffix(".py"), Path(*name.split("."), "__init__.py")):
                source = Path(__file__).parents[2] / found
                if source.exists() and source not in done:
                    todo.append(source)


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names
