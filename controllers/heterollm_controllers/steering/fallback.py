"""Which fallback is in force: none, level 2 for some tiers, or level 3 for all. One state per cluster.

Figures that are missing change nothing: what is in force stays, however long they are away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any

from heterollm_controllers.clock import parse, stamp
from heterollm_controllers.reasons import Reason
from heterollm_controllers.status_v1alpha1 import EscalationStatus, FallbackStatus
from heterollm_controllers.steering.escalation import IDLE_SECONDS, Turn, next_turn, opened
from heterollm_controllers.steering.facts import TierFacts
from heterollm_controllers.steering.figures import TierFigures
from heterollm_controllers.steering.health import COUNTED_SECONDS, Health, Judgement, judge
from heterollm_controllers.steering.signals import ClusterSignal, TierSignal
from heterollm_controllers.steering_v1alpha1 import Fallback

__all__ = ["Change", "fall_back", "shares", "state_in_force"]

UNDECIDED_FEWEST = 5
"""Requests in 30 seconds for which no tier could be chosen, from which the scorer is said to fail."""
UNDECIDED_PERCENT = 50
"""And their share of all: a client that knows how to break the scorer must not move everybody's requests."""

_NOTHING_LEFT: Mapping[str, Any] = MappingProxyType(
    {"escalations": (), "degraded": None, "step_since": None, "clean_since": None}
)

Change = tuple[Reason, str, str]
"""What was decided, of which tier (empty: of the cluster), and from which figures."""


def shares(status: FallbackStatus | None, tiers: Sequence[str]) -> dict[str, int]:
    """Share in per cent of its requests that each tier gets; the rest goes to the tier that stands in for it."""
    if status is None or status.dry_run:
        return dict.fromkeys(tiers, 100)
    if status.state == "PureLarge":
        return {**dict.fromkeys(tiers[:-1], status.percent), tiers[-1]: 100}
    resting = {item.tier: item.percent for item in status.escalations}
    return {tier: resting.get(tier, 100) for tier in tiers}


def state_in_force(status: FallbackStatus | None) -> str:
    """The fallback that the routers know of; a dry run only reports."""
    return "Normal" if status is None or status.dry_run else status.state


def fall_back(
    settings: Fallback,
    tiers: Sequence[tuple[TierFacts, TierFigures]],
    cluster: Mapping[ClusterSignal, float] | None,
    before: FallbackStatus | None,
    now: datetime,
) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
    """What holds now, and what was decided. None: nothing ever failed.

    Args:
        tiers: facts and figures, cheapest first; a cluster of one tier has nothing to fall back to.
        cluster: figures of the whole cluster; None when they are not known.
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
    tiers: Sequence[tuple[TierFacts, TierFigures]]
    cluster: Mapping[ClusterSignal, float]
    before: FallbackStatus | None
    now: datetime
    changes: list[Change] = field(default_factory=list)

    @cached_property
    def names(self) -> list[str]:
        return [facts.name for facts, _ in self.tiers]

    @cached_property
    def records(self) -> dict[str, EscalationStatus]:
        return {item.tier: item for item in self.before.escalations} if self.before is not None else {}

    # --- level 2 --------------------------------------------------------------------------------------------------

    def escalated(self) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """Level 2: each tier by itself, but two tiers never answer for each other."""
        for facts, figures in self.tiers:
            turn = self._turn(facts, figures)
            if turn.action is not None:
                self.changes.append((turn.action, facts.name, turn.why))
            if turn.record is not None:
                self.records[facts.name] = turn.record
            else:
                self.records.pop(facts.name, None)
        records = tuple(self.records[name] for name in self.names if name in self.records)
        trouble = self._trouble(records)
        if trouble and self._can_last_take_over():
            return self._opened(trouble)
        if records == (self.before.escalations if self.before is not None else ()):
            return self._as_before(), ()
        active = [item.tier for item in records if item.phase != "Watching"]
        state = "Escalated" if active else "Normal"
        last = self.names[-1]
        degraded = self._substitute(last) if last in active else None
        message = "; ".join(f"{name}: {text}" if name else text for _, name, text in self.changes)
        reason = self.changes[-1][0] if self.changes else Reason.ALL_WELL
        return self._said(reason, message or "no failure is remembered", state, escalations=records, degraded=degraded)

    def _turn(self, facts: TierFacts, figures: TierFigures) -> Turn:
        record = self.records.get(facts.name)
        judged = self._judged(facts, figures)
        resting = record is not None and record.phase == "Holding"
        if judged.fails and not resting and self._substitute(facts.name) is None:
            return Turn(record)
        if record is not None:
            offered = figures.rate(TierSignal.OFFERED) or 0.0
            return next_turn(record, judged, offered, bool(facts.serving), self.settings, self.now)
        if not judged.fails:
            return Turn(None)
        return opened(facts.name, None, judged, self.settings, self.now)

    def _judged(self, facts: TierFacts, figures: TierFigures) -> Judgement:
        """A tier with a small share of its requests is judged by few."""
        record = self.records.get(facts.name)
        partly = record is not None and record.phase != "Watching"
        return judge(facts, figures, self.settings, self._few if partly else self.settings.min_requests)

    @cached_property
    def _few(self) -> int:
        return max(1, min(self.settings.min_requests, self.settings.probe_requests // 2))

    def _substitute(self, tier: str) -> str | None:
        """The tier that can answer for another: the last one, and for the last one the nearest before it.

        One that has just failed itself cannot: each would send its requests to the other.
        """
        index = self.names.index(tier)
        others = [self.tiers[-1][0]] if tier != self.names[-1] else [self.tiers[index - 1][0]]
        resting = {name for name, item in self.records.items() if item.phase != "Watching"}
        return next((item.name for item in others if item.serving and item.name not in resting), None)

    # --- level 3 --------------------------------------------------------------------------------------------------

    def _can_last_take_over(self) -> bool:
        """Whether level 3 would last: it ends at once while the last tier fails, and would begin again at once."""
        facts, figures = self.tiers[-1]
        record = self.records.get(facts.name)
        rested = record is None or record.phase == "Watching"
        return rested and not judge(facts, figures, self.settings, self._few).fails

    def _trouble(self, records: Sequence[EscalationStatus]) -> str:
        """What speaks for level 3; empty if nothing does."""
        for record in records:
            horizon = self.now - timedelta(seconds=self.settings.reopenings_seconds)
            failed = sum(parse(time) > horizon for time in record.reopened)
            if record.tier != self.names[-1] and failed >= self.settings.reopenings:
                return f"tier {record.tier} failed again {failed} times in {self.settings.reopenings_seconds} s"
        return self._broken()

    def _broken(self) -> str:
        """What is wrong with routing by tiers at all."""
        refused = self.cluster.get(ClusterSignal.POLICY_REFUSED, 0.0)
        if refused:
            return f"a router does not take version {refused:.0f} of the routing policy"
        undecided = self.cluster.get(ClusterSignal.UNDECIDED, 0.0)
        offered = sum(figures.rate(TierSignal.OFFERED) or 0.0 for _, figures in self.tiers)
        if undecided * COUNTED_SECONDS < UNDECIDED_FEWEST:
            return ""
        percent = 100 * undecided / max(offered, undecided)
        return f"no tier could be chosen for {percent:.0f} % of requests" if percent >= UNDECIDED_PERCENT else ""

    def _opened(self, why: str) -> tuple[FallbackStatus, tuple[Change, ...]]:
        self.changes.append((Reason.PURE_LARGE, "", f"{why}; {self.names[-1]} answers everything"))
        return self._said(Reason.PURE_LARGE, why, "PureLarge", **_NOTHING_LEFT, percent=0)

    def pure(self) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """Level 3: until all was well for long, and then step by step."""
        before = self.before
        assert before is not None, "there is no level 3 without a record"
        judged = {facts.name: judge(facts, figures, self.settings, self._few) for facts, figures in self.tiers}
        if not all(item.known for item in judged.values()):
            return self._as_before(), ()
        last = judged.pop(self.names[-1])
        if last.fails and self._substitute(self.names[-1]) is not None:
            return self._degraded(last)
        failing = "; ".join(f"{name}: {item.why}" for name, item in judged.items() if item.fails)
        trouble = self._broken() or failing
        if trouble:
            return self._not_yet(before, trouble)
        if before.clean_since is None:
            return before.model_copy(update={"clean_since": stamp(self.now)}), ()
        if before.percent == 0:
            waited = self.now - parse(before.clean_since) >= timedelta(seconds=self.settings.clean_seconds)
            return self._more(before, "no failure for so long") if waited else (self._as_before(), ())
        return self._next_share(before, judged)

    def _degraded(self, last: Judgement) -> tuple[FallbackStatus, tuple[Change, ...]]:
        """The tier that should carry everything fails: the others are better than nothing."""
        name = self.names[-1]
        substitute = self._substitute(name)
        judged = replace(last, why=f"{last.why}; {substitute} answers in its place")
        turn = opened(name, None, judged, self.settings, self.now)
        self.changes.append((Reason.TIER_ESCALATED, name, turn.why))
        left = {**_NOTHING_LEFT, "escalations": (turn.record,), "degraded": substitute}
        return self._said(Reason.TIER_ESCALATED, f"{name}: {turn.why}", "Escalated", **left, percent=100)

    def _not_yet(self, before: FallbackStatus, trouble: str) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        if before.percent > 0:
            return self._opened(trouble)
        if before.clean_since is None:
            return self._as_before(), ()
        return before.model_copy(update={"clean_since": None, "message": trouble[:1024]}), ()

    def _next_share(
        self, before: FallbackStatus, judged: Mapping[str, Judgement]
    ) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        since = parse(before.step_since) if before.step_since is not None else self.now
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
            self.changes.append((Reason.FALLBACK_NORMAL, "", f"{why}; the tiers get all their requests"))
            return self._said(Reason.FALLBACK_NORMAL, why, "Normal", **_NOTHING_LEFT, percent=100)
        self.changes.append((Reason.PURE_LARGE_CLOSES, "", f"{why}; the tiers get {percent} % of their requests"))
        return self._said(Reason.PURE_LARGE_CLOSES, why, "PureLarge", percent=percent, step_since=stamp(self.now))

    # --- by hand --------------------------------------------------------------------------------------------------

    def forced(self, state: str) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """The state that the spec asks for, whatever the figures say."""
        before = self.before
        if before is not None and before.reason == Reason.FALLBACK_FORCED and before.state == state:
            return self._as_before(), ()
        why = f"spec.fallback.force is {state}"
        self.changes.append((Reason.FALLBACK_FORCED, "", why))
        resting = [self._resting(name) for name in self.names[:-1]] if state == "Escalated" else []
        percent = 0 if state == "PureLarge" else 100
        left = {**_NOTHING_LEFT, "escalations": tuple(resting)}
        return self._said(Reason.FALLBACK_FORCED, why, state, **left, percent=percent)

    def _resting(self, tier: str) -> EscalationStatus:
        hold, time = self.settings.hold_seconds, stamp(self.now)
        return EscalationStatus(tier=tier, phase="Holding", percent=0, since=time, until=time, hold_seconds=hold)

    def released(self) -> tuple[FallbackStatus | None, tuple[Change, ...]]:
        """Back to deciding by figures, from the state that was forced: the way back is the usual one."""
        before = self.before
        assert before is not None, "nothing was forced"
        why = "spec.fallback.force is gone"
        self.changes.append((Reason.FALLBACK_NORMAL, "", why))
        clean = stamp(self.now) if before.state == "PureLarge" else None
        return self._said(Reason.ALL_WELL, why, before.state, clean_since=clean)

    def pointless(self) -> tuple[FallbackStatus, tuple[Change, ...]]:
        """Only one tier is left."""
        why = "there is no other tier"
        self.changes.append((Reason.FALLBACK_NORMAL, "", why))
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
        before = self.before or FallbackStatus(since=stamp(self.now), reason=Reason.ALL_WELL, message="")
        said: dict[str, Any] = {"state": state, "reason": str(reason), "message": message[:1024], **update}
        if state != before.state:
            said["since"] = stamp(self.now)
        return before.model_copy(update={**said, "dry_run": self.settings.dry_run}), tuple(self.changes)
