"""The objects that the operator makes, and the ones it is shipped with."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bananas_core import constants, contract
from bananas_core.contract import TrialFile
from bananas_core.workload.job import build_sample_job, template_hash
from bananas_operator.job import build_job
from bananas_operator.predictor import build_deployment, build_role_binding, build_service_account
from bananas_operator.settings import Settings
from bananas_operator.views import TrialView

from .builders import SETTINGS, search, spec, trial

BASE = Path(__file__).parents[2] / "manifests" / "base"


def made(attempt: int = 1, **changes: Any) -> dict[str, Any]:
    given = spec(**changes)
    return build_job(search(given), given, trial(3), attempt, SETTINGS)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def shipped() -> list[dict[str, Any]]:
    return [item for path in sorted(BASE.glob("*.yaml")) for item in yaml.safe_load_all(path.read_text())]


def pods_of_ours() -> list[Any]:
    operator = next(item for item in shipped() if item["kind"] == "Deployment")
    return [
        pytest.param(pod_of(made()), id="trial"),
        pytest.param(build_deployment(search(), spec(), SETTINGS)["spec"]["template"]["spec"], id="predictor"),
        pytest.param(operator["spec"]["template"]["spec"], id="operator"),
    ]


@pytest.mark.parametrize("pod", pods_of_ours())
def test_every_pod_meets_the_restricted_level(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_a_trial_has_no_credentials_and_the_operator_no_service_variables() -> None:
    assert pod_of(made())["automountServiceAccountToken"] is False
    operator = next(item for item in shipped() if item["kind"] == "Deployment")
    assert operator["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_a_job_is_one_attempt_and_nobody_but_the_operator_tries_again() -> None:
    job = made(2)
    assert job["metadata"]["name"] == "s-3-2"
    assert (job["spec"]["backoffLimit"], job["spec"]["podReplacementPolicy"]) == (0, "Failed")
    assert pod_of(job)["restartPolicy"] == "Never"
    assert not {"ttlSecondsAfterFinished", "activeDeadlineSeconds", "suspend"} & set(job["spec"])


def test_the_deadline_stands_at_the_pod_where_waiting_for_a_gpu_does_not_count() -> None:
    assert pod_of(made(trial={"deadlineSeconds": 60}))["activeDeadlineSeconds"] == 60
    assert "activeDeadlineSeconds" not in pod_of(made())


def test_a_job_is_owned_by_its_trial_and_found_by_the_searchs_uid() -> None:
    job = made(2)
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("NASTrial", "trial-3", True)
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["labels"][constants.LABEL_SEARCH_UID] == "search-uid"
        assert metadata["labels"][constants.LABEL_TRIAL_UID] == "trial-3"
        assert metadata["labels"][constants.LABEL_ATTEMPT] == "2"


def test_the_trial_file_says_everything_and_is_mounted_where_the_contract_says() -> None:
    job = made(2, data={"claim": "d"}, checkpoints={"claim": "c"})
    annotation = job["spec"]["template"]["metadata"]["annotations"][constants.ANNOTATION_TRIAL_FILE]
    file = TrialFile.read(annotation)
    assert (file.trial, file.trial_uid, file.attempt, file.search) == ("s-3", "trial-3", 2, "s")
    assert file.architecture == trial(3).spec.architecture  # type: ignore[union-attr]
    assert file.data_dir == contract.DATA_PATH
    assert file.checkpoint_dir == f"{contract.CHECKPOINT_PATH}/search-uid/s-3"
    assert file.progress_url == "http://bananas-operator.bananas-system.svc:8080/v1/progress"
    (container,) = pod_of(job)["containers"]
    assert container["env"][0] == {"name": contract.TRIAL_FILE_VARIABLE, "value": contract.TRIAL_FILE_PATH}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["bananas-trial"]["mountPath"] == str(Path(contract.TRIAL_FILE_PATH).parent)
    assert mounts["bananas-data"]["readOnly"] is True
    assert "readOnly" not in mounts["bananas-checkpoints"]
    volumes = {volume["name"]: volume for volume in pod_of(job)["volumes"]}
    (item,) = volumes["bananas-trial"]["downwardAPI"]["items"]
    assert item["path"] == Path(contract.TRIAL_FILE_PATH).name
    assert item["fieldRef"]["fieldPath"] == f"metadata.annotations['{constants.ANNOTATION_TRIAL_FILE}']"


def test_without_claims_nothing_of_them_is_mounted_or_told() -> None:
    job = made()
    file = json.loads(job["spec"]["template"]["metadata"]["annotations"][constants.ANNOTATION_TRIAL_FILE])
    assert not {"dataDir", "checkpointDir"} & set(file)
    assert {v["name"] for v in pod_of(job)["volumes"]} == {"bananas-trial", "bananas-cache", "bananas-tmp"}


TEMPLATE: dict[str, Any] = {
    "image": "mine:1",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "secret"}],
    "command": ["run"],
    "args": ["fast"],
    "resources": {"limits": {"nvidia.com/gpu": 1}},
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "low",
    "runtimeClassName": "nvidia",
    "schedulerName": "volcano",
    "terminationGracePeriodSeconds": 7,
    "env": [{"name": "A", "value": ""}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    "labels": {"kueue.x-k8s.io/queue-name": "q"},
    "annotations": {"note": "x"},
}


def test_every_field_of_the_template_reaches_the_pod() -> None:
    job = made(trial={"template": TEMPLATE})
    pod = pod_of(job)
    (container,) = pod["containers"]
    for key in ("image", "imagePullPolicy", "command", "args", "resources"):
        assert container[key] == TEMPLATE[key]
    for key in (
        "imagePullSecrets",
        "nodeSelector",
        "affinity",
        "priorityClassName",
        "runtimeClassName",
        "schedulerName",
        "terminationGracePeriodSeconds",
    ):
        assert pod[key] == TEMPLATE[key]
    assert pod["tolerations"][:1] == TEMPLATE["tolerations"]
    assert container["env"][-2:] == TEMPLATE["env"]
    assert pod["volumes"][-1] == TEMPLATE["volumes"][0]
    assert container["volumeMounts"][-1] == TEMPLATE["volumeMounts"][0]
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "q"
        assert metadata["annotations"]["note"] == "x"


def test_a_template_may_bring_its_own_home_and_tmp() -> None:
    template = {
        "env": [{"name": "HOME", "value": "/home/me"}],
        "volumes": [{"name": "big", "emptyDir": {}}],
        "volumeMounts": [{"name": "big", "mountPath": "/tmp"}],
    }
    (container,) = pod_of(made(trial={"template": template}))["containers"]
    assert [e["value"] for e in container["env"] if e["name"] == "HOME"] == ["/home/me"]
    assert [m["name"] for m in container["volumeMounts"] if m["mountPath"] == "/tmp"] == ["big"]


def test_the_template_hash_follows_every_part_of_a_job_that_is_not_the_trials_own() -> None:
    base = template_hash(spec(), SETTINGS)
    others = [
        template_hash(spec(trial={"template": {"image": "x"}}), SETTINGS),
        template_hash(spec(trial={"deadlineSeconds": 5}), SETTINGS),
        template_hash(spec(data={"claim": "d"}), SETTINGS),
        template_hash(spec(checkpoints={"claim": "d"}), SETTINGS),
        template_hash(spec(), Settings(tables_image="y")),
    ]
    assert len({base, *others}) == len(others) + 1
    assert template_hash(spec(parallelism=7, budget={"trials": 9}), SETTINGS) == base


def test_the_sample_for_the_dry_run_differs_from_a_job_in_nothing_that_is_checked() -> None:
    given = spec(trial={"template": TEMPLATE})
    sample = build_sample_job(search(given), given, SETTINGS)
    job = build_job(search(given), given, trial(0), 1, SETTINGS)
    assert pod_of(sample) == pod_of(job)
    assert sample["metadata"]["ownerReferences"][0]["uid"] == "search-uid"


@pytest.mark.parametrize(("evaluator", "image"), [("train", "trainer"), ("table", "tables")])
def test_the_default_image_is_that_of_the_evaluator(evaluator: str, image: str) -> None:
    given = spec(evaluator=evaluator, space="darts" if evaluator == "train" else "nasbench201")
    job = build_job(search(given), given, trial(0), 1, Settings(trainer_image="trainer", tables_image="tables"))
    assert pod_of(job)["containers"][0]["image"] == image


def test_the_predictor_is_one_pod_with_an_identity_of_its_own() -> None:
    given = spec(predictor={"image": "p:1", "resources": {"requests": {"cpu": "1"}}, "nodeSelector": {"a": "b"}})
    made = build_deployment(search(given), given, SETTINGS)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (made["spec"]["replicas"], made["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert (container["image"], container["resources"]) == ("p:1", {"requests": {"cpu": "1"}})
    assert pod["nodeSelector"] == {"a": "b"}
    environment = {e["name"]: e["value"] for e in container["env"]}
    assert environment["BANANAS_SEARCH_UID"] == "search-uid"
    assert made["spec"]["selector"]["matchLabels"].items() <= made["spec"]["template"]["metadata"]["labels"].items()
    account, binding = build_service_account(search(given)), build_role_binding(search(given))
    assert pod["serviceAccountName"] == account["metadata"]["name"] == binding["subjects"][0]["name"]
    assert binding["roleRef"]["name"] == "bananas-predictor"
    for item in (made, account, binding):
        assert item["metadata"]["ownerReferences"][0]["uid"] == "search-uid"


# --- shipped ---


def rules(name: str) -> set[tuple[str, str, str]]:
    role = next(i for i in shipped() if i["kind"] == "ClusterRole" and i["metadata"]["name"] == name)
    assert not [r for r in role["rules"] if "*" in r["verbs"] + r["resources"] + r["apiGroups"]]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_operator_may_bind_the_predictors_role_and_no_other() -> None:
    role = next(i for i in shipped() if i["kind"] == "ClusterRole" and i["metadata"]["name"] == "bananas-operator")
    (rule,) = [r for r in role["rules"] if "bind" in r["verbs"]]
    assert (rule["resources"], rule["resourceNames"]) == (["clusterroles"], ["bananas-predictor"])


def test_nobody_may_read_secrets_run_in_pods_or_change_a_spec() -> None:
    for name in ("bananas-operator", "bananas-predictor"):
        for _, resource, verb in rules(name):
            assert resource not in ("secrets", "pods/exec")
            assert resource not in ("nodes", "resourcequotas") or verb == "list"
            assert (resource, verb) not in {
                ("pods", "create"),
                ("pods", "delete"),
                ("nassearches", "update"),
                ("nassearches", "patch"),
                ("nastrials", "patch"),
                ("nastrials", "delete"),
            }


def lost_node_tolerations(**trial_spec: Any) -> dict[str, int]:
    tolerations = pod_of(made(trial=trial_spec))["tolerations"]
    return {t["key"]: t.get("tolerationSeconds") for t in tolerations if t.get("key", "").startswith("node.")}


def test_a_lost_node_is_borne_as_long_as_the_search_says() -> None:
    not_ready, unreachable = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
    assert lost_node_tolerations() == {not_ready: 300, unreachable: 300}
    assert lost_node_tolerations(nodeLossTimeoutSeconds=20) == {not_ready: 20, unreachable: 20}
    own = {"key": unreachable, "operator": "Exists", "tolerationSeconds": 5}
    assert lost_node_tolerations(template={"tolerations": [own]}) == {not_ready: 300, unreachable: 5}


def test_an_image_that_writes_no_termination_message_still_says_why_it_failed() -> None:
    (container,) = pod_of(made())["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def checkpoint_directory(of: TrialView) -> str | None:
    job = build_job(search(), spec(checkpoints={"claim": "c"}), of, 1, SETTINGS)
    annotation = job["spec"]["template"]["metadata"]["annotations"][constants.ANNOTATION_TRIAL_FILE]
    return TrialFile.read(annotation).checkpoint_dir


def test_checkpoints_are_those_of_this_very_trial_and_a_trial_of_an_earlier_release_keeps_its_own() -> None:
    root = f"{contract.CHECKPOINT_PATH}/search-uid"
    assert checkpoint_directory(trial(3, "Queued", checkpointDirectory="s-3-0a1b2c3d")) == f"{root}/s-3-0a1b2c3d"
    assert checkpoint_directory(trial(3, "Queued")) == f"{root}/s-3"


def test_only_its_own_lease_is_the_operators_and_only_in_its_own_namespace() -> None:
    role = next(i for i in shipped() if i["kind"] == "Role" and i["metadata"]["name"] == "bananas-operator")
    assert role["metadata"]["namespace"] == Settings().operator_namespace
    named = [rule for rule in role["rules"] if "resourceNames" in rule]
    assert [rule["resourceNames"] for rule in named] == [[Settings().lease_name]]
    assert {verb for rule in role["rules"] if rule not in named for verb in rule["verbs"]} == {"create"}
    assert not [r for r in rules("bananas-operator") if r[0] == "coordination.k8s.io"]


def test_the_fence_looks_at_every_write_that_the_operators_role_grants() -> None:
    policy = next(i for i in shipped() if i["kind"] == "ValidatingAdmissionPolicy")
    assert policy["metadata"]["name"] == constants.FENCE_POLICY
    guarded = {
        (group, resource)
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    written = {(g, r) for g, r, verb in rules("bananas-operator") if verb in ("create", "update", "patch", "delete")}
    harmless = {
        ("", "events"),
        ("nas.bananas.dev", "nassearches/finalizers"),
        ("nas.bananas.dev", "nastrials/finalizers"),
    }
    assert written - harmless <= guarded


def test_a_rolling_update_never_leaves_the_cluster_without_a_replica() -> None:
    deployment = next(item for item in shipped() if item["kind"] == "Deployment")
    budget = next(item for item in shipped() if item["kind"] == "PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert budget["spec"]["selector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]


def test_the_kubelet_ends_only_an_operator_that_a_new_process_would_be_better_than() -> None:
    """Not one that waits for CRDs: that one is not ready, and no more."""
    deployment = next(item for item in shipped() if item["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert [container[probe]["httpGet"]["path"] for probe in probes] == ["/livez", "/livez", "/healthz"]
