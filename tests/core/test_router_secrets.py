"""Router pods have the Secrets of their spec mounted, each in the one container that needs it, and no others."""

from __future__ import annotations

from typing import Any

from heterollm_controllers.api.installation import Config
from heterollm_controllers.render.cluster import cluster_objects
from tests.core.builders import cluster, spec

ENGINE_KEY = {"apiKeySecret": {"name": "engines", "key": "token"}}


def router(**more: Any) -> dict[str, Any]:
    """The router's pod."""
    objects = cluster_objects(cluster(), spec(**more), Config())
    [deployment] = [item for item in objects if item["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def secrets(pod: dict[str, Any]) -> dict[str, Any]:
    """Volumes that are Secrets, by the name of the Secret."""
    return {volume["secret"]["secretName"]: volume for volume in pod["volumes"] if "secret" in volume}


def mounts(pod: dict[str, Any], container: str) -> dict[str, dict[str, Any]]:
    """What a container has mounted, by path."""
    [found] = [item for item in pod["containers"] if item["name"] == container]
    return {mount["mountPath"]: mount for mount in found["volumeMounts"]}


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    """What the agent is told."""
    [agent] = [item for item in pod["containers"] if item["name"] == "agent"]
    return {item["name"]: item.get("value") for item in agent["env"]}


def test_without_keys_and_certificate_no_secret_is_mounted() -> None:
    for security in ({}, ENGINE_KEY):
        pod = router(security=security)
        assert not secrets(pod)
        assert not environment(pod).keys() & {"TLS", "CLIENT_KEYS", "ENGINE_KEY"}


def test_the_certificate_is_envoys_alone() -> None:
    pod = router(routing={"tlsSecret": "cert"})
    assert secrets(pod).keys() == {"cert"}
    mount = mounts(pod, "envoy")["/tls"]
    assert (mount["name"], mount["readOnly"]) == (secrets(pod)["cert"]["name"], True)
    assert "/tls" not in mounts(pod, "agent")
    assert environment(pod)["TLS"] == "true"


def test_keys_are_the_agents_alone_which_hands_them_on_in_memory() -> None:
    pod = router(routing={"apiKeys": {"secretName": "clients"}}, security=ENGINE_KEY)
    assert secrets(pod).keys() == {"clients", "engines"}
    told = environment(pod)
    agents = mounts(pod, "agent")
    assert agents[told["CLIENT_KEYS"]]["name"] == secrets(pod)["clients"]["name"]
    directory, _, file = told["ENGINE_KEY"].rpartition("/")
    assert agents[directory]["name"] == secrets(pod)["engines"]["name"]
    assert secrets(pod)["engines"]["secret"]["items"] == [{"key": "token", "path": file}]
    assert not {"/secrets/clients", "/secrets/engines"} & mounts(pod, "envoy").keys()

    [shared] = [volume for volume in pod["volumes"] if volume["name"] == agents["/keys"]["name"]]
    assert shared["emptyDir"]["medium"] == "Memory"
    assert mounts(pod, "envoy")["/keys"] == {"name": shared["name"], "mountPath": "/keys", "readOnly": True}


def test_pods_wait_for_their_secrets() -> None:
    pod = router(routing={"apiKeys": {"secretName": "clients"}, "tlsSecret": "cert"}, security=ENGINE_KEY)
    assert not [volume for volume in secrets(pod).values() if volume["secret"].get("optional")]
