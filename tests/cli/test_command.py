"""The commands against an API server on a real socket: what is asked, what comes out, and one line for every trouble."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from bananas_cli.cluster import Cluster
from bananas_cli.errors import Refused
from tests.cli import builders
from tests.cli.api_server import Answer, ApiServer, refusal
from tests.cli.terminal import Terminal, wait_for


def test_status_shows_the_search_of_the_contexts_namespace(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.running())
    code, out, err = terminal.run("status", "demo", "--all")
    assert (code, err) == (0, "")
    assert "11 of 20" in out
    assert "from #3" in out
    assert "search-uid%3Dsearch-uid" in server.requests[-1]


def test_trials_come_page_by_page_and_none_is_lost(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.complete(150))
    server.page = 40
    code, out, _ = terminal.run("trials", "demo", "--limit", "0")
    assert code == 0
    assert len([line for line in out.splitlines() if " % " in line]) == 150
    assert len([r for r in server.requests if "nastrials" in r]) == 4


def test_best_writes_what_a_program_reads(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.running())
    code, out, _ = terminal.run("best", "demo", "--format", "genotype")
    assert (code, out) == (0, builders.darts(8).to_text() + "\n")
    code, out, _ = terminal.run("best", "demo", "--format", "json")
    assert json.loads(out)["trial"] == "demo-8"
    code, out, _ = terminal.run("best", "demo")
    assert "normal cell" in out


def test_report_writes_the_file_and_prints_its_path(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.complete())
    code, out, _ = terminal.run("report", "demo")
    assert code == 0
    assert Path(out.strip()) == terminal.folder / "demo.html"
    assert (terminal.folder / "demo.html").read_text().startswith("<!doctype html>")


def test_export_goes_to_standard_output_or_a_file(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.complete())
    _, out, _ = terminal.run("export", "demo")
    assert len(json.loads(out)["trials"]) == 20
    code, out, _ = terminal.run("export", "demo", "-o", "all.json")
    assert (code, out) == (0, "")
    exported = json.loads((terminal.folder / "all.json").read_text())
    assert {trial["kind"] for trial in exported["trials"]} == {"NASTrial"}


def test_a_file_that_cannot_be_written_is_named(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.complete())
    assert "/none/x.html: No such file or directory" in terminal.refuse("report", "demo", "-o", "/none/x.html")


def test_an_unknown_search_brings_the_names_that_are_there(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.running())
    assert "no NASSearch nope in namespace lab; there: demo" in terminal.refuse("status", "nope")


def test_another_namespace_or_context_is_looked_into(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.running())
    assert "in namespace void; none is there; another namespace" in terminal.refuse("status", "demo", "-n", "void")
    assert "in namespace elsewhere" in terminal.refuse("status", "demo", "--context", "other")
    assert terminal.run("status", "demo", "--context", "other", "-n", "lab")[0] == 0


def test_a_cluster_without_our_crds_is_told_from_an_unknown_search(server: ApiServer, terminal: Terminal) -> None:
    server.trouble = lambda _: (404, "404 page not found\n")
    assert "does not know nassearches.nas.bananas.dev: Bananas is not installed" in terminal.refuse("status", "demo")
    server.trouble = lambda _: refusal(404, "NotFound", "the server could not find the requested resource")
    assert "Bananas is not installed" in terminal.refuse("status", "demo")


def test_missing_rights_are_named(server: ApiServer, terminal: Terminal) -> None:
    message = 'nassearches.nas.bananas.dev "demo" is forbidden: User "me" cannot get resource "nassearches"'
    server.trouble = lambda _: refusal(403, "Forbidden", message)
    assert f"{message}; ask for get and list" in terminal.refuse("status", "demo")


def test_rights_on_searches_but_not_on_trials_are_named(server: ApiServer, tmp_path: Path) -> None:
    server.put(builders.running())

    def trouble(path: str) -> Answer | None:
        return refusal(403, "Forbidden", "cannot list nastrials") if path.endswith("nastrials") else None

    server.trouble = trouble
    cluster = Cluster.of(server.kubeconfig(tmp_path), None, None)
    cluster.search("demo")
    with pytest.raises(Refused, match="cannot list nastrials; ask for"):
        cluster.trials("search-uid")


def test_credentials_that_are_not_accepted_are_named(server: ApiServer, terminal: Terminal) -> None:
    server.trouble = lambda _: refusal(401, "Unauthorized", "Unauthorized")
    assert "does not accept the credentials" in terminal.refuse("status", "demo")


def test_a_server_error_is_one_line(server: ApiServer, terminal: Terminal) -> None:
    server.trouble = lambda _: refusal(500, "InternalError", "etcdserver:\nrequest timed out")
    assert "answered 500" in terminal.refuse("status", "demo")


def test_something_that_is_no_api_server_is_one_line(server: ApiServer, terminal: Terminal) -> None:
    server.trouble = lambda _: (200, "<html>hello</html>")
    assert "answered no JSON object" in terminal.refuse("status", "demo")


def test_a_cluster_that_is_down_is_named_at_once(terminal: Terminal, server: ApiServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    down = ApiServer(url=f"http://127.0.0.1:{port}")
    start = time.monotonic()
    message = terminal.refuse("status", "demo", "--kubeconfig", str(down.kubeconfig(tmp_path)))
    assert f"no answer from http://127.0.0.1:{port}" in message
    assert "Connection refused" in message
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("text", [None, "", "{", "a: [1]", "clusters: 5"])
def test_a_kubeconfig_that_is_none_is_named(terminal: Terminal, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "other"
    if text is not None:
        path.write_text(text)
    message = terminal.refuse("status", "demo", "--kubeconfig", str(path))
    assert "no usable kubeconfig" in message
    assert "--kubeconfig" in message


def test_an_unknown_context_is_named(terminal: Terminal) -> None:
    assert "moon" in terminal.refuse("status", "demo", "--context", "moon")


def test_no_result_yet_is_one_line(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.stalled())
    assert "no trial has a result yet" in terminal.refuse("best", "demo")


def test_a_search_of_another_release_is_one_line(server: ApiServer, terminal: Terminal) -> None:
    server.put((builders.search(spec={"space": "transformers"}), []))
    assert "spec.space" in terminal.refuse("status", "demo")


def test_wrong_usage_is_exit_code_2(terminal: Terminal) -> None:
    code, _, err = terminal.run("best", "demo", "--format", "poem")
    assert code == 2
    assert "drawing" in err


# --- watching ---


def test_a_process_without_a_terminal_prints_news_only_and_ends_with_the_search(
    server: ApiServer, terminal: Terminal
) -> None:
    server.put(builders.running())
    process = terminal.start("status", "demo", "--watch", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for("two looks", server, 4)
    server.put(builders.complete())
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    lines = [line.partition(" ")[2] for line in out.splitlines()]
    assert [line.partition(":")[0] for line in lines] == ["Running", "Complete"]


def test_watching_a_search_that_fails_is_exit_code_1(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.failed())
    code, out, _ = terminal.run("status", "demo", "-w")
    assert code == 1
    assert "TooManyFailedTrials: 11 trials failed" in out


def test_watching_ends_at_the_timeout_with_its_own_exit_code(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.running())
    code, out, _ = terminal.run("status", "demo", "-w", "--timeout", "0.2")
    assert code == 124
    assert "Running" in out


def test_ctrl_c_on_a_terminal_leaves_it_clean_and_says_that_the_search_goes_on(
    server: ApiServer, terminal: Terminal
) -> None:
    server.put(builders.running())
    ours, theirs = pty.openpty()
    terminal.environment["TERM"] = "xterm-256color"
    process = terminal.start("status", "demo", "-w", stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    wait_for("two looks", server, 4)
    process.send_signal(signal.SIGINT)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=30) == 130
    text = shown.decode()
    assert "11 of 20" in text
    assert "The search goes on in the cluster. Look again: kubectl nas status demo -n lab --watch" in text
    assert "Traceback" not in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again
