"""One look: what is sent, in which order, and what stops it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest

from heterollm_controllers.outcome import Config, Delete, Event, Observed, Outcome
from heterollm_controllers.steering.signals import Readings
from heterollm_controllers.steering.steer import Memory, SteeringInput, steer
from heterollm_operator.apply import NotLeading, Writer
from heterollm_operator.client import ApiError
from heterollm_operator.cluster_metrics import ClusterMetrics
from heterollm_operator.metrics import Metrics
from heterollm_operator.queue import WorkQueue
from heterollm_operator.steered import Steered
from heterollm_operator.store import Key, Store
from heterollm_operator.worker import Core, Sight, Worker
from tests.shell.fake_api import CLUSTER_PATH, STATUS_PATH, FakeApi, Request
from tests.shell.objects import UID, child, cluster, manifest, spec
from tests.shell.virtual import START, VirtualClock

C = Key("ns", "c")
PROBE = "/api/v1/namespaces/ns/configmaps"


def digest(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)


class Bench:
    """A worker with a fake API server and a core that answers what the test says."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.clock = VirtualClock()
        self.metrics = Metrics()
        self.leading = True
        self.answer: Callable[[Observed], Outcome] = lambda _: Outcome(status={"fine": True})
        self.observed: list[Observed] = []
        self.store = Store(self._changed)
        self.queue: WorkQueue[Key] = WorkQueue(self.clock.monotonic, base=1.0)
        writer = Writer(
            self.api.typed,
            self.store,
            self.metrics,
            self.clock,
            leading=lambda: self.leading,
            identity="me",
            limit=2.5,
        )
        self.readings: Readings | None = None
        self.steered = Steered(steer, self.clock)
        self.cluster_metrics = ClusterMetrics(self.steered.known, lambda _: self.readings)
        sight = Sight(lambda _: self.readings, self.steered, self.cluster_metrics)
        core = Core(self._reconcile, digest, Config())
        self.worker = Worker(core, self.store, self.queue, writer, self.metrics, self.clock, 600, sight)

    def _changed(self, key: Key) -> None:
        self.queue.add(key)

    def _reconcile(self, observed: Observed, _: Config, now: datetime) -> Outcome:
        assert now == START.replace(second=int(self.clock.now) % 60)
        self.observed.append(observed)
        return self.answer(observed)

    def exists(self, body: dict[str, Any], path: str | None = None) -> None:
        """Put an object before the watches, and at `path` into the API server."""
        self.store.put(body)
        if path is not None:
            self.api.objects[path] = body

    async def look(self) -> str:
        """One look at ns/c, finished as a worker does; returns the result for the metrics."""
        self.queue.add(C)
        assert self.queue.take() is not None
        return await self.worker._look_safely(C)

    def next_look(self) -> float:
        """Seconds until the cluster is due again."""
        return 0.0 if len(self.queue) else self.queue.next_due() or 0.0


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.exists(cluster(7), CLUSTER_PATH)
    return bench


def everything(_: Observed) -> Outcome:
    return Outcome(
        status={"fine": True},
        events=(Event("Normal", "Changed", "for a reason"),),
        apply=(manifest("one"), manifest("two", kind="Service")),
        delete=(Delete("apps/v1", "StatefulSet", "old", "uid-of-old", grace_seconds=5, foreground=True),),
    )


async def test_effects_follow_the_record_in_order(bench: Bench) -> None:
    bench.answer = everything
    assert await bench.look() == "done"
    assert bench.api.summaries == [
        "PATCH heterollmclusters/c/status",
        "POST events",
        "GET configmaps/one",
        "GET services/two",
        "PATCH configmaps/one",
        "PATCH services/two",
        "DELETE statefulsets/old",
    ]


async def test_the_status_is_fenced_by_what_was_observed(bench: Bench) -> None:
    await bench.look()
    (request,) = bench.api.requests
    assert request.path == STATUS_PATH
    assert request.body is not None
    assert request.body["metadata"] == {"name": "c", "namespace": "ns", "uid": UID, "resourceVersion": "7"}
    assert request.body["status"] == {"fine": True}
    assert request.query == {"fieldManager": "heterollm", "force": "true"}


async def test_after_a_stale_status_nothing_else_is_done(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(409, "the object has been modified"))
    assert await bench.look() == "stale"
    assert bench.api.summaries == ["PATCH heterollmclusters/c/status"]
    assert bench.next_look() == 1.0
    assert await bench.look() == "done"
    assert bench.observed[-1].failure is None, "a conflict is no failure"


async def test_nothing_is_sent_without_the_lease(bench: Bench) -> None:
    bench.answer = everything
    bench.leading = False
    with pytest.raises(NotLeading):
        await bench.look()
    assert bench.api.requests == []


async def test_a_lease_lost_halfway_stops_the_rest(bench: Bench) -> None:
    bench.answer = everything

    def lose(request: Request) -> None:
        if request.summary == "PATCH configmaps/one":
            bench.leading = False

    bench.api.before = lose
    with pytest.raises(NotLeading):
        await bench.look()
    assert bench.api.summaries[-1] == "PATCH configmaps/one"


async def test_an_unchanged_cluster_costs_no_request(bench: Bench) -> None:
    bench.exists(cluster(8, status={"fine": True}))
    assert await bench.look() == "done"
    assert bench.api.requests == []
    assert 540 <= bench.next_look() <= 660


async def test_the_core_can_ask_for_an_earlier_look(bench: Bench) -> None:
    bench.exists(cluster(8, status={}))
    bench.answer = lambda _: Outcome(requeue_after=30)
    await bench.look()
    assert bench.next_look() == 30


async def test_what_was_written_is_observed_by_the_next_look(bench: Bench) -> None:
    bench.answer = everything
    await bench.look()
    await bench.look()
    observed = bench.observed[-1]
    assert observed.cluster["status"] == {"fine": True}
    assert [body["metadata"]["name"] for body in observed.children] == ["one", "two"]


async def test_a_look_through_old_watches_has_no_effect_even_if_the_status_seems_right(bench: Bench) -> None:
    bench.exists(cluster(8, status={"fine": True}), CLUSTER_PATH)
    bench.answer = everything
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(409, "the object has been modified"))
    assert await bench.look() == "stale"
    assert bench.api.summaries == ["PATCH heterollmclusters/c/status"]


async def test_a_known_child_is_applied_without_asking(bench: Bench) -> None:
    bench.exists(child("one"), f"{PROBE}/one")
    bench.answer = lambda _: Outcome(apply=(manifest("one", data={"a": "b"}),))
    await bench.look()
    assert "GET configmaps/one" not in bench.api.summaries
    assert bench.api.objects[f"{PROBE}/one"]["data"] == {"a": "b"}


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("owner", [None, "uid-of-another-cluster"])
async def test_a_foreign_object_is_not_taken_over(bench: Bench, labelled: bool, owner: str | None) -> None:
    foreign = child("one", owner=owner)
    if labelled:
        bench.exists(foreign, f"{PROBE}/one")
    else:
        bench.api.objects[f"{PROBE}/one"] = {**foreign, "metadata": {**foreign["metadata"], "labels": {}}}
    before = bench.api.objects[f"{PROBE}/one"]
    bench.answer = everything
    assert await bench.look() == "failed"
    assert bench.api.objects[f"{PROBE}/one"] == before
    assert "PATCH services/two" in bench.api.summaries, "the rest is looked after"
    assert "DELETE statefulsets/old" in bench.api.summaries
    await bench.look()
    assert bench.observed[-1].failure == "ConfigMap one exists and is not ours"


async def test_a_child_without_its_labels_is_still_ours(bench: Bench) -> None:
    bench.api.objects[f"{PROBE}/one"] = child("one", metadata={"labels": {}})
    bench.answer = lambda _: Outcome(apply=(manifest("one"),))
    assert await bench.look() == "done"
    assert bench.api.objects[f"{PROBE}/one"]["metadata"]["labels"] != {}


async def test_a_failure_is_told_to_the_next_look_until_it_is_overcome(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH configmaps/one", ApiError(422, "spec.x is wrong"), times=2)
    assert await bench.look() == "failed"
    assert "DELETE statefulsets/old" not in bench.api.summaries, "an incomplete step is not built upon"
    await bench.look()
    assert [observed.failure for observed in bench.observed] == [None, "spec.x is wrong"]
    assert await bench.look() == "recovered"
    assert bench.next_look() == 0, "so that the status can say so"
    assert await bench.look() == "done"
    assert bench.observed[-1].failure is None


async def test_back_off_grows_while_a_cluster_fails(bench: Bench) -> None:
    # Its status is right already, so nothing that the look does wakes it again.
    bench.exists(cluster(8, status={}), CLUSTER_PATH)
    bench.answer = lambda _: Outcome(apply=(manifest("one"),))
    bench.api.fail("PATCH configmaps/one", ApiError(422, "wrong"), times=3)
    pauses = []
    for _ in range(3):
        await bench.look()
        pauses.append(bench.next_look())
    assert pauses == [1, 2, 4]


async def test_a_transient_error_is_tried_again_within_the_look(bench: Bench) -> None:
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(503, "later"))
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(429, "slowly", retry_after=3))
    task = asyncio.create_task(bench.look())
    await bench.clock.advance(10)
    assert await task == "done"
    assert bench.clock.slept == [0.2, 3]


async def test_tries_are_bounded(bench: Bench) -> None:
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(0, "away"), times=100)
    task = asyncio.create_task(bench.look())
    await bench.clock.advance(60)
    assert await task == "failed"
    assert len(bench.api.requests) == 5


async def test_every_request_is_bounded_by_the_lease(bench: Bench) -> None:
    bench.answer = everything
    await bench.look()
    assert set(bench.api.limits) == {2.5}


async def test_a_dry_run_comes_first_and_its_verdict_is_seen_at_once(bench: Bench) -> None:
    trial = manifest("trial", kind="StatefulSet")
    bench.api.fail("DRY PATCH statefulsets/trial", ApiError(422, "template: wrong"))

    def answer(observed: Observed) -> Outcome:
        return Outcome(status={"fine": True}) if observed.verdicts else Outcome(check=(trial,))

    bench.answer = answer
    assert await bench.look() == "checked"
    assert bench.api.summaries == ["DRY PATCH statefulsets/trial"]
    assert bench.next_look() == 0
    await bench.look()
    assert dict(bench.observed[-1].verdicts) == {digest(trial): "template: wrong"}
    assert bench.observed[-1].children == (), "a dry run makes nothing"


@pytest.mark.parametrize("status", [403, 404])
async def test_an_error_that_says_nothing_about_the_object_is_no_verdict(bench: Bench, status: int) -> None:
    bench.answer = lambda _: Outcome(check=(manifest("trial", kind="StatefulSet"),))
    bench.api.fail("DRY PATCH statefulsets/trial", ApiError(status, "not now"))
    assert await bench.look() == "failed"
    assert await bench.look() == "checked"
    assert bench.observed[-1].verdicts == {digest(manifest("trial", kind="StatefulSet")): None}


async def test_verdicts_are_bounded(bench: Bench) -> None:
    bench.answer = lambda _: Outcome(check=tuple(manifest(f"t{n}") for n in range(1500)))
    await bench.look()
    assert len(bench.observed[0].verdicts) == 1024


async def test_a_deletion_hits_only_what_was_observed(bench: Bench) -> None:
    bench.answer = everything
    await bench.look()
    body = bench.api.requests[-1].body
    assert body is not None
    assert body["preconditions"] == {"uid": "uid-of-old"}
    assert body["gracePeriodSeconds"] == 5
    assert body["propagationPolicy"] == "Foreground"


@pytest.mark.parametrize("status", [404, 409])
async def test_deleting_what_is_gone_or_new_succeeds(bench: Bench, status: int) -> None:
    bench.answer = everything
    bench.api.fail("DELETE statefulsets/old", ApiError(status, "no such thing"))
    assert await bench.look() == "done"


@pytest.mark.parametrize("body", [None, cluster(9, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})])
async def test_a_deleted_cluster_is_left_to_the_garbage_collector(bench: Bench, body: Any) -> None:
    if body is None:
        bench.store.remove(cluster(9))
    else:
        bench.store.put(body)
    assert await bench.look() == "gone"
    assert bench.observed == []
    assert bench.api.requests == []


async def test_a_defect_backs_off_and_is_not_fatal(bench: Bench) -> None:
    def defect(_: Observed) -> Outcome:
        raise KeyError("oops")

    bench.answer = defect
    assert await bench.look() == "defect"
    assert bench.next_look() == 1.0


async def test_an_event_that_cannot_be_reported_costs_nothing_else(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("POST events", ApiError(403, "no"))
    assert await bench.look() == "done"
    assert "PATCH services/two" in bench.api.summaries


async def test_an_event_is_about_the_cluster(bench: Bench) -> None:
    bench.answer = everything
    await bench.look()
    event = next(request.body for request in bench.api.requests if request.summary == "POST events")
    assert event is not None
    assert event["regarding"]["uid"] == UID
    assert (event["type"], event["reason"], event["note"]) == ("Normal", "Changed", "for a reason")


async def test_writes_are_counted_by_kind_and_verb(bench: Bench) -> None:
    bench.answer = everything
    await bench.look()
    sample = bench.metrics.registry.get_sample_value
    counted = {
        (kind, verb): sample("heterollm_api_writes_total", {"kind": kind, "verb": verb})
        for kind, verb in [
            ("HeteroLLMCluster", "status"),
            ("Event", "create"),
            ("ConfigMap", "apply"),
            ("Service", "apply"),
            ("StatefulSet", "delete"),
        ]
    }
    assert set(counted.values()) == {1.0}


async def test_a_look_is_given_the_figures_and_leaves_by_what_it_steered(bench: Bench) -> None:
    given = SteeringInput(spec("small"), (), Memory())
    bench.readings = Readings(START)
    bench.answer = lambda _: Outcome(status={"fine": True}, steering=given)
    await bench.look()
    assert bench.observed[-1].readings is bench.readings
    assert bench.steered.known() == {C: given}


async def test_nothing_is_left_of_a_look_that_failed(bench: Bench) -> None:
    bench.answer = lambda _: Outcome(status={"fine": True}, steering=SteeringInput(spec("small"), (), Memory()))
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(409, "the object has been modified"))
    await bench.look()
    assert bench.steered.known() == {}


async def test_a_cluster_that_has_gone_leaves_neither_figures_nor_metrics(bench: Bench) -> None:
    bench.answer = lambda _: Outcome(status={"fine": True}, steering=SteeringInput(spec("small"), (), Memory()))
    await bench.look()
    assert next(iter(bench.cluster_metrics.collect())).samples
    bench.store.remove(cluster(9999))
    assert await bench.look() == "gone"
    assert bench.steered.known() == {}
    assert [family.samples for family in bench.cluster_metrics.collect()] == [[], [], []]
