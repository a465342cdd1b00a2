"""An error of our own is said on the cluster that met it, once, and tried again."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_operator.kube.client import ApiError
from tests.shell.bench import Bench
from tests.shell.fake_api import CLUSTER_PATH
from tests.shell.objects import cluster, manifest


def defect(_: Observed) -> Outcome:
    raise KeyError("oops")


def conditions(bench: Bench) -> dict[str, tuple[str, str]]:
    status = bench.api.objects[CLUSTER_PATH]["status"]
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


async def test_a_defect_is_said_on_the_cluster(bench: Bench) -> None:
    tiers = [{"name": "small"}]
    accepted = {"type": "Accepted", "status": "True", "reason": "Valid", "observedGeneration": 1}
    bench.exists(cluster(8, status={"tiers": tiers, "conditions": [accepted]}), CLUSTER_PATH)
    bench.answer = defect
    assert await bench.reconcile() == "defect"
    status = bench.api.objects[CLUSTER_PATH]["status"]
    assert status["tiers"] == tiers
    assert accepted in status["conditions"], "what cannot be judged stays as it was"
    assert conditions(bench) == {
        "Accepted": ("True", "Valid"),
        "Programmed": ("False", "InternalError"),
        "Ready": ("False", "InternalError"),
        "Reconciling": ("False", "Settled"),
        "Stalled": ("True", "InternalError"),
    }
    [message] = {item["message"] for item in status["conditions"] if item["type"] == "Ready"}
    assert message.startswith("KeyError: 'oops' (a defect of the operator")
    assert "POST events" in bench.api.summaries


async def test_a_defect_is_said_once_and_backs_off(bench: Bench) -> None:
    """Also when its text is another one each time: a changed status would wake the cluster at once."""
    counter = itertools.count()

    def defect(_: Observed) -> Outcome:
        raise KeyError(f"object at {next(counter)}")

    bench.answer = defect
    await bench.reconcile()
    pauses = []
    for _ in range(3):
        assert await bench.reconcile() == "defect"
        pauses.append(bench.next_look())
    assert bench.api.summaries.count("PATCH heterollmclusters/c/status") == 1
    assert pauses == [2, 4, 8]


async def test_the_word_of_a_defect_ends_with_it(bench: Bench) -> None:
    bench.answer = defect
    await bench.reconcile()
    bench.answer = lambda _: Outcome(status={"fine": True})
    assert await bench.reconcile() == "done"
    assert bench.api.objects[CLUSTER_PATH]["status"] == {"fine": True}


async def test_a_defect_that_cannot_be_said_backs_off(bench: Bench) -> None:
    bench.answer = defect
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(403, "no"))
    assert await bench.reconcile() == "defect"
    assert bench.next_look() == 1.0


NOT_IN_THE_CRD = "failed to create typed patch object (ns/c; ...): .status.fine: field not declared in schema"


@pytest.mark.parametrize(("status", "message"), [(422, "status.fine must be a string"), (500, NOT_IN_THE_CRD)])
async def test_a_status_that_the_server_does_not_take_is_said_with_the_former_one(
    bench: Bench, status: int, message: str
) -> None:
    bench.exists(cluster(8, status={"fine": "once"}), CLUSTER_PATH)
    bench.answer = lambda _: Outcome(status={"fine": 1})
    bench.api.fail("PATCH heterollmclusters/c/status", ApiError(status, message), times=1 if status == 422 else 5)
    task = asyncio.create_task(bench.reconcile())
    await bench.clock.advance(10)
    assert await task == "failed"
    assert bench.api.objects[CLUSTER_PATH]["status"]["fine"] == "once"
    assert conditions(bench)["Programmed"] == ("False", "InternalError")


async def test_a_defect_of_one_tier_is_logged_and_the_rest_is_done(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.answer = lambda _: Outcome(status={"fine": True}, apply=(manifest("one"),), defects=(KeyError("oops"),))
    assert await bench.reconcile() == "defect"
    assert "PATCH configmaps/one" in bench.api.summaries
    assert "KeyError: 'oops'" in caplog.text
