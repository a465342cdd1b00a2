"""The poller takes what it needs of clusters from their specs, which are parsed once for each generation."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_operator.kube.store import Key
from heterollm_operator.process.specs import Specs

A, B = Key("ns", "a"), Key("ns", "b")


def body(slow: int, generation: int = 1, uid: str = "u", **metadata: Any) -> dict[str, Any]:
    tier = {"name": "small", "model": {"id": "Qwen/Qwen3-4B"}, "accelerator": {"type": "L40S"}}
    spec = {"tiers": [tier], "fallback": {"slowMilliseconds": slow}}
    return {"metadata": {"uid": uid, "generation": generation, **metadata}, "spec": spec}


class Clusters:
    """What the watches hold."""

    def __init__(self) -> None:
        self.bodies: dict[Key, dict[str, Any]] = {A: body(1000), B: body(2500, uid="v")}
        self.specs = Specs(lambda: list(self.bodies), self.bodies.get)

    @property
    def slow(self) -> dict[Key, int]:
        return {key: spec.fallback.slow_milliseconds for key, spec in self.specs().items()}


@pytest.fixture
def clusters() -> Clusters:
    return Clusters()


def test_all_clusters_as_the_watches_have_them(clusters: Clusters) -> None:
    assert clusters.slow == {A: 1000, B: 2500}
    clusters.bodies[A] = body(5000, generation=2)
    assert clusters.slow == {A: 5000, B: 2500}
    del clusters.bodies[A]
    assert clusters.slow == {B: 2500}


def test_a_cluster_made_anew_is_another_one(clusters: Clusters) -> None:
    assert clusters.slow[A] == 1000
    clusters.bodies[A] = body(5000, uid="w")
    assert clusters.slow[A] == 5000


def test_what_is_being_deleted_or_cannot_be_parsed_is_left_out(clusters: Clusters) -> None:
    clusters.bodies[A] = body(1000, deletionTimestamp="2026-01-01T00:00:00Z")
    clusters.bodies[B]["spec"] = {"tiers": "none"}
    assert clusters.slow == {}


def test_a_generation_is_parsed_once(clusters: Clusters, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters.specs()
    monkeypatch.setattr(HeteroLLMClusterSpec, "model_validate", lambda _: pytest.fail("parsed again"))
    clusters.bodies[A] = {**clusters.bodies[A], "status": {"mode": "Normal"}}
    assert clusters.slow == {A: 1000, B: 2500}
