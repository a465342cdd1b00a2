"""A worker between a fake API server and a core that answers what the test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Delete, Event
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_operator.kube.apply import Writer
from heterollm_operator.kube.store import Key, Store
from heterollm_operator.process.cluster_metrics import ClusterMetrics
from heterollm_operator.process.cost_metrics import CostMetrics
from heterollm_operator.process.queue import WorkQueue
from heterollm_operator.process.rechecks import Rechecks
from heterollm_operator.process.worker import Core, Sight, Worker
from heterollm_operator.runtime.metrics import Metrics
from tests.shell.fake_api import FakeApi
from tests.shell.objects import manifest
from tests.shell.virtual import START, VirtualClock

__all__ = ["Bench", "C", "digest", "everything"]

C = Key("ns", "c")


def digest(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)


class Bench:
    """A worker with a fake API server and a core that answers what the test says."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.clock = VirtualClock()
        self.metrics = Metrics()
        self.leading = True
        self.answer: Callable[[Observed], Outcome] = lambda _: Outcome(status={"fine": True})
        self.observed: list[Observed] = []
        self.store = Store(self._changed)
        self.queue: WorkQueue[Key] = WorkQueue(self.clock.monotonic, base=1.0)
        writer = Writer(
            self.api.typed,
            self.store,
            self.metrics,
            self.clock,
            leading=lambda: self.leading,
            identity="me",
            limit=2.5,
        )
        self.readings: Readings | None = None
        self.rechecks = Rechecks(self.clock)
        self.cluster_metrics = ClusterMetrics(self.rechecks.known, lambda _: self.readings)
        sight = Sight(lambda _: self.readings, self.rechecks, self.cluster_metrics, CostMetrics(self.clock.monotonic))
        core = Core(self._reconcile, digest, Config())
        self.worker = Worker(core, self.store, self.queue, writer, self.metrics, self.clock, 600, sight)

    def _changed(self, key: Key) -> None:
        self.queue.add(key)

    def _reconcile(self, observed: Observed, _: Config, now: datetime) -> Outcome:
        assert now == START.replace(second=int(self.clock.now) % 60)
        self.observed.append(observed)
        return self.answer(observed)

    def exists(self, body: dict[str, Any], path: str | None = None) -> None:
        """Put an object before the watches, and at `path` into the API server."""
        self.store.put(body)
        if path is not None:
            self.api.objects[path] = body

    async def reconcile(self) -> str:
        """One look at ns/c, finished as a worker does; returns the result for the metrics."""
        self.queue.add(C)
        assert self.queue.take() is not None
        return await self.worker._reconcile_safely(C)

    def next_look(self) -> float:
        """Seconds until the cluster is due again."""
        return 0.0 if len(self.queue) else self.queue.next_due() or 0.0


def everything(_: Observed) -> Outcome:
    return Outcome(
        status={"fine": True},
        events=(Event("Normal", "Changed", "for a reason"),),
        apply=(manifest("one"), manifest("two", kind="Service")),
        delete=(Delete("apps/v1", "StatefulSet", "old", "uid-of-old", grace_seconds=5, foreground=True),),
    )
