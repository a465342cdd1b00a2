"""A child that the API server refuses stops what builds on it, and nothing else."""

from __future__ import annotations

from heterollm_controllers.api import names
from heterollm_controllers.api.objects import Delete
from heterollm_controllers.reconcile.contract import Outcome
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_operator.kube.client import ApiError
from tests.shell.bench import Bench, C, everything
from tests.shell.objects import manifest, spec


async def test_a_refused_child_stops_no_other(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH services/two", ApiError(403, "exceeded quota"))
    assert await bench.reconcile() == "failed"
    assert bench.api.summaries[-3:] == ["PATCH configmaps/one", "PATCH services/two", "DELETE statefulsets/old"]
    await bench.reconcile()
    assert [*map(str, bench.observed[-1].failures)] == ["Service two is refused: exceeded quota"]


async def test_all_refusals_are_told(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH services/two", ApiError(403, "exceeded quota"))
    bench.api.fail("GET configmaps/one", ApiError(403, "not yours"))
    bench.api.fail("DELETE statefulsets/old", ApiError(403, "frozen"))
    assert await bench.reconcile() == "failed"
    await bench.reconcile()
    assert (
        "; ".join(map(str, bench.observed[-1].failures))
        == "ConfigMap one cannot be read: not yours; Service two is refused: exceeded quota"
    )
    assert "PATCH configmaps/one" in bench.api.summaries


async def test_nothing_is_deleted_before_the_policy_has_let_go_of_it(bench: Bench) -> None:
    bench.answer = everything
    bench.api.fail("PATCH configmaps/one", ApiError(422, "wrong"))
    assert await bench.reconcile() == "failed"
    assert "PATCH services/two" in bench.api.summaries
    assert "DELETE statefulsets/old" not in bench.api.summaries


async def test_a_refused_deletion_stops_no_other(bench: Bench) -> None:
    old = [Delete("apps/v1", "StatefulSet", name, f"uid-of-{name}") for name in ("a", "b")]
    bench.answer = lambda _: Outcome(status={"fine": True}, delete=tuple(old))
    bench.api.fail("DELETE statefulsets/a", ApiError(403, "frozen"))
    assert await bench.reconcile() == "failed"
    assert "DELETE statefulsets/b" in bench.api.summaries
    await bench.reconcile()
    assert [*map(str, bench.observed[-1].failures)] == ["StatefulSet a is refused: frozen"]


async def test_no_engine_is_made_of_a_revision_that_is_not_stored(bench: Bench) -> None:
    revision = manifest("r", kind="ControllerRevision")
    engines = [
        manifest(name, kind="StatefulSet", metadata={"annotations": {names.REVISION: of}})
        for name, of in (("new", "r"), ("other", "q"))
    ]
    bench.answer = lambda _: Outcome(status={"fine": True}, apply=(revision, *engines))
    bench.api.fail("PATCH controllerrevisions/r", ApiError(403, "exceeded quota"))
    assert await bench.reconcile() == "failed"
    assert "PATCH statefulsets/other" in bench.api.summaries
    assert "PATCH statefulsets/new" not in bench.api.summaries


async def test_a_cluster_with_a_refused_child_is_still_steered(bench: Bench) -> None:
    given = Recheck(spec("small"), (), ControlState())
    bench.answer = lambda _: Outcome(status={"fine": True}, apply=(manifest("one"),), recheck=given)
    bench.api.fail("PATCH configmaps/one", ApiError(403, "no"))
    assert await bench.reconcile() == "failed"
    assert bench.rechecks.known() == {C: given}
