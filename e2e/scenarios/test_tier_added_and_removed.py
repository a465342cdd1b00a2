"""Tiers come and go while the others serve."""

from __future__ import annotations

import copy

from e2e.chat import ask
from e2e.demo import SIMPLE
from e2e.scenarios.chat_cluster import ChatCluster, Manifest, quick_sample
from e2e.stack import wait_until


def _with_third_tier() -> Manifest:
    manifest = quick_sample()
    tiers = manifest["spec"]["tiers"]
    medium = copy.deepcopy(tiers[0]) | {"name": "medium", "replicas": {"min": 1, "max": 1}}
    medium["model"] = {"id": "Qwen/Qwen3-14B"}
    tiers.insert(1, medium)
    return manifest


def test_a_tier_comes_and_goes_without_a_failed_request(chat: ChatCluster) -> None:
    with chat.load("small", "large") as load:
        chat.apply(_with_third_tier())
        chat.wait_ready()
        answer = ask(chat.url, SIMPLE, "medium")
        assert (answer.status, answer.tier) == (200, "medium")
        assert ask(chat.url, SIMPLE, "Qwen/Qwen3-14B").tier == "medium"

        chat.apply(quick_sample())
        wait_until(lambda: ask(chat.url, SIMPLE, "medium").status == 404, 30, lambda: "medium is still routed to")
        wait_until(lambda: not chat.engine_pods("medium"), 60, lambda: "medium's engine is still there")
        chat.wait_ready()
    assert load.failures == []
    left = chat.kubectl("get", "statefulsets,services,pdb,controllerrevisions", "-o", "name")
    assert "medium" not in left
