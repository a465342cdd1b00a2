"""All conditions of a cluster, from the tiers that run and from what was refused."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.objects import Failure
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.status.accepted import accepted
from heterollm_controllers.status.conditions import ConditionUpdate
from heterollm_controllers.status.programmed import programmed
from heterollm_controllers.status.ready import Wait, ready
from heterollm_controllers.status.update_available import update_available

__all__ = ["cluster_conditions"]


def cluster_conditions(
    refusals: Sequence[Impossible],
    views: Sequence[TierView],
    waits: Sequence[Wait],
    failures: Sequence[Failure],
    applying: bool,
    *others: ConditionUpdate,
    refused: int = 0,
    defects: Sequence[str] = (),
) -> list[ConditionUpdate]:
    """All conditions of a cluster.

    Args:
        refusals: why tiers of the spec cannot be carried out.
        views: the tiers that run.
        waits: what the cluster still waits for beside the engines of its tiers.
        failures: what of the last reconcile could not be carried out.
        applying: whether objects of a new generation are about to be applied for the first time.
        others: conditions that were judged elsewhere.
        refused: version of the routing policy that a router does not take; 0 if there is none.
        defects: steps of the reconcile that failed by a defect of the operator, and why.
    """
    accepts = accepted(refusals)
    programs = programmed(failures, applying, refused, defects)
    readiness = ready(accepts, programs, views, waits)
    blocker = next((update for update in (accepts, programs) if update.reason in _NEEDS_SOMEBODY), None)
    return [
        accepts,
        programs,
        readiness,
        _reconciling(readiness, blocker),
        _stalled(blocker),
        update_available(views),
        *others,
    ]


def _reconciling(readiness: ConditionUpdate, blocker: ConditionUpdate | None) -> ConditionUpdate:
    if readiness.holds or blocker is not None:
        return ConditionUpdate(ConditionType.RECONCILING, False, Reason.SETTLED, "nothing to do")
    return ConditionUpdate(ConditionType.RECONCILING, True, readiness.reason, readiness.message)


def _stalled(blocker: ConditionUpdate | None) -> ConditionUpdate:
    if blocker is None:
        return ConditionUpdate(ConditionType.STALLED, False, Reason.SETTLED, "nothing blocks")
    return ConditionUpdate(ConditionType.STALLED, True, blocker.reason, blocker.message)


_NEEDS_SOMEBODY = {
    Reason.INVALID_SPEC,
    Reason.UNKNOWN_ACCELERATOR,
    Reason.GPUS_DO_NOT_DIVIDE,
    Reason.ENGINE_LARGER_THAN_NODES,
    Reason.INVALID_PARALLELISM,
    Reason.DOES_NOT_FIT,
    Reason.UNKNOWN_MODEL,
    Reason.UNREADABLE_MODEL,
    Reason.INVALID_FLAGS,
    Reason.FAMILY_MISMATCH,
    Reason.POD_TEMPLATE_INVALID,
    Reason.INVALID_CA_BUNDLE,
    Reason.FORBIDDEN,
    Reason.INTERNAL_ERROR,
    Reason.NAME_CONFLICT,
    Reason.POLICY_REFUSED,
}
