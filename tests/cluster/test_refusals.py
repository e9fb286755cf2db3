"""What the API server refuses, and what it says: the field, and what would be valid."""

import pytest

from tests.support.cluster import Cluster, Object
from tests.support.searches import merged, table_search, training_search


@pytest.fixture(scope="module")
def crds(bare_cluster: Cluster) -> Cluster:
    """The cluster with our CRDs; no operator is needed for what the API server refuses."""
    bare_cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "manifests/crds")
    bare_cluster.kubectl(
        "wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/name=bananas", "--timeout=30s"
    )
    return bare_cluster


def template(**fields: object) -> Object:
    return {"trial": {"template": fields}}


def recipe(**fields: object) -> Object:
    return {"trial": {"recipe": fields}}


INVALID_SPECS: dict[str, tuple[Object, tuple[str, ...]]] = {
    "an unknown field": ({"paralelism": 3}, ("spec.paralelism", "unknown field")),
    "an unknown field deep inside": (recipe(learningrate=1), ("spec.trial.recipe.learningrate", "unknown field")),
    "an unknown space": ({"space": "resnet"}, ("spec.space", '"darts", "nasbench101", "nasbench201"')),
    "no space": ({"space": None}, ("spec.space", "Required value")),
    "an unknown evaluator": ({"evaluator": "guess"}, ("spec.evaluator", '"train", "table"')),
    "an unknown strategy": ({"strategy": {"name": "grid"}}, ("spec.strategy.name", '"bananas", "bananasPaper"')),
    "an unknown encoding": ({"strategy": {"encoding": "onehot"}}, ("spec.strategy.encoding", '"adjacency"')),
    "an unknown acquisition": ({"strategy": {"acquisition": "best"}}, ("spec.strategy.acquisition", '"its"')),
    "an ensemble of one": (
        {"strategy": {"ensembleSize": 1}},
        ("spec.strategy.ensembleSize", "greater than or equal to 2"),
    ),
    "a negative budget": ({"budget": {"trials": -1}}, ("spec.budget.trials", "greater than or equal to 1")),
    "a budget of zero": ({"budget": {"trials": 0}}, ("spec.budget.trials", "greater than or equal to 1")),
    "a budget beyond all bounds": (
        {"budget": {"trials": 10**7}},
        ("spec.budget.trials", "less than or equal to 100000"),
    ),
    "a budget in words": ({"budget": {"trials": "ten"}}, ("spec.budget.trials", "integer")),
    "a wall clock in words": ({"budget": {"wallClock": "2 hours"}}, ("spec.budget.wallClock", "should match")),
    "a wall clock of nothing": ({"budget": {"wallClock": "0h"}}, ("spec.budget.wallClock", "should match")),
    "a target in percent": (
        {"budget": {"targetAccuracy": 93}},
        ("spec.budget.targetAccuracy", "less than or equal to 1"),
    ),
    "no GPU hours": ({"budget": {"gpuHours": 0}}, ("spec.budget.gpuHours", "greater than 0")),
    "no trials without improvement": (
        {"budget": {"noImprovementTrials": 0}},
        ("spec.budget.noImprovementTrials", "greater than or equal to 1"),
    ),
    "a suspension in words": ({"suspend": "yes"}, ("spec.suspend", "boolean")),
    "negative parallelism": ({"parallelism": -2}, ("spec.parallelism", "greater than or equal to 0")),
    "a negative seed": ({"seed": -5}, ("spec.seed", "greater than or equal to 0")),
    "more promotion than anyone means": (
        {"promote": {"top": 20, "seeds": 20}},
        ("top times seeds must not exceed 100",),
    ),
    "a promotion of looked-up results": (
        {"space": "nasbench201", "evaluator": "table", "trial": {"recipe": None}, "promote": {"top": 1}},
        ("promote trains networks to the end",),
    ),
    "more random trials than budget": (
        {"strategy": {"name": "bananas", "initialTrials": 50}, "budget": {"trials": 20}},
        ("must not exceed budget.trials",),
    ),
    "a table for trained trials": ({"table": {}}, ("table is for evaluator table",)),
    "a table search of darts": ({"evaluator": "table"}, ("set space to nasbench101 or nasbench201",)),
    "two layers for three stacks": (
        {"space": "nasbench201", **recipe(layers=2)},
        ("trial.recipe.layers must be a multiple of 3", "published: 9 and 15"),
    ),
    "four channels for five vertices": (
        {"space": "nasbench101", **recipe(channels=4)},
        ("trial.recipe.channels must be at least 5",),
    ),
    "two layers to the end for three stacks": (
        {"space": "nasbench201", "promote": {"layers": 8}},
        ("promote.layers must be a multiple of 3",),
    ),
    "four channels to the end for five vertices": (
        {"space": "nasbench101", **recipe(channels=8), "promote": {"channels": 4}},
        ("promote.channels must be at least 5",),
    ),
    "an auxiliary classifier where there is none": (
        {"space": "nasbench101", **recipe(channels=8, auxiliary=True)},
        ("trial.recipe.auxiliary must be false",),
    ),
    "drop path where there is none": (
        {"space": "nasbench201", **recipe(dropPath=0.2)},
        ("trial.recipe.dropPath must be 0",),
    ),
    "a stem that is not there": (
        {"space": "nasbench201", **recipe(stem="imagenet")},
        ("trial.recipe.stem must be cifar",),
    ),
    "a recipe file without data": (recipe(dataset="npz", file="x.npz"), ("set data.claim",)),
    "data npz without a file": (
        {"data": {"claim": "d"}, "trial": {"recipe": {"dataset": "npz"}}},
        ("spec.trial.recipe", "file must be set where dataset is npz"),
    ),
    "a file path that climbs out": (
        {"data": {"claim": "d"}, "trial": {"recipe": {"dataset": "npz", "file": "/etc/passwd"}}},
        ("spec.trial.recipe.file", "should match"),
    ),
    "no epochs": (recipe(epochs=0), ("spec.trial.recipe.epochs", "greater than or equal to 1")),
    "more score epochs than epochs": (recipe(epochs=2, scoreEpochs=5), ("scoreEpochs must not exceed epochs",)),
    "a validation fraction of one": (
        recipe(validationFraction=1),
        ("spec.trial.recipe.validationFraction", "less than 1"),
    ),
    "test images in a search": (recipe(testAtEnd=True), ("testAtEnd must be false in a search",)),
    "more random trials than budget for another strategy": (
        {"strategy": {"name": "evolution", "initialTrials": 50}, "budget": {"trials": 20}},
        ("must not exceed budget.trials",),
    ),
    "a learning rate of zero": (recipe(learningRate=0), ("spec.trial.recipe.learningRate", "greater than 0")),
    "an unknown precision": (recipe(precision="int4"), ("spec.trial.recipe.precision", '"float32", "bfloat16"')),
    "an unknown data set": (recipe(dataset="mnist"), ("spec.trial.recipe.dataset", '"digits", "npz"')),
    "a negative deadline": (
        {"trial": {"deadlineSeconds": -1}},
        ("spec.trial.deadlineSeconds", "greater than or equal to 1"),
    ),
    "a claim name with spaces": ({"data": {"claim": "my data"}}, ("spec.data.claim", "should match")),
    "host network": (template(hostNetwork=True), ("hostNetwork is refused", "remove it")),
    "host processes": (template(hostPID=True), ("hostPID is refused",)),
    "host ipc": (template(hostIPC=True), ("hostIPC is refused",)),
    "another service account": (
        template(serviceAccountName="admin"),
        ("serviceAccountName is refused", "without Kubernetes"),
    ),
    "a privileged container": (
        template(securityContext={"privileged": True}),
        ("securityContext is refused", "restricted"),
    ),
    "a host path": (
        template(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
        ("hostPath is refused", "node's files"),
    ),
    "a volume of no kind": (template(volumes=[{"name": "v"}]), ("exactly one of configMap, secret, emptyDir",)),
    "a volume with our prefix": (
        template(volumes=[{"name": "bananas-x", "emptyDir": {}}]),
        ("belong to the operator",),
    ),
    "a mount over our files": (
        template(volumes=[{"name": "v", "emptyDir": {}}], volumeMounts=[{"name": "v", "mountPath": "/bananas/trial"}]),
        ("mountPath must not lie under /bananas",),
    ),
    "a variable of ours": (template(env=[{"name": "BANANAS_TRIAL_FILE", "value": "x"}]), ("begin with BANANAS_",)),
    "a label of ours": (template(labels={"nas.bananas.dev/trial": "x"}), ("labels that begin with nas.bananas.dev/",)),
    "an unknown pull policy": (template(imagePullPolicy="Sometimes"), ("imagePullPolicy", "should match")),
}


@pytest.mark.parametrize("case", INVALID_SPECS)
def test_an_invalid_search_is_refused_with_the_field_and_what_would_be_valid(crds: Cluster, case: str) -> None:
    changes, wants = INVALID_SPECS[case]
    answer = crds.try_to_apply(training_search("invalid", "default", **changes))
    assert answer.code != 0, f"accepted: {answer.out}"
    for want in wants:
        assert want in answer.err
    assert crds.get("nassearch", "invalid", "default") is None


@pytest.mark.parametrize(("name", "want"), [("x" * 41, "at most 40 characters"), ("a.b", "must not contain a dot")])
def test_a_name_from_which_no_job_name_can_be_made_is_refused(crds: Cluster, name: str, want: str) -> None:
    answer = crds.try_to_apply(table_search(name, "default"))
    assert answer.code != 0
    assert want in answer.err


@pytest.mark.parametrize("field", ["hostNetwork", "serviceAccountName"])
def test_what_escalates_is_refused_and_not_pruned_for_a_client_without_strict_validation(
    crds: Cluster, field: str
) -> None:
    value = True if field == "hostNetwork" else "admin"
    answer = crds.try_to_apply(training_search("invalid", "default", **template(**{field: value})), strict=False)
    assert answer.code != 0
    assert f"{field} is refused" in answer.err


IMMUTABLE: dict[str, Object] = {
    "spec.space": {"space": "nasbench101"},
    "spec.evaluator": {"space": "darts", "evaluator": "train", "table": None},
    "spec.seed": {"seed": 8},
    "spec.strategy": {"strategy": {"initialTrials": 7}},
    "spec.table": {"table": {"secondsPerTrial": 3}},
    "spec.trial.recipe": {"trial": {"recipe": {"epochs": 33}}},
    "spec.trial.repeats": {"trial": {"repeats": 2}},
    "spec.constraints": {"constraints": {"maxParameters": 7}},
    "spec.warmStartFrom": {"warmStartFrom": {"search": "somebody"}},
}


@pytest.fixture(scope="module")
def idle_search(crds: Cluster) -> Object:
    """A search that starts nothing."""
    search = table_search(
        "immutable",
        "default",
        parallelism=0,
        constraints={"maxParameters": 10**9},
        warmStartFrom={"search": "nobody"},
    )
    crds.apply(search)
    yield search
    crds.delete("nassearch", "immutable", "default")


@pytest.mark.parametrize("field", IMMUTABLE)
def test_what_may_not_change_is_refused_with_the_reason(crds: Cluster, idle_search: Object, field: str) -> None:
    answer = crds.try_to_apply({**idle_search, "spec": merged(idle_search["spec"], IMMUTABLE[field])})
    assert answer.code != 0, answer.out
    assert f"{field} cannot change" in answer.err
    assert "Make a new NASSearch instead" in answer.err


@pytest.mark.parametrize("field", ["constraints", "warmStartFrom", "table"])
def test_what_may_not_change_cannot_be_taken_away_either(crds: Cluster, idle_search: Object, field: str) -> None:
    answer = crds.try_to_apply({**idle_search, "spec": merged(idle_search["spec"], {field: None})})
    assert answer.code != 0, answer.out
    assert f"{field} cannot be added or removed" in answer.err


@pytest.mark.parametrize("space", ["darts", "nasbench101", "nasbench201"])
def test_networks_of_every_space_may_be_trained(crds: Cluster, space: str) -> None:
    search = training_search(f"trains-{space}", "default", space=space, parallelism=0, **recipe(channels=8))
    answer = crds.try_to_apply(search)
    try:
        assert answer.code == 0, answer.err
    finally:
        crds.delete("nassearch", search["metadata"]["name"], "default")


def test_what_may_change_is_accepted(crds: Cluster, idle_search: Object) -> None:
    changes = {
        "budget": {
            "trials": 30,
            "gpuHours": 2.5,
            "wallClock": "1d12h",
            "targetAccuracy": 0.95,
            "noImprovementTrials": 20,
        },
        "suspend": True,
        "strategy": {"fallback": "evolution"},
        "parallelism": 8,
        "trial": {"retries": 5, "maxFailedTrials": 2, "template": {"image": "example/other:1"}},
    }
    answer = crds.try_to_apply({**idle_search, "spec": merged(idle_search["spec"], changes)})
    assert answer.code == 0, answer.err


def test_a_trial_s_spec_cannot_change_and_its_architecture_is_checked(crds: Cluster) -> None:
    trial = {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASTrial",
        "metadata": {"name": "lonely", "namespace": "default"},
        "spec": {
            "search": "nobody",
            "index": 0,
            "architecture": {"space": "nasbench201", "nasbench201": {"ops": ["none"] * 6}},
            "table": {},
            "origin": {"method": "random"},
        },
    }
    crds.apply(trial)
    try:
        answer = crds.try_to_apply(merged(trial, {"spec": {"index": 1}}))
        assert answer.code != 0
        assert "the spec of a NASTrial cannot change" in answer.err
    finally:
        crds.delete("nastrial", "lonely", "default")
    cases = {
        "exactly the field named by space": {"space": "darts"},
        "should have at least 6 items": {"nasbench201": {"ops": ["none"] * 5}},
        'supported values: "avg_pool_3x3"': {"nasbench201": {"ops": ["conv"] * 6}},
    }
    for want, change in cases.items():
        answer = crds.try_to_apply(merged(trial, {"spec": {"architecture": change}}))
        assert answer.code != 0
        assert want in answer.err
    edges = [{"op": "none", "input": i} for _ in range(4) for i in (0, 1)]
    later = [{"op": "none", "input": 3}, *edges[1:]]
    darts = {"architecture": {"space": "darts", "nasbench201": None, "darts": {"normal": later, "reduce": edges}}}
    answer = crds.try_to_apply(merged(trial, {"spec": darts}))
    assert answer.code != 0
    assert "its input must be less than e/2 + 2" in answer.err


@pytest.mark.parametrize("path", ["nassearch.spec", "nassearch.spec.trial.recipe", "nassearch.status", "nastrial.spec"])
def test_kubectl_explains_every_field(crds: Cluster, path: str) -> None:
    text = crds.kubectl("explain", path)
    fields = [
        line for line in text.split("FIELDS:")[1].splitlines() if line.startswith("  ") and not line.startswith("   ")
    ]
    assert len(fields) > 3
    assert "<no description>" not in text
