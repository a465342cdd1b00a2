"""An engine dies under load: traffic moves without an error, and an engine of several pods comes back as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from e2e.scenarios.chat_cluster import NAME, ChatCluster, Manifest
from e2e.stack import wait_until

BEFORE_SECONDS = 2.0
AFTER_SECONDS = 3.0


def _uids(pods: list[Manifest]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def _pod(chat: ChatCluster, name: str) -> Manifest:
    return chat.stack.get("pod", name, chat.namespace)


def _delete_at_once(chat: ChatCluster, pod: str) -> None:
    chat.kubectl("delete", "pod", pod, "--grace-period=0", "--force")


def _kill_process(chat: ChatCluster, pod: str) -> None:
    chat.kill_container(_pod(chat, pod), "engine")


def _container(pod: Manifest) -> str:
    """Identity of the engine's container, empty as long as it is not ready."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    return str(statuses[0]["containerID"]) if statuses[0].get("ready") else ""


@pytest.mark.parametrize("kill", [_delete_at_once, _kill_process])
def test_no_request_fails_while_another_engine_has_room(
    chat: ChatCluster, kill: Callable[[ChatCluster, str], None]
) -> None:
    victim, other = f"{NAME}-small-0-0", f"{NAME}-small-1-0"
    old = _container(_pod(chat, victim))
    with chat.load("small") as load:
        time.sleep(BEFORE_SECONDS)
        assert load.engines(since=0) == {victim, other}, "the load must reach the engine that is to die"
        kill(chat, victim)
        killed = time.monotonic()
        # One by this name is there again at all times: the StatefulSet makes it before kubectl returns.
        wait_until(
            lambda: _container(_pod(chat, victim)) not in ("", old), 60, lambda: f"{victim} does not get ready again"
        )
        back = time.monotonic()
        wait_until(lambda: victim in load.engines(since=back), 20, lambda: f"{victim} gets no request again")
    assert load.failures == []
    assert other in load.engines(since=killed)
    assert load.count(since=killed) > 20


def test_an_engine_of_two_pods_is_restarted_as_a_whole(chat: ChatCluster) -> None:
    old = _uids(chat.engine_pods("large"))
    (before,) = chat.tier("large")["engines"]
    with chat.load("small") as load:
        killed = datetime.now(UTC)
        _delete_at_once(chat, f"{NAME}-large-0-1")
        wait_until(
            lambda: not old & _uids(chat.engine_pods("large")),
            60,
            lambda: "the leader of an engine that lost a pod was not replaced",
        )
        wait_until(lambda: chat.tier("large")["serving"] == 1, 60, lambda: "the large engine does not serve again")
    assert load.failures == []
    assert len(chat.engine_pods("large")) == 2
    (after,) = chat.tier("large")["engines"]
    assert after["restarts"] == before["restarts"] + 1
    assert datetime.fromisoformat(after["notBefore"]) > killed, "no back-off"
    with chat.load("large") as load:
        time.sleep(AFTER_SECONDS)
    assert load.failures == []
    assert load.engines(since=0) == {f"{NAME}-large-0-0"}
