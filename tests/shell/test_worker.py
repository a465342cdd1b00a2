"""One look: what is sent, in which order, and what stops it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heterollm_controllers.api.objects import Failure
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.reconcile.contract import Outcome
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_operator.kube.apply import NotLeading
from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.kinds import CLUSTER, Scope
from tests.shell.bench import Bench, C, everything
from tests.shell.fake_api import CLUSTER_PATH, STATUS_PATH, Request
from tests.shell.objects import UID, child, cluster, manifest, spec
from tests.shell.virtual import START

PROBE = "/api/v1/namespaces/ns/configmaps"


async def test_effects_follow_the_record_in_order(bench: Bench) -> None:
    bench.answer = everything
    assert await bench.reconcile() == "done"
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
    await bench.reconcile()
    (request,) = bench.api.requests
    assert request.path == STATUS_PATH
    assert request.body is not None
    assert request.body["metadata"] == {"name": "c", "namespace": "ns", "uid": UID, "resourceVersion": "7"}
    assert request.body["status"] == {"fine": True}
    assert request.query == {"fieldManager": "heterollm", "force": "true"}


async def test_after_a_stale_status_nothing_else_is_done(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(409, "the object has been modified"))
    assert await bench.reconcile() == "stale"
    assert bench.api.summaries == ["PATCH heterollmclusters/c/status"]
    assert bench.next_look() == 1.0
    assert await bench.reconcile() == "done"
    assert not bench.observed[-1].failures, "a conflict is no failure"


async def test_nothing_is_sent_without_the_lease(bench: Bench) -> None:
    bench.answer = everything
    bench.leading = False
    with pytest.raises(NotLeading):
        await bench.reconcile()
    assert bench.api.requests == []


async def test_a_lease_lost_halfway_stops_the_rest(bench: Bench) -> None:
    bench.answer = everything

    def lose(request: Request) -> None:
        if request.summary == "PATCH configmaps/one":
            bench.leading = False

    bench.api.before = lose
    with pytest.raises(NotLeading):
        await bench.reconcile()
    assert bench.api.summaries[-1] == "PATCH configmaps/one"


async def test_an_unchanged_cluster_costs_no_request(bench: Bench) -> None:
    bench.exists(cluster(8, status={"fine": True}))
    assert await bench.reconcile() == "done"
    assert bench.api.requests == []
    assert 540 <= bench.next_look() <= 660


async def test_the_core_can_ask_for_an_earlier_look(bench: Bench) -> None:
    bench.exists(cluster(8, status={}))
    bench.answer = lambda _: Outcome(requeue_after=30)
    await bench.reconcile()
    assert bench.next_look() == 30


async def test_but_not_for_a_later_one_than_usual(bench: Bench) -> None:
    bench.exists(cluster(8, status={}))
    bench.answer = lambda _: Outcome(requeue_after=86_400)
    await bench.reconcile()
    assert 540 <= bench.next_look() <= 660


async def test_a_cluster_that_cannot_be_watched_is_left_alone_until_it_can_be(bench: Bench) -> None:
    bench.worker._unknown = lambda _: (Scope(CLUSTER, "ns"),)
    assert await bench.reconcile() == "unseen"
    assert (bench.observed, bench.api.requests) == ([], [])
    assert bench.next_look() == 600


async def test_what_was_written_is_observed_by_the_next_look(bench: Bench) -> None:
    bench.answer = everything
    await bench.reconcile()
    await bench.reconcile()
    observed = bench.observed[-1]
    assert observed.cluster["status"] == {"fine": True}
    assert [body["metadata"]["name"] for body in observed.children] == ["one", "two"]


async def test_a_look_through_old_watches_has_no_effect_even_if_the_status_seems_right(bench: Bench) -> None:
    bench.exists(cluster(8, status={"fine": True}), CLUSTER_PATH)
    bench.answer = everything
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(409, "the object has been modified"))
    assert await bench.reconcile() == "stale"
    assert bench.api.summaries == ["PATCH heterollmclusters/c/status"]


async def test_a_known_child_is_applied_without_asking(bench: Bench) -> None:
    bench.exists(child("one"), f"{PROBE}/one")
    bench.answer = lambda _: Outcome(apply=(manifest("one", data={"a": "b"}),))
    await bench.reconcile()
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
    assert await bench.reconcile() == "failed"
    assert bench.api.objects[f"{PROBE}/one"] == before
    assert "PATCH services/two" in bench.api.summaries, "the rest is looked after"
    assert "DELETE statefulsets/old" in bench.api.summaries
    await bench.reconcile()
    assert bench.observed[-1].failures == (Failure.not_ours("ConfigMap", "one"),)


async def test_a_child_without_its_labels_is_still_ours(bench: Bench) -> None:
    bench.api.objects[f"{PROBE}/one"] = child("one", metadata={"labels": {}})
    bench.answer = lambda _: Outcome(apply=(manifest("one"),))
    assert await bench.reconcile() == "done"
    assert bench.api.objects[f"{PROBE}/one"]["metadata"]["labels"] != {}


async def test_a_failure_is_told_to_the_next_look_until_it_is_overcome(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH configmaps/one", ApiError(422, "spec.x is wrong"), times=2)
    assert await bench.reconcile() == "failed"
    assert bench.next_look() == 0, "so that the status can say so"
    await bench.reconcile()
    assert [[*map(str, observed.failures)] for observed in bench.observed] == [
        [],
        ["ConfigMap one is refused: spec.x is wrong"],
    ]
    assert await bench.reconcile() == "recovered"
    assert bench.next_look() == 0, "so that the status can say so"
    assert await bench.reconcile() == "done"
    assert not bench.observed[-1].failures


async def test_back_off_grows_while_a_cluster_fails(bench: Bench) -> None:
    # Its status is right already, so nothing that the look does wakes it again.
    bench.exists(cluster(8, status={}), CLUSTER_PATH)
    bench.answer = lambda _: Outcome(apply=(manifest("one"),))
    bench.api.fail("PATCH configmaps/one", ApiError(422, "wrong"), times=4)
    pauses = []
    for _ in range(4):
        await bench.reconcile()
        pauses.append(bench.next_look())
    assert pauses == [0, 2, 4, 8], "at once only for the status to say so"


async def test_a_transient_error_is_tried_again_within_the_look(bench: Bench) -> None:
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(503, "later"))
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(429, "slowly", retry_after=3))
    task = asyncio.create_task(bench.reconcile())
    await bench.clock.advance(10)
    assert await task == "done"
    assert bench.clock.slept == [0.2, 3]


async def test_a_server_that_asks_for_long_patience_does_not_hold_a_worker(bench: Bench) -> None:
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(429, "slowly", retry_after=3600))
    task = asyncio.create_task(bench.reconcile())
    await bench.clock.advance(5)
    assert bench.clock.slept == [5]
    assert await task == "done"


async def test_tries_are_bounded(bench: Bench) -> None:
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(0, "away"), times=100)
    task = asyncio.create_task(bench.reconcile())
    await bench.clock.advance(60)
    assert await task == "failed"
    assert len(bench.api.requests) == 5


async def test_every_request_is_bounded_by_the_lease(bench: Bench) -> None:
    bench.answer = everything
    await bench.reconcile()
    assert set(bench.api.limits) == {2.5}


async def test_a_deletion_hits_only_what_was_observed(bench: Bench) -> None:
    bench.answer = everything
    await bench.reconcile()
    body = bench.api.requests[-1].body
    assert body is not None
    assert body["preconditions"] == {"uid": "uid-of-old"}
    assert body["gracePeriodSeconds"] == 5
    assert body["propagationPolicy"] == "Foreground"


async def test_what_is_deleted_at_once_is_no_object_any_more(bench: Bench) -> None:
    bench.api.objects["/apis/apps/v1/namespaces/ns/statefulsets/old"] = child("old", kind="StatefulSet")
    bench.answer = everything
    assert await bench.reconcile() == "done"
    assert "StatefulSet" not in {body["kind"] for body in bench.store.children(C)}


@pytest.mark.parametrize("status", [404, 409])
async def test_deleting_what_is_gone_or_new_succeeds(bench: Bench, status: int) -> None:
    bench.answer = everything
    bench.api.fail("DELETE statefulsets/old", ApiError(status, "no such thing"))
    assert await bench.reconcile() == "done"


@pytest.mark.parametrize("body", [None, cluster(9, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})])
async def test_a_deleted_cluster_is_left_to_the_garbage_collector(bench: Bench, body: Any) -> None:
    if body is None:
        bench.store.remove(cluster(9))
    else:
        bench.store.put(body)
    assert await bench.reconcile() == "gone"
    assert bench.observed == []
    assert bench.api.requests == []


async def test_a_cluster_made_anew_has_not_failed_before(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH configmaps/one", ApiError(422, "spec.x is wrong"))
    assert await bench.reconcile() == "failed"
    bench.store.remove(cluster(9999))
    assert await bench.reconcile() == "gone"
    bench.exists(cluster(10_000), CLUSTER_PATH)
    await bench.reconcile()
    assert not bench.observed[-1].failures


async def test_an_event_that_cannot_be_reported_costs_nothing_else(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("POST events", ApiError(403, "no"))
    assert await bench.reconcile() == "done"
    assert "PATCH services/two" in bench.api.summaries


async def test_an_event_is_about_the_cluster(bench: Bench) -> None:
    bench.answer = everything
    await bench.reconcile()
    event = next(request.body for request in bench.api.requests if request.summary == "POST events")
    assert event is not None
    assert event["regarding"]["uid"] == UID
    assert (event["type"], event["reason"], event["note"]) == ("Normal", "Changed", "for a reason")


async def test_writes_are_counted_by_kind_and_verb(bench: Bench) -> None:
    bench.answer = everything
    await bench.reconcile()
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
    given = Recheck(spec("small"), (), ControlState())
    bench.readings = Readings(START)
    bench.answer = lambda _: Outcome(status={"fine": True}, recheck=given)
    await bench.reconcile()
    assert bench.observed[-1].readings is bench.readings
    assert bench.rechecks.known() == {C: given}


async def test_nothing_is_left_of_a_look_that_failed(bench: Bench) -> None:
    bench.answer = lambda _: Outcome(status={"fine": True}, recheck=Recheck(spec("small"), (), ControlState()))
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(409, "the object has been modified"))
    await bench.reconcile()
    assert bench.rechecks.known() == {}


async def test_a_cluster_that_has_gone_leaves_neither_figures_nor_metrics(bench: Bench) -> None:
    bench.answer = lambda _: Outcome(status={"fine": True}, recheck=Recheck(spec("small"), (), ControlState()))
    await bench.reconcile()
    assert next(iter(bench.cluster_metrics.collect())).samples
    bench.store.remove(cluster(9999))
    assert await bench.reconcile() == "gone"
    assert bench.rechecks.known() == {}
    assert not any(family.samples for family in bench.cluster_metrics.collect())
