"""A deleted cluster takes everything with it that was made for it."""

from __future__ import annotations

from e2e.scenarios.chat_cluster import NAME, ChatCluster, quick_sample
from e2e.stack import Stack, wait_until

NAMESPACE = "deleted"
SELECTOR = f"serving.heterollm.io/cluster={NAME}"


def _children(cluster: ChatCluster, kinds: str) -> set[str]:
    return set(cluster.kubectl("get", kinds, "-l", SELECTOR, "-o", "name").split())


def test_nothing_is_left_of_a_deleted_cluster(stack: Stack) -> None:
    stack.kubectl("create", "namespace", NAMESPACE)
    cluster = ChatCluster(stack, NAMESPACE)
    manifest = quick_sample()
    del manifest["spec"]["tiers"][0]
    cluster.apply(manifest)
    cluster.wait_ready()
    kinds = ",".join(stack.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "-o", "name").split())
    made = _children(cluster, kinds)
    for kind in ("statefulset", "deployment", "service", "configmap", "pod", "role", "networkpolicy"):
        assert any(child.startswith(kind) for child in made), f"{kind}: {made}"
    cluster.kubectl("delete", "hllm", NAME, "--timeout=60s")
    wait_until(lambda: not _children(cluster, kinds), 60, lambda: f"left: {_children(cluster, kinds)}")
