"""Moving from the last tier to all tiers, step by step: what is decided at a tick. Missing metrics move nothing.

Observe --Auto--> first step --gates--> next step ... --gates--> Complete
   ^                  |                    |
   +--- user -- RolledBack <---a gate fails, as fast as the last tier has room
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.migration import Migration
from heterollm_controllers.api.v1alpha1.migration_status import GateStatus, MigrationStatus, SideTotals
from heterollm_controllers.api.v1alpha1.status import FallbackStatus
from heterollm_controllers.api.vocabulary import MigrationState, Reason
from heterollm_controllers.metrics.side_minutes import MINUTE, SideMinutes
from heterollm_controllers.metrics.tier_metrics import MeasuredTier
from heterollm_controllers.traffic.fallback import Change
from heterollm_controllers.traffic.fallback_in_force import state_in_force
from heterollm_controllers.traffic.gate_states import gate_states
from heterollm_controllers.traffic.migration_in_force import GOING_BACK
from heterollm_controllers.traffic.side_totals import (
    LATEST,
    Span,
    Tally,
    last_known,
    lately,
    tallied,
    together,
)
from heterollm_controllers.traffic.stand_in import LEAST_CHANGE, StandIn, StandIns

__all__ = ["Circumstances", "migrate"]

WRITTEN = timedelta(hours=1)
"""How often totals are written that nothing is decided from."""
GROWING_SECONDS = 600
"""After a step tiers grow: how slow answers are in that time (half of a shorter step) does not count."""
FRESH = 3 * MINUTE
"""How old the last minute may be that is known: without it no step is taken."""
_AT_REST: Collection[MigrationState] = frozenset({"RolledBack", "Complete"})
"""States in which nothing is counted."""


@dataclass(frozen=True)
class Circumstances:
    """What bears on a migration besides its spec and its record.

    Attributes:
        tiers: state and metrics of the tiers that run, cheapest first.
        minutes: what the routers counted of both sides.
        before: the fallback as it was before this tick.
        fallback: the fallback that is in force now.
        known: whether the routers are seen, so that the fallback would notice a tier that fails.
        saving: per cent saved; see `migration_saving`.
    """

    tiers: Sequence[MeasuredTier]
    minutes: SideMinutes = field(default_factory=SideMinutes)
    before: FallbackStatus | None = None
    fallback: FallbackStatus | None = None
    known: bool = False
    saving: float | None = None


def migrate(
    spec: HeteroLLMClusterSpec, record: MigrationStatus | None, seen: Circumstances, now: datetime
) -> tuple[MigrationStatus | None, tuple[Change, ...]]:
    """What holds now, and what was decided; the record as it was unless there is something to write."""
    if spec.migration is not None and len(spec.tiers) < 2:
        return record, ()  # A tier of two cannot be carried out at the moment.
    if spec.migration is None:
        if record is None:
            return None, ()
        return None, (Change(Reason.MIGRATION_ENDED, "", "spec.migration is gone: each tier gets all of its requests"),)
    return _Migrating(spec, spec.migration, record or _fresh(spec.migration, now), record is None, seen, now).ticked()


def _fresh(settings: Migration, now: datetime) -> MigrationStatus:
    return MigrationStatus(
        mode=settings.mode,
        state="Observing",
        percent=0,
        since=now,
        reason=Reason.MIGRATION_OBSERVES,
        message="the last tier answers everything",
        updated=now,
        counted=now,
    )


@dataclass(frozen=True)
class _Migrating:
    spec: HeteroLLMClusterSpec
    settings: Migration
    record: MigrationStatus
    new: bool
    seen: Circumstances
    now: datetime

    def ticked(self) -> tuple[MigrationStatus, tuple[Change, ...]]:
        decided = self._decided()
        if decided is not None:
            return decided, (Change(Reason(decided.reason), "", decided.message),)
        return (self._written() if self._is_to_be_written() else self.record), ()

    def _decided(self) -> MigrationStatus | None:
        """What changes, if anything does."""
        mode, state = self.settings.mode, self.record.state
        if self.new and (begun := self._begun()) is not None:
            return begun
        if mode == "Auto":
            return self._automatic()
        if mode == "Hold":
            why = f"spec.migration.mode is Hold: the tiers keep {self.record.percent} % of their requests"
            return self._moved(Reason.MIGRATION_HOLDS, "Holding", self.record.percent, why) if self._is_told else None
        goal: MigrationState = "Observing" if mode == "Observe" else "RolledBack"
        if state == goal and not self._is_told:
            return None
        reason = Reason.MIGRATION_OBSERVES if mode == "Observe" else Reason.MIGRATION_ROLLS_BACK
        return self._back(reason, goal, f"spec.migration.mode is {mode}")

    def _begun(self) -> MigrationStatus | None:
        """Of a cluster that serves already, where each tier has all of its requests; None where none need be moved."""
        if self.settings.mode == "Hold":
            why = "spec.migration.mode is Hold: the tiers keep all of their requests"
            return self._moved(Reason.MIGRATION_HOLDS, "Holding", 100, why)
        last = self._last
        if not last.usable or not last.kept:
            return None
        reason = Reason.MIGRATION_ROLLS_BACK if self.settings.mode == "Rollback" else Reason.MIGRATION_OBSERVES
        why = f"the last tier is to answer everything; {last.why}; the tiers get {last.kept} % for now"
        return self._moved(reason, "RollingBack", last.kept, why)

    @property
    def _is_told(self) -> bool:
        """Whether the mode is not the one that was acted upon."""
        return self.new or self.record.mode != self.settings.mode

    # --- on -------------------------------------------------------------------------------------------------------

    def _automatic(self) -> MigrationStatus | None:
        record = self.record
        if not self._is_told and record.state in _AT_REST:
            return None
        if not self._is_told and record.state == "RollingBack":
            goal: MigrationState = "Observing" if record.reason == Reason.MIGRATION_OBSERVES else "RolledBack"
            return self._back(Reason(record.reason), goal, "it goes on")
        if record.percent == 0:
            return self._started()
        if self._is_told:
            why = f"spec.migration.mode is Auto: the tiers get {record.percent} % of their requests"
            return self._moved(Reason.MIGRATION_RESUMES, "Advancing", record.percent, why)
        return self._at_step()

    def _started(self) -> MigrationStatus | None:
        obstacle = self._obstacle
        if not obstacle:
            return self._next("spec.migration.mode is Auto")
        return self._moved(Reason.MIGRATION_HOLDS, "Holding", 0, f"it waits: {obstacle}") if self._is_told else None

    def _at_step(self) -> MigrationStatus | None:
        """A gate that fails rolls back at once; the others have to pass, and time to go by."""
        failed = [gate for gate in self._gates if gate.state == "Failed"]
        if failed:
            return self._back(Reason.MIGRATION_ROLLS_BACK, "RolledBack", _told(failed))
        if self.now - self.record.since < self._step or self._obstacle or not self._is_fresh:
            return None
        if all(gate.state == "Passed" for gate in self._gates):
            return self._next(_told(self._gates))
        return self._inconclusive([gate for gate in self._gates if gate.state != "Passed"])

    def _next(self, why: str) -> MigrationStatus:
        percent = self.record.percent
        if percent >= 100:
            why = f"{why}; the tiers keep all of their requests"
            return self._moved(Reason.MIGRATION_COMPLETE, "Complete", percent, why)
        percent = min((step for step in self.settings.steps if step > percent), default=100)
        return self._moved(
            Reason.MIGRATION_ADVANCES, "Advancing", percent, f"{why}; the tiers get {percent} % of their requests"
        )

    def _inconclusive(self, gates: Sequence[GateStatus]) -> MigrationStatus | None:
        """The time of the step is over, and the gates do not open by what was counted in it."""
        if self._tally.counted - self.record.since < self._step:
            return None
        why = f"{_told(gates)}; {self.settings.step_seconds} s are over"
        # Where both sides fail, or the prices are not known, it would help nobody to go back.
        of_requests = {gate.state for gate in gates if gate.name != "Cost"}
        if self.settings.on_inconclusive == "Rollback" and of_requests == {"Undecided"}:
            return self._back(Reason.MIGRATION_ROLLS_BACK, "RolledBack", why)
        if self.record.state == "Holding":
            return None
        return self._moved(Reason.MIGRATION_INCONCLUSIVE, "Holding", self.record.percent, why)

    @property
    def _step(self) -> timedelta:
        return timedelta(seconds=self.settings.step_seconds)

    @property
    def _obstacle(self) -> str:
        """Why no step can be taken, whatever the gates say; empty if one can."""
        if state_in_force(self.seen.fallback) != "Normal":
            return f"the fallback is {state_in_force(self.seen.fallback)}"
        return "" if self.seen.known else "nothing is known of the routers"

    @property
    def _is_fresh(self) -> bool:
        known = last_known(self.seen.minutes, self._others)
        return known is not None and self.now - known <= FRESH

    # --- back -----------------------------------------------------------------------------------------------------

    def _back(self, reason: Reason, goal: MigrationState, why: str) -> MigrationStatus | None:
        """As far as the last tier has room: requests that wait there help nobody."""
        record = self.record
        if record.percent == 0:
            return self._moved(reason, goal, 0, f"{why}; the last tier answers everything")
        last = self._last
        percent = min(record.percent, last.kept)
        if percent == 0:
            return self._moved(reason, goal, 0, f"{why}; {last.name} answers everything")
        goes_on = record.state == "RollingBack" and not self._is_told
        if goes_on and record.percent - percent < LEAST_CHANGE:
            return None
        return self._moved(reason, "RollingBack", percent, f"{why}; {last.why}; the tiers get {percent} % for now")

    @property
    def _last(self) -> StandIn:
        """The last tier, as it could answer for all others."""
        names = [tier.state.name for tier in self.seen.tiers]
        if names[-1:] != [self.spec.tiers[-1].name]:
            name = self.spec.tiers[-1].name
            return StandIn(
                name, usable=False, works=False, kept=100, doubted=True, grown_at=None, why=f"no {name} runs"
            )
        fallback = self.seen.fallback
        records = {item.tier: item for item in fallback.escalations} if fallback is not None else {}
        return StandIns(self.spec.fallback, self.seen.tiers, records).of_all(names[-1], names[:-1])

    # --- what is counted ------------------------------------------------------------------------------------------

    @cached_property
    def _others(self) -> frozenset[str]:
        return frozenset(tier.name for tier in self.spec.tiers[:-1])

    @cached_property
    def _tally(self) -> Tally:
        """What was counted of this step until now, while no fallback was in force."""
        record, fallback = self.record, self.seen.before
        before = Tally(record.small, record.control, record.counted, record.missing_minutes)
        if record.state in _AT_REST:
            return replace(before, counted=whole_second(self.now))
        begin, end = record.since, self.now - LATEST
        if fallback is not None and not fallback.dry_run:
            if fallback.state == "Normal":
                begin = max(begin, fallback.since)
            else:
                # The minute in which it came into force counts: there is what it was for.
                end = min(end, fallback.since + MINUTE)
        growing = min(GROWING_SECONDS, self.settings.step_seconds / 2)
        span = Span(begin, end, record.since + timedelta(seconds=growing))
        return tallied(before, self.seen.minutes, self._others, span)

    @cached_property
    def _gates(self) -> tuple[GateStatus, ...]:
        return self._gates_of(self._tally.small, self._tally.control, self.record.earlier_control)

    def _gates_of(self, small: SideTotals, control: SideTotals, earlier: SideTotals) -> tuple[GateStatus, ...]:
        rate, saving = lately(self.seen.minutes, self._others), self.seen.saving
        return gate_states(self.settings.gates, small, control, earlier, rate, saving, self.now)

    # --- record ---------------------------------------------------------------------------------------------------

    def _is_to_be_written(self) -> bool:
        """Whether totals are: now and then, and when what counts changes."""
        if self.record.state in _AT_REST:
            return False
        is_time = self.now - self.record.updated >= WRITTEN
        return self._fallback_moves or (is_time and self._tally.counted != self.record.counted)

    @property
    def _fallback_moves(self) -> bool:
        return state_in_force(self.seen.before) != state_in_force(self.seen.fallback)

    def _written(self) -> MigrationStatus:
        return self.record.model_copy(update=self._totals())

    def _totals(self) -> dict[str, Any]:
        tally, counted = self._tally, self._tally.counted
        if self._fallback_moves and state_in_force(self.seen.before) != "Normal":
            counted = whole_second(self.now)  # What came while it was in force does not count.
        return {
            "small": tally.small,
            "control": tally.control,
            "counted": counted,
            "missing_minutes": tally.missing,
            "gates": self._gates if self._is_gated else self.record.gates,
            "updated": whole_second(self.now),
        }

    @property
    def _is_gated(self) -> bool:
        """Whether gates say something: not while the tiers get nothing, or less and less."""
        return self.record.percent > 0 and self.record.state not in GOING_BACK

    def _moved(self, reason: Reason, state: MigrationState, percent: int, why: str) -> MigrationStatus:
        """With another state, and another share if it is another: then requests are counted anew."""
        update: dict[str, Any] = {**self._totals(), "mode": self.settings.mode, "state": state}
        update |= {"percent": percent, "reason": str(reason), "message": why[:1024]}
        if percent != self.record.percent:
            time = whole_second(self.now)
            earlier = together(self.record.earlier_control, self._tally.control)
            update |= {"since": time, "counted": time, "missing_minutes": 0, "earlier_control": earlier}
            update |= {"small": SideTotals(), "control": SideTotals()}
            if state not in GOING_BACK:
                update["gates"] = self._gates_of(SideTotals(), SideTotals(), earlier)
        return self.record.model_copy(update=update)


def _told(gates: Sequence[GateStatus]) -> str:
    return "; ".join(f"{gate.name} {gate.state}: {gate.message}" for gate in gates)
