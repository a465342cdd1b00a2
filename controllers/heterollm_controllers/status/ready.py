"""Ready: whether the current generation serves, and nothing older does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.status.conditions import ConditionUpdate
from heterollm_controllers.status.tier_status import missing_nodes

__all__ = ["Wait", "ready"]


class Wait(NamedTuple):
    """What the cluster still waits for."""

    reason: Reason
    message: str


def ready(
    accepted: ConditionUpdate, programmed: ConditionUpdate, views: Sequence[TierView], waits: Sequence[Wait]
) -> ConditionUpdate:
    counts = ", ".join(f"{view.chosen.tier.name} {len(view.serving)}/{view.desired}" for view in views)
    if accepted.holds is None:
        return ConditionUpdate(
            ConditionType.READY, False, accepted.reason, f"the spec could not be checked yet; engines serving: {counts}"
        )
    if not accepted.holds:
        return ConditionUpdate(
            ConditionType.READY, False, Reason.NOT_ACCEPTED, f"the spec is not accepted; engines serving: {counts}"
        )
    if not programmed.holds:
        return ConditionUpdate(ConditionType.READY, False, programmed.reason, programmed.message)
    for view in views:
        if not view.stable:
            wait = _waiting_for(view)
            message = f"tier {view.chosen.tier.name}: {wait.message}"
            return ConditionUpdate(ConditionType.READY, False, wait.reason, message)
    for wait in waits:
        return ConditionUpdate(ConditionType.READY, False, wait.reason, wait.message)
    return ConditionUpdate(ConditionType.READY, True, Reason.SERVING, f"engines serving: {counts}")


def _waiting_for(view: TierView) -> Wait:
    phases = {engine.name: view.phase(engine) for engine in view.engines}
    blocked = next((engine for engine in view.engines if phases[engine.name] == "Unschedulable"), None)
    if blocked is not None:
        partially_scheduled = "only some of its nodes" if view.placement(blocked).partially_scheduled else "no node"
        return Wait(
            Reason.ENGINES_UNSCHEDULABLE, f"{blocked.name} finds {partially_scheduled}: {blocked.unschedulable}"
        )
    waiting = next((engine for engine in view.engines if phases[engine.name] == "Waiting"), None)
    if waiting is not None:
        return Wait(Reason.ENGINES_UNSCHEDULABLE, f"{waiting.name} {missing_nodes(waiting, view.placement(waiting))}")
    restarting = [name for name, phase in phases.items() if phase == "Restarting"]
    if restarting:
        why = view.gangs[restarting[0]].why
        return Wait(Reason.ENGINE_RESTARTING, f"{restarting[0]} is restarted as a whole: {why}")
    older = [engine.name for engine in view.engines if engine.revision != view.chosen.name]
    if older:
        return Wait(
            Reason.ROLLING_OUT, f"{len(view.updated)}/{view.desired} engines updated, {len(older)} older remain"
        )
    if len(view.updated) == view.desired:
        draining = [name for name, phase in phases.items() if phase == "Draining"]
        return Wait(Reason.ENGINES_DRAINING, f"{', '.join(draining)} finish their requests")
    return Wait(Reason.ENGINES_STARTING, f"{len(view.updated)}/{view.desired} engines serve")
