"""A cluster that migrates, minute by minute: its requests fail or are slow by chance, counted as routers count."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from heterollm_controllers.api.v1alpha1.migration_status import GateStatus, MigrationStatus
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.metrics.side_minutes import Outcome, Side, SideMinutes
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile import control_loop
from heterollm_controllers.reconcile.control_loop import Steering
from heterollm_controllers.reconcile.control_state import ControlState
from tests.steering.world import World

MINUTE = timedelta(minutes=1)
MINUTES_KEPT = 120


@dataclass
class Truth:
    """What is so of one side: the share of requests that fail, and that begin late."""

    failed: float = 0.0
    slow: float = 0.0
    at_a_time: int = 1
    """Failures come so many together."""


class Migrating(World):
    """A small and a large tier; `per_minute` requests want the small one."""

    def __init__(self, seed: int = 0, per_minute: int = 6000, **migration: Any) -> None:
        super().__init__(migration={"mode": "Auto", "stepSeconds": 3600, **migration})
        self.chance = random.Random(seed)
        self.per_minute = per_minute
        self.small_side, self.control_side = Truth(), Truth()
        self.columns: deque[dict[Side, float]] = deque(maxlen=MINUTES_KEPT)
        self.prometheus = True
        self.requests = 0
        """Of the small side, in all."""
        self.writes = 0
        self.saving: float | None = None

    def minutes(self, count: int = 1) -> MigrationStatus:
        """Let so many minutes pass, with one tick at the end of each."""
        for _ in range(count):
            self.columns.append(self._minute() if self.prometheus else {})
            self.now += MINUTE
            tiers = (self.small.tier_state(), self.large.tier_state())
            self.last = self.decided(tiers, self.memory)
            self.said += [f"{item.action} {item.message}" for item in self.last.decisions]
            self.writes += self.last.state != self.memory
            self.memory = self.last.state
        return self.record

    def decided(self, tiers: tuple[TierState, ...], memory: ControlState) -> Steering:
        """What would be decided now, with the saving that the test sets."""
        with patch.object(control_loop, "migration_saving", lambda *_: self.saving):
            return control_loop.steer(self.spec, tiers, memory, self.readings(), self.now)

    def until_decided(self, most: int = 10_000) -> MigrationStatus:
        """Let minutes pass until another share is meant."""
        before = self.record.percent
        for _ in range(most):
            if self.minutes().percent != before or self.record.state in ("Complete", "RolledBack", "RollingBack"):
                break
        return self.record

    def set(self, **migration: Any) -> None:
        """Edit spec.migration."""
        spec = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.spec = type(self.spec).model_validate({**spec, "migration": {**spec["migration"], **migration}})

    @property
    def record(self) -> MigrationStatus:
        """What status remembers."""
        assert self.memory.migration is not None
        return self.memory.migration

    @property
    def share(self) -> int:
        """Per cent of its requests that the small tier gets now."""
        return self.last.traffic.share("small")

    def gate(self, name: str) -> GateStatus:
        """What a gate said when it was written down last."""
        return next(gate for gate in self.record.gates if gate.name == name)

    def readings(self) -> Readings | None:
        """With the minutes that Prometheus knows."""
        found = super().readings()
        if found is None:
            return None
        kinds = {kind for column in self.columns for kind in column}
        counts = {kind: [column.get(kind, math.nan) for column in self.columns] for kind in kinds}
        sides = SideMinutes(self.now.replace(second=0), counts)
        return Readings(**{**vars(found), "sides": sides})

    def _minute(self) -> dict[Side, float]:
        own = round(self.per_minute * self.share / 100)
        self.requests += own
        return {
            **self._side(own, self.small_side, diverted=False),
            **self._side(self.per_minute - own, self.control_side, diverted=True),
        }

    def _side(self, requests: int, truth: Truth, *, diverted: bool) -> dict[Side, float]:
        failed = min(truth.at_a_time * self._drawn(requests, truth.failed / truth.at_a_time), requests)
        slow = self._drawn(requests - failed, truth.slow)
        counts: dict[Outcome, int] = {"ok": requests - failed - slow, "slow": slow, "failed": failed}
        return {Side("small", diverted, outcome): float(count) for outcome, count in counts.items() if requests}

    def _drawn(self, count: int, share: float) -> int:
        """How many of so many happen, each with this chance: by the gaps between them."""
        if share <= 0 or not count:
            return 0
        if share >= 1:
            return count
        found, place, rest = 0, 0, math.log1p(-share)
        while (place := place + int(math.log(1 - self.chance.random()) / rest) + 1) <= count:
            found += 1
        return found
