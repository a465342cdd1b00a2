"""What a dry run answers is used by the look that asked, and none of it ends that look."""

from __future__ import annotations

import pytest

from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.reconcile.contract import Observed, Outcome, Refusal
from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.dry_run import refusal_of
from tests.shell.bench import Bench, digest
from tests.shell.fake_api import CLUSTER_PATH
from tests.shell.objects import cluster, manifest

TRIAL = manifest("trial", kind="StatefulSet")


def trying(observed: Observed) -> Outcome:
    """A core that asks for a dry run, and then says of it what it was told."""
    if not observed.dry_run_results:
        return Outcome(check=(TRIAL,))
    [verdict] = observed.dry_run_results.values()
    return Outcome(status={"said": verdict.message if verdict else ""}, retry=verdict is not None)


async def test_a_dry_run_is_answered_within_the_look(bench: Bench) -> None:
    bench.answer = trying
    assert await bench.reconcile() == "done"
    assert bench.api.summaries == ["DRY PATCH statefulsets/trial", "PATCH heterollmclusters/c/status"]
    assert dict(bench.observed[-1].dry_run_results) == {digest(TRIAL): None}
    assert bench.observed[-1].children == (), "a dry run makes nothing"


@pytest.mark.parametrize("status", [0, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 504])
async def test_whatever_a_dry_run_meets_does_not_end_the_look_and_is_asked_again(bench: Bench, status: int) -> None:
    bench.answer = trying
    bench.exists(cluster(8, status={"said": "no"}), CLUSTER_PATH)
    bench.api.fail("DRY PATCH statefulsets/trial", ApiError(status, "no"), times=3)
    pauses = []
    for _ in range(3):
        assert await bench.reconcile() == "refused"
        pauses.append(bench.next_look())
    assert pauses == [1, 2, 4]
    assert bench.clock.slept == [], "others wait for the look"
    assert bench.api.summaries == ["DRY PATCH statefulsets/trial"] * 3
    assert await bench.reconcile() == "done"
    assert bench.api.objects[CLUSTER_PATH]["status"] == {"said": ""}


async def test_answers_are_not_kept(bench: Bench) -> None:
    """What was refused once may be taken now, and clusters do not share answers."""
    bench.answer = trying
    for _ in range(3):
        await bench.reconcile()
    assert bench.api.summaries.count("DRY PATCH statefulsets/trial") == 3


async def test_a_deadline_before_the_end_of_the_back_off_counts(bench: Bench) -> None:
    bench.exists(cluster(8, status={}), CLUSTER_PATH)
    bench.answer = lambda _: Outcome(retry=True, requeue_after=3.0)
    pauses = []
    for _ in range(4):
        await bench.reconcile()
        pauses.append(bench.next_look())
    assert pauses == [1, 2, 3, 3]


X = 'statefulsets.apps "x" is forbidden:'
TYPED = "failed to create typed patch object (ns/x; apps/v1, Kind=StatefulSet): "
ANSWERS = [
    (400, "the request is malformed", "PodTemplateInvalid"),
    (413, "Request entity too large: limit is 3145728", "PodTemplateInvalid"),
    (
        422,
        'StatefulSet.apps "x" is invalid: spec.template.spec.containers[0].name: Required value',
        "PodTemplateInvalid",
    ),
    (500, TYPED + ".spec.template.spec.hostNetwork: expected boolean, got &{maybe}", "PodTemplateInvalid"),
    (
        500,
        "failed to convert new object (ns/x; apps/v1, Kind=StatefulSet) to proper version: ...",
        "PodTemplateInvalid",
    ),
    (403, X + " exceeded quota: q, requested: count/statefulsets.apps=1, used: ..., limited: ...", "Forbidden"),
    (403, X + ' User "operator" cannot patch resource "statefulsets"', "Forbidden"),
    (403, X + " ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "Forbidden"),
    (422, X + " ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "Forbidden"),
    (400, 'admission webhook "w.example.com" denied the request: no', "Forbidden"),
    (503, 'admission webhook "w.example.com" denied the request: no', "Forbidden"),
    (451, "for legal reasons", "Forbidden"),
    (500, 'Internal error occurred: failed calling webhook "w.example.com": connection refused', "NotChecked"),
    (500, "etcdserver: leader changed", "NotChecked"),
    (0, "no answer from the API server within 2.5 s", "NotChecked"),
    (401, "Unauthorized", "NotChecked"),
    (404, 'namespaces "ns" not found', "NotChecked"),
    (409, "the object has been modified", "NotChecked"),
    (429, "too many requests", "NotChecked"),
    (503, "the server is currently unable to handle the request", "NotChecked"),
    (504, "the server was unable to return a response in the time allotted", "NotChecked"),
]
"""Recorded from Kubernetes 1.36, or as its sources word it."""


@pytest.mark.parametrize(("status", "message", "reason"), ANSWERS)
def test_what_an_answer_says_of_the_manifest(status: int, message: str, reason: str) -> None:
    assert refusal_of(ApiError(status, message)) == Refusal(Reason(reason), message)


def test_answers_that_say_the_same_have_the_same_text() -> None:
    """One that differs each time would change the status, and so wake the cluster, each time."""
    one, other = (
        refusal_of(ApiError(500, TYPED + "errors:\n" + "\n".join(lines)))
        for lines in ([".spec.a: wrong", "  .spec.b: wrong"], ["  .spec.b: wrong", ".spec.a: wrong"])
    )
    assert one == other
    one, other = (
        refusal_of(ApiError(500, f"failed calling webhook: read tcp {sender}->10.0.0.2:443: i/o timeout"))
        for sender in ("10.0.0.1:45678", "[fd00::1]:51234")
    )
    assert one == other
    assert one.message == "failed calling webhook: read tcp 10.0.0.2:443: i/o timeout"
