"""`kubectl nas plan`: every check with what is found and what would be right; nothing is made."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from bananas_cli.errors import NotPossible
from bananas_cli.ground import ClaimFound, Ground, OperatorView, QuotaUse, Verdict
from bananas_cli.manifest import Manifest, read_manifest
from bananas_cli.plan import Check, Plan, plan
from bananas_cli.plan_view import plan_json, plan_view, verdict
from bananas_core.workload.surroundings import ClaimView, NodeView, QuotaView, Taint
from tests.cli import builders
from tests.cli.api_server import ApiServer, Object, refusal
from tests.cli.terminal import Terminal

GPU_TRIAL = {"template": {"resources": {"requests": {"cpu": "2"}, "limits": {"nvidia.com/gpu": 1}}}}
ACCEPTED = Verdict("accepted")
OPERATOR = OperatorView("registry/trainer:1", "registry/tables:1", "IfNotPresent", "running")
NODE = NodeView("gpu-1", allocatable={"cpu": 16, "nvidia.com/gpu": 4, "pods": 110})


def spec(**changed: Any) -> Object:
    return {"space": "darts", "parallelism": 2, "budget": {"trials": 20}, "trial": GPU_TRIAL, **changed}


def document(**changed: Any) -> Object:
    return {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": "cifar"},
        "spec": spec(**changed),
    }


def manifest(folder: Path, *documents: Any) -> Manifest:
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return read_manifest(path)


def ground(**changed: Any) -> Ground:
    given = Ground("lab", False, ACCEPTED, ACCEPTED, ACCEPTED, {}, OPERATOR, nodes=(NODE,), quotas=())
    return replace(given, **changed)


def checks(made: Plan, subject: str) -> list[Check]:
    return [check for check in made.checks if check.subject == subject]


def only(made: Plan, subject: str) -> tuple[str, str]:
    (check,) = checks(made, subject)
    return check.outcome, check.message


def test_a_search_that_nothing_speaks_against(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, document()), ground(image_on=("gpu-1",)))
    assert made.bad == ()
    assert {check.outcome for check in made.checks} == {"good"}
    assert (made.trials, made.at_once, made.first_job, made.last_job) == (20, 2, "cifar-0-1", "cifar-19-1")
    assert made.requests == {"nvidia.com/gpu": "1", "cpu": "2"}
    assert only(made, "NASSearch") == ("good", "cifar in namespace lab would be made")
    assert only(made, "image") == ("good", "registry/trainer:1, the operator's own: on 1 node already")
    assert only(made, "nodes") == ("good", "1 of 1 node can hold a trial, 4 at once when empty")
    assert verdict(made) == "nothing speaks against it; nothing was made"


def test_one_that_is_there_is_changed(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, document()), ground(exists=True))
    assert "is there already: applying the file changes it" in only(made, "NASSearch")[1]


@pytest.mark.parametrize(
    ("part", "subject", "want"),
    [
        ("search", "NASSearch", "spec.space: Unsupported value"),
        ("job", "Job", "spec.space: Unsupported value. Change spec.trial.template"),
        ("pod", "pod", "spec.space: Unsupported value. Change spec.trial.template, or what the namespace allows"),
    ],
)
def test_what_the_api_server_refuses_keeps_it_from_running(tmp_path: Path, part: str, subject: str, want: str) -> None:
    made = plan(manifest(tmp_path, document()), ground(**{part: Verdict("refused", "spec.space: Unsupported value")}))
    assert only(made, subject) == ("bad", want)
    assert verdict(made) == f"would not run: {subject}"


def test_what_may_not_be_tried_is_unknown_but_for_the_search_itself(tmp_path: Path) -> None:
    unknown = Verdict("unknown", "User cannot create jobs")
    made = plan(manifest(tmp_path, document()), ground(job=unknown, pod=unknown, nodes=None, quotas=None))
    assert [check.subject for check in made.checks if check.outcome == "unknown"] == [
        "Job",
        "pod",
        "image",
        "quota",
        "nodes",
    ]
    assert verdict(made) == "nothing speaks against it, 5 not known; nothing was made"
    assert made.nodes is None
    made = plan(manifest(tmp_path, document()), ground(search=unknown))
    assert only(made, "NASSearch") == ("bad", "may not be tried: User cannot create jobs")


def test_a_namespace_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    missing = ground(
        search=Verdict("refused", 'namespaces "lab" not found'),
        job=Verdict("unknown", "there is no namespace lab"),
        lacks_namespace=True,
    )
    made = plan(manifest(tmp_path, document()), missing)
    assert only(made, "NASSearch") == ("bad", "namespace lab is not there. Make it, or name another (-n)")
    assert verdict(made) == "would not run: NASSearch"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lab"}}
    made = plan(manifest(tmp_path, namespace, document()), missing)
    assert "The file makes it: make that first" in only(made, "NASSearch")[1]


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ("running", ("good", "runs")),
        ("not running", ("bad", "no replica is available")),
        ("absent", ("doubtful", "no bananas-operator in namespace bananas-system")),
        ("unknown", ("unknown", "not allowed")),
    ],
)
def test_without_an_operator_nothing_would_happen(tmp_path: Path, found: Any, want: tuple[str, str]) -> None:
    made = plan(manifest(tmp_path, document()), ground(operator=replace(OPERATOR, found=found)))
    outcome, message = only(made, "operator")
    assert outcome == want[0]
    assert want[1] in message


@pytest.mark.parametrize(
    ("template", "operator", "want"),
    [
        ({}, OPERATOR, ("unknown", "registry/trainer:1, the operator's own: no node says it has it; whether it can")),
        ({}, OperatorView(), ("unknown", "the operator's own, whose name is not known here")),
        ({"image": "mine:2"}, OperatorView(), ("unknown", "mine:2: no node says it has it")),
        (
            {"image": "mine:2", "imagePullPolicy": "Never"},
            OPERATOR,
            ("doubtful", "mine:2: no node says it has it, and imagePullPolicy is Never"),
        ),
    ],
)
def test_the_image_and_whose_it_is(
    tmp_path: Path, template: Object, operator: OperatorView, want: tuple[str, str]
) -> None:
    made = plan(manifest(tmp_path, document(trial={"template": template})), ground(operator=operator))
    outcome, message = only(made, "image")
    assert outcome == want[0]
    assert message.startswith(want[1])


def claim(field: str, *modes: str, phase: str = "Bound") -> ClaimFound:
    return ClaimFound(field, "c", ClaimView(field, "c", frozenset(modes)), phase, "1Gi")


CHECKPOINTS, DATA = "spec.checkpoints.claim", "spec.data.claim"


@pytest.mark.parametrize(
    ("found", "outcome", "want"),
    [
        (claim(CHECKPOINTS, "ReadWriteMany"), "good", "claim c, 1Gi ReadWriteMany, Bound"),
        (claim(CHECKPOINTS, "ReadWriteOnce"), "doubtful", "all trials run on the one node that mounts it"),
        (claim(CHECKPOINTS, "ReadOnlyMany"), "bad", "trials write there; want ReadWriteMany"),
        (claim(CHECKPOINTS, "ReadWriteOncePod"), "bad", "one pod can mount it at a time"),
        (claim(CHECKPOINTS, "ReadWriteMany", phase="Pending"), "doubtful", "no volume yet"),
        (claim(CHECKPOINTS, "ReadWriteMany", phase="Lost"), "bad", "its volume is gone"),
        (claim(DATA, "ReadOnlyMany"), "good", "claim c, 1Gi ReadOnlyMany, Bound"),
        (
            ClaimFound(DATA, "c", trouble="absent"),
            "bad",
            "claim c is not there. Create it, or name another in spec.data.claim",
        ),
        (ClaimFound(DATA, "c", trouble="in the file"), "doubtful", "claim c is not there yet; the file makes it"),
        (ClaimFound(DATA, "c", trouble="unknown"), "unknown", "get on persistentvolumeclaims is not allowed"),
    ],
)
def test_claims_are_there_bound_and_mounted_as_the_trials_need(
    tmp_path: Path, found: ClaimFound, outcome: str, want: str
) -> None:
    part = {"checkpoints": {"claim": "c"}} if found.field == CHECKPOINTS else {"data": {"claim": "c"}}
    made = plan(manifest(tmp_path, document(**part)), ground(claims_found=(found,)))
    (check,) = checks(made, next(iter(part)))
    assert check.outcome == outcome
    assert want in check.message


@pytest.mark.parametrize(
    ("hard", "used", "outcome", "want"),
    [
        (
            {"requests.nvidia.com/gpu": 8},
            {"requests.nvidia.com/gpu": 1},
            "good",
            "room for 8 trials at once (requests.nvidia.com/gpu), for 7 now",
        ),
        (
            {"requests.nvidia.com/gpu": 8},
            {"requests.nvidia.com/gpu": 7},
            "doubtful",
            "for 1 now; parallelism is 2: the others wait",
        ),
        (
            {"requests.cpu": 1.5},
            {},
            "bad",
            "room for 0 trials at once (requests.cpu), for 0 now: raise it, or ask for less",
        ),
        ({"count/jobs.batch": 1, "pods": 50}, {}, "doubtful", "room for 1 trial at once (count/jobs.batch)"),
        ({"persistentvolumeclaims": 1}, {}, "good", "team bounds nothing that a trial asks for"),
    ],
)
def test_a_quota_is_told_with_its_room(
    tmp_path: Path, hard: dict[str, float], used: dict[str, float], outcome: str, want: str
) -> None:
    made = plan(
        manifest(tmp_path, document()),
        ground(quotas=(QuotaView("team", hard),), quota_use=(QuotaUse("team", hard, used),)),
    )
    (check,) = checks(made, "quota")
    assert check.outcome == outcome
    assert want in check.message


def test_nodes_that_match_and_how_many_trials_they_hold(tmp_path: Path) -> None:
    nodes = (
        NODE,
        replace(NODE, name="gpu-2", ready=False),
        replace(NODE, name="small", allocatable={"cpu": 1, "nvidia.com/gpu": 1, "pods": 110}),
        replace(NODE, name="tainted", taints=(Taint("other", "", "NoSchedule"),)),
    )
    made = plan(manifest(tmp_path, document(parallelism=16)), ground(nodes=nodes))
    assert made.nodes is not None
    assert [(room.name, room.trials, room.ready) for room in made.nodes] == [
        ("gpu-1", 4, True),
        ("gpu-2", 4, False),
        ("small", 0, True),
    ]
    assert only(made, "nodes") == ("good", "2 of 4 nodes can hold a trial, 8 at once when empty")
    assert made.at_once == 8
    outcome, message = only(made, "parallelism")
    assert outcome == "doubtful"
    assert message.startswith("16, but the nodes that match spec.trial.template (3 of 4) hold 8 trials at once")
    assert message.endswith("8 run, the others wait")


@pytest.mark.parametrize(
    ("nodes", "outcome", "want"),
    [
        (
            (replace(NODE, taints=(Taint("t", "", "NoSchedule"),)),),
            "bad",
            "none of 1 node matches nodeSelector, affinity",
        ),
        (
            (replace(NODE, allocatable={"cpu": 16, "pods": 9}),),
            "bad",
            "none of the 1 of 1 node that match holds a trial",
        ),
        ((replace(NODE, ready=False),), "doubtful", "none of them is ready at the moment"),
    ],
)
def test_nodes_that_cannot_hold_a_trial(tmp_path: Path, nodes: tuple[NodeView, ...], outcome: str, want: str) -> None:
    found = only(plan(manifest(tmp_path, document()), ground(nodes=nodes)), "nodes")
    assert found[0] == outcome
    assert want in found[1]


@pytest.mark.parametrize(("found", "want"), [("found", "good"), ("absent", "bad"), ("unknown", "unknown")])
def test_the_search_to_begin_from_must_be_there(tmp_path: Path, found: Any, want: str) -> None:
    made = plan(manifest(tmp_path, document(warmStartFrom={"search": "earlier"})), ground(warm_start=found))
    outcome, message = only(made, "warmStartFrom")
    assert outcome == want
    assert message.startswith("NASSearch earlier")


def test_jobs_of_a_promotion_come_on_top(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, document(promote={"top": 3, "seeds": 2})), ground())
    assert only(made, "promote") == (
        "good",
        "6 further Jobs that train the best to the end, not part of the GPU hours above",
    )


def test_no_parallelism_starts_nothing(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, document(parallelism=0)), ground())
    assert only(made, "parallelism")[0] == "doubtful"
    assert made.cost is not None
    assert made.cost.duration_seconds is None


def test_gpu_hours_follow_from_a_search_of_the_same_recipe(tmp_path: Path) -> None:
    like = builders.snapshot(builders.complete(20))  # 90 s a trial
    cost = plan(manifest(tmp_path, document(parallelism=4)), ground(like=like)).cost
    assert cost is not None
    assert (cost.gpus_per_trial, cost.seconds_per_trial, cost.source) == (1, 90, "mean of 20 trials of search demo")
    assert cost.gpu_hours == pytest.approx(0.5)
    assert cost.duration_seconds == 5 * 90


def test_times_of_another_recipe_are_said_to_be_so(tmp_path: Path) -> None:
    like = builders.snapshot(builders.complete(20))
    trial = {**GPU_TRIAL, "recipe": {"epochs": 7}}
    cost = plan(manifest(tmp_path, document(trial=trial)), ground(like=like)).cost
    assert cost is not None
    assert cost.source == "mean of 20 trials of search demo, which has another recipe"


def test_without_times_the_bounds_are_told_and_what_is_unknown(tmp_path: Path) -> None:
    trial = {**GPU_TRIAL, "deadlineSeconds": 3600}
    cost = plan(manifest(tmp_path, document(trial=trial)), ground()).cost
    assert cost is not None
    assert (cost.gpu_hours, cost.seconds_per_trial, cost.bound_gpu_hours) == (None, None, 20)
    assert "no search of this recipe has results here" in cost.source
    budget = {"trials": 20, "gpuHours": 12.5}
    cost = plan(manifest(tmp_path, document(trial=trial, budget=budget)), ground()).cost
    assert cost is not None
    assert cost.bound_gpu_hours == 12.5


def test_a_table_takes_no_gpu_and_the_time_that_it_says(tmp_path: Path) -> None:
    made = plan(
        manifest(tmp_path, document(space="nasbench201", evaluator="table", table={"secondsPerTrial": 3}, trial={})),
        ground(),
    )
    assert made.cost is not None
    assert (made.cost.gpu_hours, made.cost.duration_seconds) == (0, 30)
    assert made.image == "registry/tables:1"


# --- the file ---


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", "want one NASSearch; found: nothing"),
        ("a: [", "no YAML"),
        ("- 1\n", "'[1]' is no object of Kubernetes"),
        ("kind: NASSearch\nmetadata: {name: a}\n", "an object without apiVersion"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "want one NASSearch; found: Pod"),
        (
            "apiVersion: nas.bananas.dev/v9\nkind: NASSearch\nmetadata: {name: a}\n",
            "apiVersion is nas.bananas.dev/v9; want",
        ),
        (
            "apiVersion: nas.bananas.dev/v1alpha1\nkind: NASSearch\nmetadata: {generateName: a}\n",
            "metadata.name of the NASSearch is None",
        ),
    ],
)
def test_a_file_without_a_search_is_refused_with_what_is_wrong(tmp_path: Path, text: str, want: str) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(text)
    with pytest.raises(NotPossible) as caught:
        read_manifest(path)
    assert want in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_two_searches_in_a_file_are_named(tmp_path: Path) -> None:
    other = {**document(), "metadata": {"name": "other"}}
    with pytest.raises(NotPossible, match="want one NASSearch; found: cifar, other"):
        manifest(tmp_path, {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": [document(), other]})


def test_a_spec_that_this_release_cannot_read_is_told_by_field(tmp_path: Path) -> None:
    made = plan(
        manifest(tmp_path, document(parallelism=-1)),
        ground(search=Verdict("refused", "spec.parallelism: Invalid value")),
    )
    assert [check.subject for check in made.bad] == ["NASSearch"]
    made = plan(manifest(tmp_path, document(future=1)), ground())
    assert only(made, "spec")[1].startswith(
        "spec.future: Extra inputs are not permitted; is this kubectl-nas of the release"
    )


# --- what is shown ---


def shown(made: Plan, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(plan_view(made))
    return console.export_text()


def test_the_screen_has_every_check_and_the_verdict(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, document(parallelism=16)), ground(job=Verdict("refused", "unknown field")))
    text = shown(made)
    for check in made.checks:
        assert check.subject in text
    assert "20, cifar-0-1 to cifar-19-1, 4 at once (parallelism 16)" in text
    assert "would not run: Job" in text
    assert "gpu-1" in text


def test_a_narrow_terminal_and_many_nodes_lose_nothing_that_counts(tmp_path: Path) -> None:
    nodes = tuple(replace(NODE, name=f"n-{i:02}") for i in range(30))
    made = plan(manifest(tmp_path, document()), ground(nodes=nodes))
    text = shown(made, 60)
    assert "24 more; -o json has all" in text
    assert max(len(line) for line in text.splitlines()) <= 60
    assert len(json.loads(plan_json(made))["nodes"]) == 30


# --- the command ---


def serve(server: ApiServer, **changed: Any) -> None:
    namespaced = "/namespaces/lab"
    deployment = {
        "metadata": {"name": "bananas-operator"},
        "spec": {
            "template": {"spec": {"containers": [{"env": [{"name": "BANANAS_TRAINER_IMAGE", "value": "r/trainer:1"}]}]}}
        },
        "status": {"availableReplicas": 1},
    }
    node = {
        "metadata": {"name": "gpu-1", "labels": {}},
        "status": {
            "allocatable": {"cpu": "16", "nvidia.com/gpu": "4", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "images": [{"names": ["r/trainer:1"]}],
        },
    }
    quota = {
        "metadata": {"name": "team"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "3"}},
        "status": {"used": {"requests.nvidia.com/gpu": "1"}},
    }
    claim = {
        "metadata": {"name": "checkpoints"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}},
        "status": {"phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": {"storage": "10Gi"}},
    }
    made: Object = {"metadata": {"name": "x"}}
    server.answers = {
        f"/apis/batch/v1{namespaced}/jobs": (201, made),
        "/apis/apps/v1/namespaces/bananas-system/deployments/bananas-operator": (200, deployment),
        "/api/v1/nodes": (200, {"items": [node]}),
        f"/api/v1{namespaced}/resourcequotas": (200, {"items": [quota]}),
        f"/api/v1{namespaced}/persistentvolumeclaims/checkpoints": (200, claim),
        **changed,
    }


def written(terminal: Terminal, **changed: Any) -> str:
    (terminal.folder / "search.yaml").write_text(yaml.safe_dump(document(**changed)))
    return "search.yaml"


def test_plan_asks_for_everything_as_a_dry_run_and_makes_nothing(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.complete(20))
    serve(server)
    code, out, err = terminal.run("plan", "-f", written(terminal, checkpoints={"claim": "checkpoints"}), "-o", "json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["runs"]
    assert told["jobs"]["sample"]["spec"]["backoffLimit"] == 0
    assert told["jobs"]["image"] == "r/trainer:1"
    assert told["cost"]["source"] == "mean of 20 trials of search demo"
    assert {check["outcome"] for check in told["checks"]} == {"good"}
    sent = [(method, target.partition("?")[0].rpartition("/")[2]) for method, target, _ in server.bodies]
    assert sent == [("POST", "nassearches"), ("POST", "jobs"), ("POST", "pods")]
    assert all("dryRun=All" in target and "fieldValidation=Strict" in target for _, target, _ in server.bodies)
    for _, _, body in server.bodies:
        assert "ownerReferences" not in body["metadata"]
        assert body["metadata"]["namespace"] == "lab"


def test_plan_of_one_that_is_there_tries_the_change(server: ApiServer, terminal: Terminal) -> None:
    server.put((builders.search("cifar", phase="Running"), []))
    serve(server)
    code, out, _ = terminal.run("plan", "-f", written(terminal))
    assert code == 0
    assert "is there already" in out
    assert [method for method, _, _ in server.bodies] == ["PATCH", "POST", "POST"]


def test_what_is_refused_is_exit_code_1_with_the_reason_on_the_screen(server: ApiServer, terminal: Terminal) -> None:
    message = 'pods "cifar-dry-run" is forbidden: exceeded quota: team, requested: requests.cpu=2'
    serve(server, **{"/api/v1/namespaces/lab/pods": refusal(403, "Forbidden", message)})
    code, out, _ = terminal.run("plan", "-f", written(terminal))
    assert code == 1
    flat = " ".join(out.replace("│", " ").split())
    assert "exceeded quota: team, requested: requests.cpu=2" in flat
    assert "would not run: pod" in flat


def test_a_pod_is_not_tried_where_its_job_is_refused(server: ApiServer, terminal: Terminal) -> None:
    unknown = refusal(400, "BadRequest", 'strict decoding error: unknown field "spec.x"')
    serve(server, **{"/apis/batch/v1/namespaces/lab/jobs": unknown})
    code, out, _ = terminal.run("plan", "-f", written(terminal), "-o", "json")
    assert code == 1
    told = {check["subject"]: (check["outcome"], check["message"]) for check in json.loads(out)["checks"]}
    assert told["Job"] == ("bad", 'strict decoding error: unknown field "spec.x". Change spec.trial.template')
    assert told["pod"] == ("unknown", "not tried: its Job is refused")
    assert [target.partition("?")[0].rpartition("/")[2] for _, target, _ in server.bodies] == ["nassearches", "jobs"]


def test_rights_that_lack_are_unknown_and_not_refused(server: ApiServer, terminal: Terminal) -> None:
    no = refusal(403, "Forbidden", 'x is forbidden: User "me" cannot do resource "x"')
    serve(server)
    server.answers = dict.fromkeys([*server.answers, "/api/v1/namespaces/lab/pods"], no)
    code, out, _ = terminal.run("plan", "-f", written(terminal, checkpoints={"claim": "checkpoints"}), "-o", "json")
    assert code == 0
    outcomes = {check["subject"]: check["outcome"] for check in json.loads(out)["checks"]}
    assert outcomes == {
        "NASSearch": "good",
        **dict.fromkeys(["Job", "pod", "operator", "image", "checkpoints", "quota", "nodes"], "unknown"),
    }


def test_the_namespace_of_the_file_holds_and_may_not_be_contradicted(server: ApiServer, terminal: Terminal) -> None:
    serve(server)
    made = document()
    made["metadata"]["namespace"] = "lab"
    (terminal.folder / "search.yaml").write_text(yaml.safe_dump(made))
    assert terminal.run("plan", "-f", "search.yaml", "--context", "other")[0] == 0
    assert "metadata.namespace is lab, -n says void" in terminal.refuse("plan", "-f", "search.yaml", "-n", "void")


def test_the_search_to_take_times_from_must_be_there(server: ApiServer, terminal: Terminal) -> None:
    server.put(builders.complete(20))
    serve(server)
    assert "no NASSearch nope in namespace lab; there: demo" in terminal.refuse(
        "plan", "-f", written(terminal), "--like", "nope"
    )
