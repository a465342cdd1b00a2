"""StatefulSets and pods read into engines: by names and owners, so that edited labels and strangers change nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from heterollm_controllers.api import names
from heterollm_controllers.observation.child import Child
from heterollm_controllers.observation.engines import ObservedEngine, engines_of


def stateful_set(name: str = "c-small-0", nodes: int = 1, **metadata: Any) -> dict[str, Any]:
    annotations = {names.REVISION: "r1"}
    return {
        "kind": "StatefulSet",
        "metadata": {"name": name, "uid": f"uid-{name}", "annotations": annotations, **metadata},
        "spec": {"replicas": nodes},
    }


def pod(name: str = "c-small-0-0", owner: str = "uid-c-small-0", ready: bool = True, **more: Any) -> dict[str, Any]:
    status = {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": str(ready)}]}
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "ownerReferences": [{"uid": owner}]}
    metadata["annotations"] = {names.REVISION: "r1"}
    return {
        "kind": "Pod",
        "metadata": {**metadata, **more.pop("metadata", {})},
        "spec": more.pop("spec", {"nodeName": "node"}),
        "status": {**status, **more},
    }


def only(*children: dict[str, Any]) -> ObservedEngine:
    [engine] = observed(*children)
    return engine


def observed(*children: dict[str, Any]) -> list[ObservedEngine]:
    return engines_of(Child(manifest) for manifest in children)


LEAVING: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def test_name_tells_tier_and_ordinal() -> None:
    engine = only(stateful_set("my-cluster-tier2-17"))
    assert (engine.tier, engine.ordinal, engine.revision) == ("tier2", 17, "r1")


def test_order_is_by_tier_and_ordinal() -> None:
    sets = [stateful_set(name) for name in ("c-b-0", "c-a-10", "c-a-9")]
    assert [engine.name for engine in observed(*sets)] == ["c-a-9", "c-a-10", "c-b-0"]


def test_missing_labels_and_annotations_fail_nothing() -> None:
    assert only(stateful_set(annotations=None, labels=None)).revision == ""


@pytest.mark.parametrize("name", ["database", "c-small-x", "c-Small-0", "-0"])
def test_other_stateful_sets_are_no_engines(name: str) -> None:
    assert observed(stateful_set(name)) == []


def test_pods_of_strangers_do_not_count() -> None:
    assert not only(stateful_set(), pod(owner="somebody else")).serving
    assert not only(stateful_set(), pod(name="debug")).serving
    assert not only(stateful_set(), {**pod(), "metadata": {"name": "c-small-0-0", "uid": "x"}}).serving


def test_single_node_engine_serves_with_its_ready_pod() -> None:
    engine = only(stateful_set(), pod())
    assert engine.serving
    assert engine.leader is not None
    assert engine.leader.address == "10.0.0.1"


@pytest.mark.parametrize(
    "children",
    [
        (stateful_set(),),
        (stateful_set(), pod(ready=False)),
        (stateful_set(), pod(conditions=[])),
        (stateful_set(), pod(phase="Failed")),
        (stateful_set(), pod(metadata=LEAVING)),
        (stateful_set(**LEAVING), pod()),
        (stateful_set(nodes=2), pod()),
        (stateful_set(nodes=2), pod(), pod("c-small-0-1", ready=False, spec={})),
        (stateful_set(nodes=2), pod(ready=False), pod("c-small-0-1")),
        (stateful_set(nodes=2), pod(), pod("c-small-0-1", metadata=LEAVING)),
    ],
)
def test_what_does_not_serve(children: tuple[dict[str, Any], ...]) -> None:
    assert not only(*children).serving


def test_leader_alone_answers_so_its_readiness_decides() -> None:
    assert only(stateful_set(nodes=2), pod(), pod("c-small-0-1", ready=False)).serving


def refused(message: str) -> dict[str, Any]:
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient nvidia.com/gpu. preemption:"
            " 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for"
            " incoming pod.",
            "Insufficient nvidia.com/gpu, node(s) had untolerated taint(s)",
        ),
        (
            "0/12 nodes are available: 10 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint(s).",
            "Insufficient nvidia.com/gpu, node(s) had untolerated taint(s)",
        ),
        (
            "0/3 nodes are available: 3 node(s) didn't satisfy a, b and c.",
            "node(s) didn't satisfy a, b and c",
        ),
        (
            "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
            "pod has unbound immediate PersistentVolumeClaims. not found",
        ),
        ("no nodes available to schedule pods", "no nodes available to schedule pods"),
        ("x" * 2000, "x" * 512),
    ],
)
def test_scheduler_explains_a_pod_without_a_node_and_its_counts_do_not_matter(message: str, why: str) -> None:
    assert only(stateful_set(), pod(conditions=[refused(message)])).unschedulable == why


def test_pod_with_a_node_needs_no_explanation() -> None:
    assert only(stateful_set(), pod()).unschedulable is None


def test_nodes_and_gpus_of_an_engine_are_its_revisions_whatever_its_set_is_scaled_to() -> None:
    data = {"engine": {"spec": {"replicas": 4}}, "sizing": {"gpusPerEngine": 32}}
    revision = {"kind": "ControllerRevision", "metadata": {"name": "r1"}, "data": data}
    for replicas in (0, 1, 4, 9):
        engine = only(stateful_set(nodes=replicas), revision)
        assert (engine.nodes, engine.gpus) == (4, 32)
    lost = only(stateful_set(nodes=3))
    assert (lost.nodes, lost.gpus) == (3, None)


def test_pod_says_whether_it_holds_a_node_since_when_and_how_long_it_takes_to_end() -> None:
    times = {"creationTimestamp": "2026-01-01T10:00:00Z", "deletionGracePeriodSeconds": 315}
    [there] = only(stateful_set(), pod(metadata=times)).pods
    assert (there.bound, there.created, there.grace) == (True, datetime(2026, 1, 1, 10, tzinfo=UTC), 315)
    assert not only(stateful_set(), pod(spec={}, ready=False)).pods[0].bound
    scheduled = {"type": "PodScheduled", "status": "True"}
    assert only(stateful_set(), pod(spec={}, conditions=[scheduled])).pods[0].bound


def test_pod_that_is_ready_has_a_node_whatever_the_scheduler_said_last() -> None:
    conditions = [refused("no nodes available"), {"type": "Ready", "status": "True"}]
    assert only(stateful_set(), pod(spec={}, conditions=conditions)).serving


def test_restarts_of_all_containers_count() -> None:
    engine = only(stateful_set(), pod(containerStatuses=[{"restartCount": 1}, {"restartCount": 2}, {}]))
    assert engine.pods[0].restarts == 3


def test_the_leader_tells_what_revision_runs() -> None:
    """The set may have been overwritten, by a leader with a stale view, after it made its pods."""
    overwritten = stateful_set(annotations={names.REVISION: "r2"})
    assert only(overwritten).revision == "r2"
    assert only(overwritten, pod()).revision == "r1"
    assert only(overwritten, pod(metadata=LEAVING)).revision == "r2"
