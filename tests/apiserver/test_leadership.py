"""Two replicas: one leads, the other one takes over, and nothing is done twice."""

from __future__ import annotations

import time
from collections import Counter

from heterollm_operator.kube.kinds import CLUSTER, LEASE
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.process import OperatorProcess

TAKE_OVER = 15.0


async def pair(operator: StartOperator) -> tuple[OperatorProcess, OperatorProcess]:
    """A leader, and a replica that is ready to follow it."""
    leader = await operator()
    await eventually(leader.leads)
    heir = await operator()
    await eventually(heir.ready)
    return leader, heir


async def test_a_killed_leader_is_followed_within_15_seconds(kube: Kube, operator: StartOperator) -> None:
    leader, heir = await pair(operator)
    await leader.kill()
    killed = time.monotonic()
    await kube.apply(CLUSTER, sample())

    async def acted() -> bool:
        return any(write.resource == "heterollmclusters/status" for write in kube.writes())

    await eventually(acted)
    took = time.monotonic() - killed
    print(f"the heir acted {took:.1f} s after the leader was killed")
    assert took < TAKE_OVER
    assert await heir.leads()


async def test_a_leader_killed_at_work_leaves_nothing_doubled(kube: Kube, operator: StartOperator) -> None:
    leader, heir = await pair(operator)
    await kube.apply(CLUSTER, sample(engines=3))

    async def begun() -> bool:
        return await kube.exists(CLUSTER, "demo") and len(await kube.children("demo")) >= 3

    await eventually(begun)
    await leader.kill()
    before = await kube.children("demo")
    await eventually(lambda: kube.programmed("demo"), 40)
    assert await heir.leads()
    after = await kube.children("demo")
    assert {name: after[name]["metadata"]["uid"] for name in before} == {
        name: child["metadata"]["uid"] for name, child in before.items()
    }
    engines = [name for name in after if name.startswith("StatefulSet/")]
    assert sorted(engines) == [f"StatefulSet/demo-{engine}" for engine in ("large-0", "small-0", "small-1", "small-2")]
    decisions = (await kube.get(CLUSTER, "demo"))["status"]["decisions"]
    taken = Counter((decision["action"], decision["subject"]) for decision in decisions)
    assert set(taken.values()) == {1}, "each decision is taken once, by whoever leads"


async def test_a_leader_that_is_asked_to_end_hands_over_at_once(operator: StartOperator, kube: Kube) -> None:
    leader, heir = await pair(operator)
    asked = time.monotonic()
    assert await leader.stop() == 0
    took = time.monotonic() - asked
    print(f"ended {took:.1f} s after SIGTERM")
    assert took < 6
    await eventually(heir.leads, 6)


async def test_a_replica_that_stands_by_writes_nothing(kube: Kube, operator: StartOperator) -> None:
    _, heir = await pair(operator)
    await kube.apply(CLUSTER, sample())
    await eventually(lambda: kube.programmed("demo"))
    assert await heir.metric("heterollm_clusters") == 1, "it watches"
    assert await heir.metric("heterollm_api_writes_total") == 0


async def test_a_leader_that_is_deposed_ends(kube: Kube, operator: StartOperator) -> None:
    leader = await operator()
    await eventually(leader.leads)
    await kube.patch(LEASE, "heterollm-operator", {"spec": {"holderIdentity": "usurper"}})
    assert await leader.ended() == 1
    assert "usurper holds the lease now" in leader.log
