"""A changed tier rolls out under load: one engine more, then one less, never fewer than wanted, and not one failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from e2e.scenarios.chat_cluster import NAME, ChatCluster, Manifest, quick_sample
from e2e.stack import wait_until

NEW = ["--sim-seed", "7"]
WANTED = {"small": 2, "large": 1}


@dataclass(frozen=True)
class Look:
    """The cluster and the pods of its engines at one moment."""

    ready: bool
    serving: dict[str, int]
    """Engines per tier that Kubernetes itself says can answer: their leader is ready and not on its way out."""
    old_engines: set[str]
    engines: dict[str, int]


def _look(chat: ChatCluster) -> Look:
    found = json.loads(chat.kubectl("get", "hllm,pods", "-o", "json"))["items"]
    cluster = next(item for item in found if item["kind"] == "HeteroLLMCluster")
    pods = [item for item in found if "serving.heterollm.io/engine" in item["metadata"].get("labels", {})]
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    leaders = [pod for pod in staying if pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"]
    return Look(
        ready=_is_ready(cluster),
        serving={tier: sum(_pod_ready(pod) for pod in leaders if _tier(pod) == tier) for tier in WANTED},
        old_engines={_engine(pod) for pod in staying if not _is_new(pod)},
        engines={tier: len({_engine(pod) for pod in staying if _tier(pod) == tier}) for tier in WANTED},
    )


def _is_ready(cluster: Manifest) -> bool:
    condition = next(item for item in cluster["status"]["conditions"] if item["type"] == "Ready")
    current = condition["observedGeneration"] == cluster["metadata"]["generation"]
    return bool(current and condition["status"] == "True")


def _pod_ready(pod: Manifest) -> bool:
    conditions: list[Any] = pod["status"].get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _tier(pod: Manifest) -> str:
    return str(pod["metadata"]["labels"]["serving.heterollm.io/tier"])


def _engine(pod: Manifest) -> str:
    return str(pod["metadata"]["labels"]["serving.heterollm.io/engine"])


def _is_new(pod: Manifest) -> bool:
    return NEW[0] in pod["spec"]["containers"][0]["args"]


def _changed() -> Manifest:
    manifest = quick_sample()
    for tier in manifest["spec"]["tiers"]:
        tier["engine"]["args"] += NEW
    return manifest


def _looks_until_ready(chat: ChatCluster) -> Iterator[Look]:
    seen: list[Look] = []

    def ready() -> bool:
        seen.append(_look(chat))
        return seen[-1].ready

    wait_until(ready, 150, lambda: f"not Ready with the new engines: {seen[-1]}")
    yield from seen


def test_both_tiers_change_without_a_failed_request(chat: ChatCluster) -> None:
    before = _look(chat)
    assert before.ready
    assert len(before.old_engines) == sum(WANTED.values())
    with chat.load("small", "large") as load:
        chat.apply(_changed())
        looks = list(_looks_until_ready(chat))
    assert load.failures == []
    assert len(load.outcomes) > 50
    for look in looks:
        for tier, wanted in WANTED.items():
            assert look.serving[tier] >= wanted, f"tier {tier} lost an engine: {look}"
            assert look.engines[tier] <= wanted + 1, f"tier {tier} surges by more than one: {look}"
    assert [look for look in looks if look.ready and look.old_engines] == []
    assert looks[-1].serving == WANTED
    assert {decision["subject"] for decision in chat.get()["status"]["decisions"]} >= set(WANTED)
    for outcome in load.outcomes:
        assert outcome.engine.startswith(f"{NAME}-{outcome.tier}-"), outcome
