"""The status of a cluster from what was observed and decided. Live figures are not in it: those belong in metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.status import (
    Decision,
    EngineStatus,
    PlacementStatus,
    ScalingStatus,
    TierStatus,
)
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.conditions import Verdict
from heterollm_controllers.gang import Gang
from heterollm_controllers.observation.engines import Engine
from heterollm_controllers.outcome import NOT_OURS
from heterollm_controllers.placement import Placement
from heterollm_controllers.revisions import Chosen

__all__ = ["JOURNAL_LENGTH", "TierView", "Wait", "journal", "tier_status", "verdicts"]

JOURNAL_LENGTH = 20
Wait = tuple[Reason, str]
Phase = Literal["Pending", "Unschedulable", "Waiting", "Starting", "Serving", "Standby", "Restarting", "Draining"]


@dataclass(frozen=True)
class TierView:
    """One tier after deciding: what it should run, the engines there are, and those just decided.

    Attributes:
        desired: engines that should get requests; the tier keeps some more on standby if its spec says so.
        standby: names of the engines that are kept ready without requests.
        scaling: the last decision on `desired`; None when it is the fewest, as ever.
        lost_at: when the tier lost the last engine that served; None while one serves or none ever did.
    """

    chosen: Chosen
    desired: int
    engines: tuple[Engine, ...]
    gangs: Mapping[str, Gang]
    placements: Mapping[str, Placement]
    added: tuple[str, ...]
    drained: frozenset[str]
    standby: frozenset[str] = frozenset()
    scaling: ScalingStatus | None = None
    lost_at: str | None = None

    def serves(self, engine: Engine) -> bool:
        """Whether requests may go to the engine after what was just decided."""
        return engine.serving and engine.name not in self.drained and engine.name not in self.standby

    @property
    def serving(self) -> list[Engine]:
        """Engines of any revision that requests may go to."""
        return [engine for engine in self.engines if self.serves(engine)]

    @property
    def updated(self) -> list[Engine]:
        """Those of the wanted revision."""
        return [engine for engine in self.serving if engine.revision == self.chosen.name]

    @property
    def settled(self) -> bool:
        """The wanted engines serve, and no older one exists; exactly those, unless their number follows the traffic.

        Then the fewest have to: engines that come and go with the traffic are no progress of a generation.
        """
        low, high = self.chosen.tier.replicas.bounds
        if low < high:
            return len(self.updated) >= low and all(engine.revision == self.chosen.name for engine in self.engines)
        complete = len(self.engines) == self.desired + self.chosen.tier.replicas.standby
        return len(self.updated) == self.desired and complete and not self.added

    def placement(self, engine: Engine) -> Placement:
        """How the pods of an engine find their nodes; engines of one node leave that to the scheduler."""
        return self.placements.get(engine.name, Placement())

    def phase(self, engine: Engine) -> Phase:
        """Where an engine is in its life."""
        if engine.leaving or engine.name in self.drained:
            return "Draining"
        if engine.name in self.standby:
            return "Standby"
        if self.placement(engine).off:
            return "Waiting"
        if engine.broken:
            return "Restarting"
        if self.serves(engine):
            return "Serving"
        if engine.unschedulable:
            return "Unschedulable"
        return "Starting" if engine.pods else "Pending"


def tier_status(view: TierView) -> TierStatus:
    """The status of one tier."""
    known = [_engine_status(view, engine) for engine in view.engines]
    added = [EngineStatus(name=name, revision=view.chosen.name, phase="Pending") for name in view.added]
    return TierStatus(
        name=view.chosen.tier.name,
        revision=view.chosen.name,
        desired=view.desired,
        serving=len(view.serving),
        updated=len(view.updated),
        engines=(*known, *added),
        lost_at=view.lost_at,
        sizing=view.chosen.sizing,
        scaling=view.scaling,
    )


def _engine_status(view: TierView, engine: Engine) -> EngineStatus:
    gang, placement, phase = view.gangs[engine.name], view.placement(engine), view.phase(engine)
    return EngineStatus(
        name=engine.name,
        revision=engine.revision,
        phase=phase,
        message=_needs(engine, placement) if phase == "Waiting" else None,
        restarts=gang.restarts,
        not_before=gang.not_before,
        members=gang.members,
        placement=placement.memory if placement.memory != PlacementStatus() else None,
    )


def _needs(engine: Engine, placement: Placement) -> str:
    """What an engine without pods waits for."""
    gpus = f"{engine.gpus} GPUs on " if engine.gpus is not None else ""
    memory = placement.memory
    return (
        f"needs {gpus}{engine.nodes} nodes at once; {memory.placed} of {engine.nodes} pods found one;"
        f" next try at {memory.retry_at}"
    )


def journal(before: Iterable[Mapping[str, Any]], decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """The latest decisions, oldest first."""
    past = [Decision.model_validate(item) for item in before]
    return tuple([*past, *decisions][-JOURNAL_LENGTH:])


def verdicts(
    refusals: Sequence[Impossible],
    views: Sequence[TierView],
    waits: Sequence[Wait],
    failure: str | None,
    applying: bool,
    *others: Verdict,
    refused: int = 0,
) -> list[Verdict]:
    """All conditions of a cluster.

    Args:
        refusals: why tiers of the spec cannot be carried out.
        views: the tiers that run.
        waits: what the cluster still waits for beside the engines of its tiers.
        failure: why the last look could not be carried out.
        applying: whether objects of a new generation are about to be applied for the first time.
        others: what was judged elsewhere.
        refused: version of the routing policy that a router does not take; 0 if there is none.
    """
    accepted = _accepted(refusals)
    programmed = _programmed(failure, applying, refused)
    ready = _ready(accepted, programmed, views, waits)
    stuck = next((verdict for verdict in (accepted, programmed) if verdict[2] in _NEEDS_SOMEBODY), None)
    stalled = (ConditionType.STALLED, stuck is not None, *(stuck[2:] if stuck else (Reason.SETTLED, "nothing blocks")))
    working = not ready[1] and stuck is None
    reconciling = (ConditionType.RECONCILING, working, *(ready[2:] if working else (Reason.SETTLED, "nothing to do")))
    return [accepted, programmed, ready, reconciling, stalled, _update_available(views), *others]


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
    Reason.FORBIDDEN,
    Reason.INTERNAL_ERROR,
    Reason.NAME_CONFLICT,
    Reason.POLICY_REFUSED,
}


def _accepted(refusals: Sequence[Impossible]) -> Verdict:
    if not refusals:
        return ConditionType.ACCEPTED, True, Reason.VALID, "the spec can be carried out"
    certain = [item for item in refusals if item.reason != Reason.NOT_CHECKED]
    message = "; ".join(dict.fromkeys(item.message for item in refusals))
    return ConditionType.ACCEPTED, False if certain else None, (certain or refusals)[0].reason, message


def _programmed(failure: str | None, applying: bool, refused: int) -> Verdict:
    if failure is not None:
        reason = Reason.NAME_CONFLICT if NOT_OURS in failure else Reason.APPLY_FAILED
        return ConditionType.PROGRAMMED, False, reason, failure
    if applying:
        return ConditionType.PROGRAMMED, False, Reason.APPLYING, "objects of this generation are being applied"
    if refused:
        message = f"a router does not take version {refused} of the routing policy, and serves by an older one"
        return ConditionType.PROGRAMMED, False, Reason.POLICY_REFUSED, message
    return ConditionType.PROGRAMMED, True, Reason.APPLIED, "all objects are applied and the policy is published"


def _ready(accepted: Verdict, programmed: Verdict, views: Sequence[TierView], waits: Sequence[Wait]) -> Verdict:
    counts = ", ".join(f"{view.chosen.tier.name} {len(view.serving)}/{view.desired}" for view in views)
    if accepted[1] is None:
        return ConditionType.READY, False, accepted[2], f"the spec could not be checked yet; engines serving: {counts}"
    if not accepted[1]:
        return ConditionType.READY, False, Reason.NOT_ACCEPTED, f"the spec is not accepted; engines serving: {counts}"
    if not programmed[1]:
        return ConditionType.READY, False, programmed[2], programmed[3]
    for view in views:
        if not view.settled:
            reason, message = _waiting_for(view)
            return ConditionType.READY, False, reason, f"tier {view.chosen.tier.name}: {message}"
    for wait in waits:
        return ConditionType.READY, False, *wait
    return ConditionType.READY, True, Reason.SERVING, f"engines serving: {counts}"


def _waiting_for(view: TierView) -> tuple[Reason, str]:
    phases = {engine.name: view.phase(engine) for engine in view.engines}
    blocked = next((engine for engine in view.engines if phases[engine.name] == "Unschedulable"), None)
    if blocked is not None:
        half = "only some of its nodes" if view.placement(blocked).half else "no node"
        return Reason.ENGINES_UNSCHEDULABLE, f"{blocked.name} finds {half}: {blocked.unschedulable}"
    waiting = next((engine for engine in view.engines if phases[engine.name] == "Waiting"), None)
    if waiting is not None:
        return Reason.ENGINES_UNSCHEDULABLE, f"{waiting.name} {_needs(waiting, view.placement(waiting))}"
    restarting = [name for name, phase in phases.items() if phase == "Restarting"]
    if restarting:
        why = view.gangs[restarting[0]].why
        return Reason.ENGINE_RESTARTING, f"{restarting[0]} is restarted as a whole: {why}"
    older = [engine.name for engine in view.engines if engine.revision != view.chosen.name]
    if older:
        return Reason.ROLLING_OUT, f"{len(view.updated)}/{view.desired} engines updated, {len(older)} older remain"
    if len(view.updated) == view.desired:
        draining = [name for name, phase in phases.items() if phase == "Draining"]
        return Reason.ENGINES_DRAINING, f"{', '.join(draining)} finish their requests"
    return Reason.ENGINES_STARTING, f"{len(view.updated)}/{view.desired} engines serve"


def _update_available(views: Sequence[TierView]) -> Verdict:
    tiers = [view.chosen.tier.name for view in views if view.chosen.update_available]
    if tiers:
        how = "change the tier's pods, or the annotation serving.heterollm.io/update, to roll it out"
        message = f"this operator would start the engines of {', '.join(tiers)} differently; {how}"
        return ConditionType.UPDATE_AVAILABLE, True, Reason.TEMPLATE_CHANGED, message
    return ConditionType.UPDATE_AVAILABLE, False, Reason.UP_TO_DATE, "engines run this operator's templates"
