"""The operator is only needed for changes: requests are answered while it is restarted, and while it is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.chat import ask
from e2e.cluster.node.commands import running_cluster
from e2e.cluster.node.forward import ensure_forward
from e2e.demo import SIMPLE
from e2e.scenarios.chat_cluster import NAME, ChatCluster, Manifest
from e2e.stack import OPERATOR_NAMESPACE, Stack, wait_until

DEPLOYMENT = "heterollm-operator"
LOAD_SECONDS = 5.0


def _operator_pods(stack: Stack) -> list[str]:
    selector = ("-l", f"app.kubernetes.io/name={DEPLOYMENT}", "-o", "name")
    return stack.kubectl("get", "pods", "-n", OPERATOR_NAMESPACE, *selector).split()


def _scale_operator(stack: Stack, replicas: int) -> None:
    stack.kubectl("scale", "deployment", DEPLOYMENT, "-n", OPERATOR_NAMESPACE, f"--replicas={replicas}")


@contextmanager
def _no_operator(stack: Stack) -> Iterator[None]:
    replicas = stack.get("deployment", DEPLOYMENT, OPERATOR_NAMESPACE)["spec"]["replicas"]
    _scale_operator(stack, 0)
    try:
        wait_until(lambda: not _operator_pods(stack), 60, lambda: f"still there: {_operator_pods(stack)}")
        yield
    finally:
        _scale_operator(stack, replicas)
        _wait_for_operator(stack)


def _wait_for_operator(stack: Stack) -> None:
    stack.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", "-n", OPERATOR_NAMESPACE, "--timeout=60s")


def _engine_uids(chat: ChatCluster) -> set[str]:
    return {pod["metadata"]["uid"] for pod in chat.pods("serving.heterollm.io/component=engine")}


def test_requests_are_answered_while_the_operator_is_restarted(chat: ChatCluster) -> None:
    stack = chat.stack
    old, engines, version = _operator_pods(stack), _engine_uids(chat), chat.get()["metadata"]["resourceVersion"]
    with chat.load("small", "large") as load:
        stack.kubectl("delete", "-n", OPERATOR_NAMESPACE, *old, "--grace-period=0", "--force")
        _wait_for_operator(stack)
    assert load.failures == []
    assert {outcome.tier for outcome in load.outcomes} == {"small", "large"}
    assert not set(old) & set(_operator_pods(stack))
    assert _engine_uids(chat) == engines
    assert chat.get()["metadata"]["resourceVersion"] == version, "a restart is no reason to write"


def test_without_an_operator_requests_are_answered_and_routers_restart(chat: ChatCluster) -> None:
    with _no_operator(chat.stack):
        policy = str(chat.get()["status"]["routing"]["policyVersion"])
        router = chat.pods("serving.heterollm.io/component=router")[0]
        with chat.load("small", "large") as load:
            time.sleep(LOAD_SECONDS)
        assert load.failures == []
        assert {outcome.tier for outcome in load.outcomes} == {"small", "large"}

        chat.kill_container(router, "agent")
        chat.kill_container(router, "envoy")
        name = router["metadata"]["name"]
        wait_until(lambda: _restarted(chat, router), 60, lambda: f"{name} did not come back")
        inside = running_cluster(chat.stack.layout)
        url = f"http://127.0.0.1:{ensure_forward(inside, router['status']['podIP'], 8080)}"
        for tier in ("small", "large"):
            answer = ask(url, SIMPLE, tier)
            assert (answer.status, answer.tier) == (200, tier)
            assert answer.headers["x-llm-policy-version"] == policy


def _restarted(chat: ChatCluster, before: Manifest) -> bool:
    """Whether all containers of a pod have been started anew and are ready."""
    after = chat.stack.get("pod", before["metadata"]["name"], chat.namespace)
    old = {status["name"]: status["restartCount"] for status in before["status"]["containerStatuses"]}
    return all(
        status["restartCount"] > old[status["name"]] and status["ready"]
        for status in after["status"]["containerStatuses"]
    )


def test_what_happened_meanwhile_is_mended_when_the_operator_is_back(chat: ChatCluster) -> None:
    with _no_operator(chat.stack):
        chat.kubectl("delete", "service", NAME)
    wait_until(
        lambda: f"service/{NAME}" in chat.kubectl("get", "services", "-o", "name").split(),
        60,
        lambda: "the routing Service was not made again",
    )
