"""Which fallback is in force: none, level 2 for some tiers, or level 3 for all. One state per cluster.

Metrics that are missing change nothing: what is in force stays, however long they are away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from heterollm_controllers.api.signals import ClusterSignal, TierSignal
from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.fallback import Fallback
from heterollm_controllers.api.v1alpha1.status import EscalationStatus, FallbackStatus
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.metrics.tier_metrics import MeasuredTier
from heterollm_controllers.traffic.circuit_breaker import (
    IDLE_SECONDS,
    Transition,
    next_transition,
    opened,
)
from heterollm_controllers.traffic.stand_in import (
    StandIn,
    StandIns,
    needs_less,
    needs_more,
    stand_in_of,
)
from heterollm_controllers.traffic.tier_health import COUNTED_SECONDS, Health, Judgement

__all__ = ["Change", "fall_back"]

UNDECIDED_FEWEST = 5
"""Requests in 30 seconds for which no tier could be chosen, from which the scorer is said to fail."""
UNDECIDED_PERCENT = 50
"""And their share of all: a client that knows how to break the scorer must not move everybody's requests."""

_NOTHING_LEFT: Mapping[str, Any] = MappingProxyType(
    {"escalations": (), "degraded": None, "step_since": None, "clean_since": None}
)


class Change(NamedTuple):
    """What was decided, of which tier (empty: of the cluster), and from which metrics."""

    reason: Reason
    tier: str
    why: str


def fall_back(
    settings: Fallback,
    tiers: Sequence[MeasuredTier],
    cluster: Mapping[ClusterSignal, float] | None,
    before: FallbackStatus | None,
    now: datetime,
) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
    """What holds now, and what was decided. None: nothing ever failed.

    Args:
        tiers: state and metrics, cheapest first; a cluster of one tier has nothing to fall back to.
        cluster: metrics of the whole cluster; None when they are not known.
    """
    machine = _Fallback(settings, tiers, cluster or {}, before, now)
    if len(tiers) < 2:
        return (before, ()) if before is None or before.state == "Normal" else machine.pointless()
    if settings.force is not None:
        return machine.forced(settings.force)
    if before is not None and before.reason == Reason.FALLBACK_FORCED:
        return machine.released()
    if cluster is None:
        return before, ()
    return machine.pure() if before is not None and before.state == "PureLarge" else machine.escalated()


@dataclass(frozen=True)
class _Fallback:
    settings: Fallback
    tiers: Sequence[MeasuredTier]
    cluster: Mapping[ClusterSignal, float]
    before: FallbackStatus | None
    now: datetime
    changes: list[Change] = field(default_factory=list)

    @cached_property
    def names(self) -> list[str]:
        return [tier.state.name for tier in self.tiers]

    @cached_property
    def records(self) -> dict[str, EscalationStatus]:
        return {item.tier: item for item in self.before.escalations} if self.before is not None else {}

    @cached_property
    def stand_ins(self) -> StandIns:
        return StandIns(self.settings, self.tiers, self.records)

    @property
    def last(self) -> StandIn:
        """The last tier, as it could answer for all others."""
        return self.stand_ins.of_all(self.names[-1], self.names[:-1])

    # --- level 2 --------------------------------------------------------------------------------------------------

    def escalated(self) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """Level 2: each tier by itself, but two tiers never answer for each other."""
        for tier in self.tiers:
            name, transition = tier.state.name, self._transition(tier)
            if transition.action is not None:
                self.changes.append(Change(transition.action, name, transition.why))
            if transition.record is not None:
                self.records[name] = transition.record
            else:
                self.records.pop(name, None)
        records = tuple(self.records[name] for name in self.names if name in self.records)
        trouble = self._trouble(records)
        if trouble and self._can_last_take_over():
            return self._opened(trouble)
        if records == (self.before.escalations if self.before is not None else ()):
            return self._as_before(), ()
        active = [item.tier for item in records if item.phase != "Watching"]
        state = "Escalated" if active else "Normal"
        last = self.names[-1]
        degraded = stand_in_of(last, self.names) if last in active else None
        message = "; ".join(f"{item.tier}: {item.why}" if item.tier else item.why for item in self.changes)
        reason = self.changes[-1].reason if self.changes else Reason.ALL_WELL
        return self._said(reason, message or "no failure is remembered", state, escalations=records, degraded=degraded)

    def _transition(self, tier: MeasuredTier) -> Transition:
        name = tier.state.name
        record, judged = self.records.get(name), self.stand_ins.judged(name)
        if record is None and not judged.fails:
            return Transition(None)
        stand_in = self.stand_ins.of(name)
        if record is not None:
            offered = tier.metrics.rate(TierSignal.OFFERED) or 0.0
            return next_transition(record, judged, offered, tier.state.available, stand_in, self.settings, self.now)
        return opened(name, None, judged, stand_in, self.settings, self.now) if stand_in.usable else Transition(None)

    # --- level 3 --------------------------------------------------------------------------------------------------

    def _can_last_take_over(self) -> bool:
        """Whether level 3 would last, and change anything: while the last tier fails or is full, it would not."""
        return self.last.usable and self.last.kept < 100

    def _trouble(self, records: Sequence[EscalationStatus]) -> str:
        """What speaks for level 3; empty if nothing does."""
        for record in records:
            horizon = self.now - timedelta(seconds=self.settings.reopenings_seconds)
            failed = sum(time > horizon for time in record.reopened)
            if record.tier != self.names[-1] and failed >= self.settings.reopenings:
                return f"tier {record.tier} failed again {failed} times in {self.settings.reopenings_seconds} s"
        return self._broken()

    def _broken(self) -> str:
        """What is wrong with routing by tiers at all."""
        refused = self.cluster.get(ClusterSignal.POLICY_REFUSED, 0.0)
        if refused:
            return f"a router does not take version {refused:.0f} of the routing policy"
        undecided = self.cluster.get(ClusterSignal.UNDECIDED, 0.0)
        offered = sum(tier.metrics.rate(TierSignal.OFFERED) or 0.0 for tier in self.tiers)
        if undecided * COUNTED_SECONDS < UNDECIDED_FEWEST:
            return ""
        percent = 100 * undecided / max(offered, undecided)
        return f"no tier could be chosen for {percent:.0f} % of requests" if percent >= UNDECIDED_PERCENT else ""

    def _opened(self, why: str) -> tuple[FallbackStatus, tuple[Change, ...]]:
        last = self.last
        does = f"{last.why}, the other tiers keep {last.kept} %" if last.kept else f"{last.name} answers everything"
        self.changes.append(Change(Reason.PURE_LARGE, "", f"{why}; {does}"))
        return self._said(Reason.PURE_LARGE, why, "PureLarge", **_NOTHING_LEFT, percent=last.kept)

    def pure(self) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """Level 3: until all was well for long, and then step by step."""
        before = self.before
        assert before is not None, "there is no level 3 without a record"
        judged = {name: self.stand_ins.judged_by_few(name) for name in self.names}
        if not all(item.known for item in judged.values()):
            return self._as_before(), ()
        last = judged.pop(self.names[-1])
        substitute = stand_in_of(self.names[-1], self.names)
        if last.fails and self.stand_ins.by_name[substitute].state.available and not judged[substitute].fails:
            return self._degraded(last)
        failing = "; ".join(f"{name}: {item.why}" for name, item in judged.items() if item.fails)
        trouble = self._broken() or failing
        if trouble and before.step_since is not None:
            return self._opened(trouble)
        moved = self._moved(before)
        if moved is not None:
            return moved
        if trouble:
            return self._not_yet(before, trouble)
        if before.clean_since is None:
            return before.model_copy(update={"clean_since": whole_second(self.now)}), ()
        if before.step_since is None:
            waited = self.now - before.clean_since >= timedelta(seconds=self.settings.clean_seconds)
            return self._more(before, "no failure for so long") if waited else (self._as_before(), ())
        return self._next_share(before, judged)

    def _moved(self, before: FallbackStatus) -> tuple[FallbackStatus, tuple[Change, ...]] | None:
        """With another share, as the last tier has less room than was thought, or is well again."""
        last = self.last
        more = needs_more(before.percent, last.kept)
        closes = before.step_since is not None
        if not more and (closes or not needs_less(before.percent, last, before.since)):
            return None
        why = f"{last.why}; the other tiers get {last.kept} %"
        self.changes.append(Change(Reason.PURE_LARGE_CLOSES if more else Reason.PURE_LARGE, "", why))
        step = whole_second(self.now) if closes else None
        # Whether all is well with this share is seen from now on.
        clean = whole_second(self.now) if before.clean_since is not None else None
        return self._said(Reason.PURE_LARGE, why, "PureLarge", percent=last.kept, step_since=step, clean_since=clean)

    def _degraded(self, last: Judgement) -> tuple[FallbackStatus, tuple[Change, ...]]:
        """The tier that should carry everything fails: the others are better than nothing."""
        name = self.names[-1]
        substitute = self.stand_ins.of(name)
        transition = opened(name, None, last, substitute, self.settings, self.now)
        self.changes.append(Change(Reason.TIER_ESCALATED, name, transition.why))
        left = {**_NOTHING_LEFT, "escalations": (transition.record,), "degraded": substitute.name}
        return self._said(Reason.TIER_ESCALATED, f"{name}: {transition.why}", "Escalated", **left, percent=100)

    def _not_yet(self, before: FallbackStatus, trouble: str) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        if before.clean_since is None:
            return self._as_before(), ()
        return before.model_copy(update={"clean_since": None, "message": trouble[:1024]}), ()

    def _next_share(
        self, before: FallbackStatus, judged: Mapping[str, Judgement]
    ) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        since = before.step_since if before.step_since is not None else self.now
        window = max(item.window for item in judged.values())
        lasted = self.now - since
        fine = all(item.health is Health.FINE for item in judged.values())
        if lasted >= timedelta(seconds=max(self.settings.ramp_seconds, math.ceil(window))) and (
            fine or lasted >= timedelta(seconds=IDLE_SECONDS)
        ):
            return self._more(before, "; ".join(f"{name}: {item.why}" for name, item in judged.items()))
        return self._as_before(), ()

    def _more(self, before: FallbackStatus, why: str) -> tuple[FallbackStatus, tuple[Change, ...]]:
        percent = min((item for item in self.settings.recovery_percent if item > before.percent), default=100)
        if percent >= 100:
            self.changes.append(Change(Reason.FALLBACK_NORMAL, "", f"{why}; the tiers get all their requests"))
            return self._said(Reason.FALLBACK_NORMAL, why, "Normal", **_NOTHING_LEFT, percent=100)
        self.changes.append(Change(Reason.PURE_LARGE_CLOSES, "", f"{why}; the tiers get {percent} % of their requests"))
        return self._said(
            Reason.PURE_LARGE_CLOSES, why, "PureLarge", percent=percent, step_since=whole_second(self.now)
        )

    # --- by hand --------------------------------------------------------------------------------------------------

    def forced(self, state: str) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """The state that the spec asks for, whatever the metrics say."""
        before = self.before
        if before is not None and before.reason == Reason.FALLBACK_FORCED and before.state == state:
            return self._as_before(), ()
        why = f"spec.fallback.force is {state}"
        self.changes.append(Change(Reason.FALLBACK_FORCED, "", why))
        resting = [self._resting(name) for name in self.names[:-1]] if state == "Escalated" else []
        percent = 0 if state == "PureLarge" else 100
        left = {**_NOTHING_LEFT, "escalations": tuple(resting)}
        return self._said(Reason.FALLBACK_FORCED, why, state, **left, percent=percent)

    def _resting(self, tier: str) -> EscalationStatus:
        hold, time = self.settings.hold_seconds, self.now
        return EscalationStatus(tier=tier, phase="Holding", percent=0, since=time, until=time, hold_seconds=hold)

    def released(self) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """Back to deciding by metrics, from the state that was forced: the way back is the usual one."""
        before = self.before
        assert before is not None, "nothing was forced"
        why = "spec.fallback.force is gone"
        self.changes.append(Change(Reason.FALLBACK_NORMAL, "", why))
        clean = whole_second(self.now) if before.state == "PureLarge" else None
        return self._said(Reason.ALL_WELL, why, before.state, clean_since=clean)

    def pointless(self) -> tuple[FallbackStatus, tuple[Change, ...]]:
        """Only one tier is left."""
        why = "there is no other tier"
        self.changes.append(Change(Reason.FALLBACK_NORMAL, "", why))
        return self._said(Reason.FALLBACK_NORMAL, why, "Normal", **_NOTHING_LEFT, percent=100)

    # --- record ---------------------------------------------------------------------------------------------------

    def _as_before(self) -> FallbackStatus | None:
        before = self.before
        if before is None or before.dry_run == self.settings.dry_run:
            return before
        return before.model_copy(update={"dry_run": self.settings.dry_run})

    def _said(
        self, reason: Reason, message: str, state: str, **update: Any
    ) -> tuple[FallbackStatus, tuple[Change, ...]]:
        before = self.before or FallbackStatus(since=self.now, reason=Reason.ALL_WELL, message="")
        said: dict[str, Any] = {"state": state, "reason": str(reason), "message": message[:1024], **update}
        if state != before.state:
            said["since"] = whole_second(self.now)
        return before.model_copy(update={**said, "dry_run": self.settings.dry_run}), tuple(self.changes)
