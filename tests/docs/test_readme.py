"""What the pages for people say is true: commands run, names exist, the YAML is accepted."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from bananas_core.api import NASSearchSpec
from bananas_core.crd import search_crd

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "devcluster/README.md",
    "docs/command.md",
    "docs/reasons.md",
    "docs/tables.md",
)

SHORTER = {
    "--trials 150 --seeds 5": "--trials 11 --seeds 1",
    "--set epochs=10": "--set epochs=1 --set scoreEpochs=1",
}
"""What the README does at leisure is run in seconds here; all else as it stands there."""

PROMISED = {
    *("setup", "demo", "test", "test-fast", "lint", "verify", "cluster-up", "cluster-down", "images", "deploy"),
    *("bench-search", "bench-predictor", "bench-operator", "bench-trainer", "chaos"),
}
"""The targets that the design promises."""
LATER = {
    "bench-search": "search quality has an issue of its own",
    "bench-predictor": "search quality has an issue of its own",
    "bench-operator": "scale has an issue of its own",
    "bench-trainer": "the full trainer has an issue of its own",
    "chaos": "faults at random come with scale",
}

NOT_HERE = {
    "search.yaml": "the user's own",
    "report.json": "a trainer writes it",
    "utils.py": "is not to be",
    "../shared/data": "beside the checkout",
    "registry/path": "stands for a registry",
    "logs/": "in the state folder of the development cluster",
    "volumes/": "in the state folder of the development cluster",
}
"""Names that look like files of ours and are not."""
SUFFIXES = (".py", ".md", ".yaml", ".toml", ".sh", ".txt", ".json", ".go")
IGNORED_FOLDERS = {".venv", ".git", "out", "shared"}


def page(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(name: str) -> list[str]:
    """The lines of the page's sh blocks, continued ones joined, without what is empty."""
    lines = "\n".join(blocks(page(name), "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip()]


def spans(name: str) -> list[str]:
    """What stands in backticks on one line, outside of code blocks."""
    prose = re.sub(r"^```.*?^```", "", page(name), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


OURS = [line for line in commands("README.md") if line.startswith(".venv/bin/")]


def test_the_readme_has_commands_that_need_no_cluster() -> None:
    assert len(OURS) >= 3
    assert all(sum(long in line for line in OURS) == 1 for long in SHORTER)


@pytest.mark.slow
@pytest.mark.parametrize("line", OURS, ids=lambda line: " ".join(line.split()[:2]))
def test_a_command_of_the_readme_that_needs_no_cluster_runs_as_it_stands(line: str, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euc", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("line", [c for c in commands("README.md") if c.startswith("kubectl nas ")])
def test_a_plugin_command_of_the_readme_is_understood(line: str, tmp_path: Path) -> None:
    arguments = shlex.split(line.partition(">")[0], comments=True)[2:]
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "absent"), "HOME": str(tmp_path)}
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    (tmp_path / "search.yaml").write_text(page("manifests/examples/table.yaml"))
    done = subprocess.run(
        [Path(sys.prefix) / "bin" / "kubectl-nas", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "no usable kubeconfig" in done.stderr) == (1, True), done.stderr  # 2 is wrong usage


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", page("Makefile"), re.MULTILINE))


def named_targets(name: str) -> set[str]:
    lines = [line.partition("#")[0] for line in commands(name)] + spans(name)
    words = [word for line in lines if line.startswith("make ") for word in line.split()[1:]]
    return {word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)}


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_named_on_a_page_exists(name: str) -> None:
    assert named_targets(name) <= targets()


def test_every_promised_target_exists_or_has_a_reason_to_come_later() -> None:
    assert PROMISED - targets() <= LATER.keys()


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"\x1b\[1m([a-z-]+)", done.stdout))
    assert listed == targets()


@pytest.mark.parametrize("name", PAGES)
def test_every_variable_given_to_make_is_read_by_the_makefile(name: str) -> None:
    given = {
        variable
        for line in commands(name) + spans(name)
        if line.startswith("make ")
        for variable in re.findall(r"\b([A-Z_]+)=", line)
    }
    assert given <= set(re.findall(r"\$\(([A-Z_]+)\)", page("Makefile")))


def files() -> list[str]:
    """Every file and folder of the checkout, folders with a slash at the end."""
    found = []
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in IGNORED_FOLDERS and not name.endswith("_cache")]
        here = Path(folder).relative_to(ROOT).as_posix()
        found += [f"/{here}/{name}".replace("/./", "/") for name in names]
        found += [f"/{here}/{name}/".replace("/./", "/") for name in below]
    return found


def named_files(name: str) -> set[str]:
    """What looks like a file or folder of ours in backticks, and what is linked."""
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page(name)) if "://" not in link}
    found = set()
    for span in spans(name):
        path = span.partition(": ")[0]
        if re.fullmatch(r"\.{0,2}[\w-][\w.-]*(/[\w.-]+)*/?", path) and (path.endswith(SUFFIXES) or path.endswith("/")):
            found.add(path)
    return (links | found) - {""} - NOT_HERE.keys()


@pytest.mark.parametrize("name", PAGES)
def test_every_file_named_on_a_page_exists(name: str) -> None:
    everything = files()
    missing = {
        path
        for path in named_files(name)
        if not (ROOT / name).parent.joinpath(path).exists() and not any(f.endswith(f"/{path}") for f in everything)
    }
    assert missing == set()


def test_the_search_that_the_readme_explains_is_accepted() -> None:
    [text] = blocks(page("README.md"), "yaml")
    [search] = list(yaml.safe_load_all(text))
    assert (search["apiVersion"], search["kind"]) == ("nas.bananas.dev/v1alpha1", "NASSearch")
    spec = NASSearchSpec.model_validate(search["spec"])
    assert spec.data is not None
    assert spec.trial.recipe.file is not None


@pytest.mark.parametrize("path", sorted((ROOT / "manifests" / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_accepted(path: Path) -> None:
    objects = list(yaml.safe_load_all(path.read_text()))
    searches = [o for o in objects if o["kind"] == "NASSearch"]
    assert len(searches) == 1
    for search in searches:
        NASSearchSpec.model_validate(search["spec"])


def test_the_table_that_the_readme_shows_has_the_columns_of_the_crd() -> None:
    after = page("README.md").split("$ kubectl get nassearches\n")[1]
    want = ["NAME"] + [
        column["name"].upper()
        for column in search_crd()["spec"]["versions"][0]["additionalPrinterColumns"]
        if not column.get("priority")
    ]
    assert after.splitlines()[0].split() == want


def test_readme_changelog_and_distributions_name_one_version() -> None:
    [version] = re.findall(r"^Version ([\d.]+)\.", page("README.md"), re.MULTILINE)
    assert re.findall(r"^## (\S+)", page("CHANGELOG.md"), re.MULTILINE)[0] == version
    projects = [ROOT / "pyproject.toml", *ROOT.glob("*/pyproject.toml")]
    assert len(projects) == 7
    for path in projects:
        assert tomllib.loads(path.read_text())["project"]["version"] == version, path
