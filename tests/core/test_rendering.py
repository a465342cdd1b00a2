"""Children as the API server gets them: owned, unprivileged, and nothing a user writes becomes structure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.render.cluster import cluster_objects, policy_object, tier_objects
from heterollm_controllers.render.engine import engine_body, engine_from
from heterollm_controllers.render.revision import revision_object
from heterollm_controllers.sizing import size
from tests.core.builders import api_tier, cluster, spec
from tests.core.properties import quick

_API_VERSIONS = {
    "ServiceAccount": "v1",
    "Service": "v1",
    "ConfigMap": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "ControllerRevision": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
}


def engine(wanted: HeteroLLMClusterSpec, config: Config | None = None) -> Manifest:
    """The StatefulSet of the first tier's engine 0."""
    tier, owner = wanted.engine_tiers[0], cluster()
    sizing = size(tier)
    body = engine_body(owner, wanted, tier, sizing, config or Config())
    revision = revision_object(owner, tier, sizing, body, {}, 1)
    return engine_from(owner, revision, f"demo-{tier.name}-0")


def engine_of(config: Config | None = None, security: dict[str, Any] | None = None, **tier: Any) -> Manifest:
    return engine(spec(api_tier(**tier), security=security or {}), config)


def pod_of(**tier: Any) -> Manifest:
    pod = engine_of(**tier)["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def container_of(**tier: Any) -> Manifest:
    [container] = pod_of(**tier)["containers"]
    assert isinstance(container, dict)
    return container


def environment(container: Manifest) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def every_object(wanted: HeteroLLMClusterSpec) -> list[Manifest]:
    owner = cluster()
    objects = [*cluster_objects(owner, wanted, Config()), policy_object(owner, {"a.json": "{}"}, 3)]
    for tier in wanted.engine_tiers:
        sizing = size(tier)
        revision = revision_object(owner, tier, sizing, engine_body(owner, wanted, tier, sizing, Config()), {}, 1)
        objects += [
            *tier_objects(owner, tier),
            dict(revision.manifest),
            engine_from(owner, revision, f"demo-{tier.name}-0"),
        ]
    return objects


_TWO_TIERS = spec(api_tier(), api_tier("large", engine={"gpus": 16}))
_OBJECTS = every_object(_TWO_TIERS)
_IDS = [f"{item['kind']}-{item['metadata']['name']}" for item in _OBJECTS]


def test_children_of_a_two_tier_cluster() -> None:
    assert sorted(name for name in _IDS if "ControllerRevision" not in name) == [
        "ConfigMap-demo-policy",
        "Deployment-demo-router",
        "NetworkPolicy-demo-engines",
        "NetworkPolicy-demo-router",
        "PodDisruptionBudget-demo-large-engines",
        "PodDisruptionBudget-demo-router",
        "PodDisruptionBudget-demo-small-engines",
        "Role-demo-router",
        "RoleBinding-demo-router",
        "Service-demo",
        "Service-demo-large-engines",
        "Service-demo-small-engines",
        "ServiceAccount-demo-engines",
        "ServiceAccount-demo-router",
        "StatefulSet-demo-large-0",
        "StatefulSet-demo-small-0",
    ]


def test_network_policies_can_be_left_out() -> None:
    kinds = {item["kind"] for item in every_object(spec(security={"networkPolicies": False}))}
    assert kinds == {*_API_VERSIONS} - {"NetworkPolicy"}


@pytest.mark.parametrize("item", _OBJECTS, ids=_IDS)
def test_identity_and_owner(item: Manifest) -> None:
    assert item["apiVersion"] == _API_VERSIONS[item["kind"]]
    assert item["metadata"]["namespace"] == "team"
    assert item["metadata"]["labels"][names.MANAGED_BY] == names.MANAGER
    assert item["metadata"]["labels"][names.CLUSTER] == "demo"
    [owner] = item["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == (names.KIND, "demo", "uid-of-demo")
    assert owner["controller"] is owner["blockOwnerDeletion"] is True


@pytest.mark.parametrize("item", [item for item in _OBJECTS if item["kind"] in ("StatefulSet", "Deployment")])
def test_pods_run_unprivileged(item: Manifest) -> None:
    pod = item["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("item", [item for item in _OBJECTS if item["kind"] in ("StatefulSet", "Deployment")])
def test_prometheus_finds_the_metrics_of_pods_by_their_annotations(item: Manifest) -> None:
    template = item["spec"]["template"]
    told = template["metadata"]["annotations"]
    assert (told["prometheus.io/scrape"], told["prometheus.io/path"]) == ("true", "/metrics")
    metrics = "agent" if item["kind"] == "Deployment" else "http"
    ports = {port["name"]: port["containerPort"] for each in template["spec"]["containers"] for port in each["ports"]}
    assert told["prometheus.io/port"] == str(ports[metrics])


def test_routers_are_told_whose_figures_they_serve() -> None:
    [router] = [item for item in _OBJECTS if item["kind"] == "Deployment"]
    [_, agent] = router["spec"]["template"]["spec"]["containers"]
    assert environment(agent)["CLUSTER"] == "demo"
    assert environment(agent)["POLICY_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_engines_have_no_business_with_the_api_server() -> None:
    [account] = [
        item for item in _OBJECTS if item["kind"] == "ServiceAccount" and "engines" in item["metadata"]["name"]
    ]
    assert account["automountServiceAccountToken"] is False
    assert pod_of()["automountServiceAccountToken"] is False
    assert pod_of()["serviceAccountName"] == "demo-engines"


def test_routers_may_read_their_policy_and_nothing_else() -> None:
    [role] = [item for item in _OBJECTS if item["kind"] == "Role"]
    [rule] = role["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["demo-policy"],
        "verbs": ["get", "watch"],
    }


@pytest.mark.parametrize("item", [item for item in _OBJECTS if item["kind"] in ("StatefulSet", "Deployment")])
def test_selectors_select_their_own_pods_only(item: Manifest) -> None:
    selector = item["spec"]["selector"]["matchLabels"].items()
    others = [other for other in _OBJECTS if other["kind"] in ("StatefulSet", "Deployment") and other is not item]
    assert selector <= item["spec"]["template"]["metadata"]["labels"].items()
    assert [other for other in others if selector <= other["spec"]["template"]["metadata"]["labels"].items()] == []


def test_services_and_budgets_select_what_they_are_named_after() -> None:
    pods = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"].items()
        for item in _OBJECTS
        if item["kind"] in ("StatefulSet", "Deployment")
    }
    selected = {
        (item["kind"], item["metadata"]["name"]): [name for name, labels in pods.items() if selector.items() <= labels]
        for item in _OBJECTS
        if item["kind"] in ("Service", "PodDisruptionBudget")
        for selector in [item["spec"]["selector"].get("matchLabels", item["spec"]["selector"])]
    }
    assert selected == {
        ("Service", "demo"): ["demo-router"],
        ("PodDisruptionBudget", "demo-router"): ["demo-router"],
        **{
            (kind, f"demo-{tier}-engines"): [f"demo-{tier}-0"]
            for kind in ("Service", "PodDisruptionBudget")
            for tier in ("small", "large")
        },
    }


def test_an_engine_is_a_parallel_stateful_set_of_its_nodes() -> None:
    result = engine_of(engine={"gpus": 16})["spec"]
    assert (result["replicas"], result["podManagementPolicy"]) == (2, "Parallel")
    assert result["updateStrategy"] == {"type": "OnDelete"}
    assert result["serviceName"] == "demo-small-engines"


def test_ranks_find_their_leader_before_anything_is_ready() -> None:
    [service] = [
        item for item in _OBJECTS if item["metadata"]["name"] == "demo-large-engines" and "ports" in item["spec"]
    ]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_rank_comes_from_the_pod_index_of_multi_node_engines_only() -> None:
    many, one = environment(container_of(engine={"gpus": 16})), environment(container_of())
    assert many["NODE_RANK"] == {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}
    assert "NODE_RANK" not in one
    assert many["ENGINE"] == one["ENGINE"] == {"fieldRef": {"fieldPath": f"metadata.labels['{names.ENGINE}']"}}


def test_engine_and_its_pods_say_what_they_were_made_from() -> None:
    result = engine_of()
    revision = result["metadata"]["annotations"][names.REVISION]
    assert revision.startswith("demo-small-")
    assert result["spec"]["template"]["metadata"]["annotations"][names.REVISION] == revision


def test_gpus_are_requested_per_node() -> None:
    resources = container_of(
        engine={"gpus": 16, "resources": {"cpu": 4, "memory": "64Gi"}},
        accelerator={"type": "MI300X", "resourceName": "amd.com/gpu"},
    )["resources"]
    assert resources["requests"] == {"amd.com/gpu": "8", "cpu": "4", "memory": "64Gi"}
    assert resources["limits"] == {"amd.com/gpu": "8", "memory": "64Gi"}


def test_placement() -> None:
    pod = pod_of(
        accelerator={
            "type": "H100",
            "nodeSelector": {"gpu": "h100"},
            "tolerations": [{"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute"}],
            "runtimeClassName": "nvidia",
        }
    )
    assert pod["nodeSelector"] == {"gpu": "h100"}
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute"},
    ]


def test_pods_of_one_engine_stay_near_each_other() -> None:
    [term] = pod_of(engine={"gpus": 16})["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["matchLabelKeys"] == [names.ENGINE]
    assert "affinity" not in pod_of()


def test_shared_memory_and_scratch_are_volumes() -> None:
    pod = pod_of(engine={"sharedMemory": "8Gi"})
    volumes = {item["name"]: item for item in pod["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
    assert {item["mountPath"]: item["name"] for item in pod["containers"][0]["volumeMounts"]} == {
        "/tmp": "tmp",
        "/dev/shm": "shm",
    }


@pytest.mark.parametrize(
    ("source", "volume"),
    [
        ({"pvc": {"claimName": "c"}}, {"persistentVolumeClaim": {"claimName": "c", "readOnly": True}}),
        ({"hostPath": {"path": "/srv"}}, {"hostPath": {"path": "/srv", "type": "Directory"}}),
    ],
)
def test_model_from_a_volume_is_read_only(source: dict[str, Any], volume: dict[str, Any]) -> None:
    pod = pod_of(model={"id": "m", "source": source})
    assert pod["volumes"][-1] == {"name": "model", **volume}
    assert pod["containers"][0]["volumeMounts"][-1] == {"name": "model", "mountPath": "/models", "readOnly": True}


def test_keys_come_from_secrets() -> None:
    result = engine_of(
        security={"apiKeySecret": {"name": "keys", "key": "api"}},
        model={"id": "m", "source": {"hub": {"tokenSecret": {"name": "hub", "key": "token"}}}},
    )
    variables = environment(result["spec"]["template"]["spec"]["containers"][0])
    assert variables["API_KEY"] == {"secretKeyRef": {"name": "keys", "key": "api"}}
    assert variables["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "token"}}
    assert {"API_KEY", "HF_TOKEN"} & {*environment(container_of())} == set()


def test_the_users_environment_wins() -> None:
    container = container_of(engine={"env": [{"name": "HOME", "value": "/data"}, {"name": "X"}]})
    assert environment(container)["HOME"] == "/data"
    assert [item["name"] for item in container["env"]].count("HOME") == 1
    assert environment(container)["X"] == ""


def test_image_command_and_pull_policy() -> None:
    assert container_of(config=Config(engine_image="ours:2"))["image"] == "ours:2"
    mine = container_of(engine={"image": "mine", "command": ["python3"], "imagePullPolicy": "Always"})
    assert (mine["image"], mine["command"], mine["imagePullPolicy"]) == ("mine", ["python3"], "Always")
    assert "command" not in container_of()


def test_start_and_drain_are_bounded_as_asked() -> None:
    pod = pod_of(engine={"startSeconds": 601, "drainSeconds": 100})
    probe = pod["containers"][0]["startupProbe"]
    assert 601 <= probe["periodSeconds"] * probe["failureThreshold"] <= 603
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 100 + sleep < pod["terminationGracePeriodSeconds"] <= 120


def test_readiness_is_rank_aware() -> None:
    assert container_of()["readinessProbe"]["httpGet"]["path"] == "/ready"
    probe = container_of(engine={"gpus": 16})["readinessProbe"]
    script = probe["exec"]["command"][-1]
    assert "/ready" in script
    assert "/health" in script


def test_pod_template_patch_is_merged_and_cannot_take_the_engine_out_of_its_selector() -> None:
    patch = {
        "metadata": {"labels": {names.ENGINE: "other", "mine": "1"}, "annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "engine", "image": "patched"}, {"name": "sidecar", "image": "s"}]},
    }
    template = engine_of(podTemplate=patch)["spec"]["template"]
    assert template["metadata"]["labels"][names.ENGINE] == "demo-small-0"
    assert template["metadata"]["labels"]["mine"] == "1"
    assert template["metadata"]["annotations"]["a"] == "b"
    assert [item["image"] for item in template["spec"]["containers"]] == ["patched", "s"]


@pytest.mark.parametrize(
    "patch",
    [{"metadata": None}, {"metadata": {"labels": None, "annotations": None}}, {"$patch": "replace", "spec": {}}],
)
def test_pod_template_patch_cannot_remove_the_labels(patch: dict[str, Any]) -> None:
    result = engine_of(podTemplate=patch)["spec"]
    assert result["selector"]["matchLabels"].items() <= result["template"]["metadata"]["labels"].items()


def test_labels_of_ours_win_over_a_users_pod_labels() -> None:
    """By them the Services, the budgets and the network policies find the engine, and only their own."""
    ours = engine_of()["spec"]["template"]["metadata"]["labels"]
    patch = {"metadata": {"labels": {**dict.fromkeys(ours, "theirs"), "mine": "1"}}}
    assert engine_of(podTemplate=patch)["spec"]["template"]["metadata"]["labels"] == {**ours, "mine": "1"}


def test_rendered_documents_are_shared_and_not_changed() -> None:
    first = engine_of(podTemplate={"metadata": {"labels": {"a": "b"}}, "spec": {"nodeSelector": {"x": "y"}}})
    assert engine_of() == engine_of() != first


def test_policy_carries_version_and_files() -> None:
    manifest = policy_object(cluster(), {"lds.json": "{}"}, 7)
    assert manifest["data"] == {"version": "7", "lds.json": "{}"}


def test_router_settings() -> None:
    wanted = spec(
        routing={
            "replicas": 3,
            "image": "router:mine",
            "imagePullPolicy": "Never",
            "resources": {"cpu": 2, "memory": "1Gi"},
            "service": {"type": "LoadBalancer", "port": 8000, "annotations": {"lb": "internal"}},
        }
    )
    objects = {(item["kind"], item["metadata"]["name"]): item for item in cluster_objects(cluster(), wanted, Config())}
    deployment, service = objects["Deployment", "demo-router"], objects["Service", "demo"]
    assert deployment["spec"]["replicas"] == 3
    containers = deployment["spec"]["template"]["spec"]["containers"]
    assert {(item["image"], item["imagePullPolicy"]) for item in containers} == {("router:mine", "Never")}
    assert containers[0]["resources"]["requests"] == {"cpu": "2", "memory": "1Gi"}
    assert (service["spec"]["type"], service["spec"]["ports"][0]["port"]) == ("LoadBalancer", 8000)
    assert service["metadata"]["annotations"] == {"lb": "internal"}


# --- nothing a user writes becomes structure ------------------------------------------------------------------------

_NASTY = [
    *('"', "'", "\\", '\\"', "\n", "\r\n", "\t", "\x00", "\x07", "\x7f", "\x85", "\u2028", "\ufeff", "\uffff"),
    *("{{ 7 * 7 }}", "{% raw %}", "{#", "}}", "{", "]", ": ", " #", "- a", "---", "...", "!!python/object", "&a", "*a"),
    *(
        "|",
        ">",
        "%TAG",
        "@",
        "`",
        "null",
        "true",
        "0x10",
        "1e3",
        "~",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    ),
    *("é", "中", '"}}\n---\nkind: Pod\n', "$(API_KEY)", "$$"),
]
_STRINGS = st.lists(
    st.sampled_from(_NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5
).map("".join)


@quick(50)
@given(_STRINGS, _STRINGS, _STRINGS)
def test_user_strings_arrive_as_they_were_written(text: str, other: str, key: str) -> None:
    wanted = spec(
        api_tier(
            model={"id": "m", "source": {"pvc": {"claimName": "c", "path": other.replace("/", "")}}},
            accelerator={
                "type": "H100",
                "nodeSelector": {key: text[:63]},
                "tolerations": [{"key": text, "value": other[:63]}],
            },
            engine={
                "image": text or "i",
                "command": [other],
                "args": [f"--chat-template={text}", f"--tokenizer-path={other}"],
                "env": [{"name": "A", "value": text}],
            },
            podTemplate={"metadata": {"annotations": {key: text}}},
        ),
        routing={"image": other or "i", "service": {"annotations": {key: text}}},
        security={"apiKeySecret": {"name": "n", "key": text[:253] or "k"}},
    )
    result = engine(wanted)
    pod = result["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == (text or "i")
    assert container["command"] == [other]
    assert container["args"][-2:] == [f"--chat-template={text}", f"--tokenizer-path={other}"]
    assert environment(container)["A"] == text
    assert environment(container)["API_KEY"]["secretKeyRef"]["key"] == (text[:253] or "k")
    assert container["args"][1].removeprefix("/models").removeprefix("/") == other.replace("/", "")
    assert pod["nodeSelector"] == {key: text[:63]}
    assert pod["tolerations"][1] == {"key": text, "value": other[:63]}
    assert result["spec"]["template"]["metadata"]["annotations"][key] == text
    objects = cluster_objects(cluster(), wanted, Config())
    assert [item["kind"] for item in objects] == [item["kind"] for item in cluster_objects(cluster(), spec(), Config())]
    [service] = [item for item in objects if item["kind"] == "Service"]
    assert service["metadata"]["annotations"] == {key: text}
    [deployment] = [item for item in objects if item["kind"] == "Deployment"]
    assert {item["image"] for item in deployment["spec"]["template"]["spec"]["containers"]} == {other or "i"}
