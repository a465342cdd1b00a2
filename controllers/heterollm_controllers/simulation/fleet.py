"""The engines of one tier through their lives: they start, wait as standby, serve, are killed, drain and leave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.simulation.engine_model import EngineModel
from heterollm_controllers.simulation.engines import Group, merged

__all__ = ["Fleet", "Life"]


@dataclass
class Life:
    """One engine that does not serve yet, or not at the moment.

    Attributes:
        name: of its StatefulSet; `pod`: of its leader.
        created: second.
        ready: second at which it will serve; None while it has no node.
        needs_node: a new node has to come before it can start.
    """

    name: str
    created: float
    ready: float | None
    needs_node: bool = False

    @property
    def pod(self) -> str:
        return f"{self.name}-0"


class Fleet:
    """The engines of one tier."""

    def __init__(
        self,
        name: str,
        model: EngineModel,
        *,
        start: datetime,
        drain_seconds: float,
        node_seconds: float,
        engines: int,
        standby: int,
    ) -> None:
        """`engines` serve from the start, and `standby` more are ready."""
        self.name = name
        self.model = model
        self.groups: list[Group] = []
        self.idle: list[str] = []
        self.coming: list[Life] = []
        self.leaving: list[tuple[Group, float]] = []
        self.target = engines
        self.nodes_free = True
        self.in_flight = 0.0
        """Requests in all engines, leaving ones included."""
        self.lost = 0.0
        """Requests whose engines died or drained for too long since this was last taken."""
        self._start = start
        self._drain_seconds = drain_seconds
        self._node_seconds = node_seconds
        self._standby = standby
        self._made = 0
        self._since: dict[str, datetime] = {}
        self._served = bool(engines)
        """Whether an engine has served since the tier last was to have none."""
        self._start_seconds: float | None = None
        # Known until an engine comes, goes or changes its state; see `_changed`.
        self._facts: TierState | None = None
        self._serving: int | None = None
        self._present: int | None = None
        pods = [self._new_name() for _ in range(engines + standby)]
        for pod in pods:
            self._since[pod] = start
        if engines:
            self.groups = [Group([f"{pod}-0" for pod in pods[:engines]])]
        self.idle = pods[engines:]

    # What others see

    @property
    def serving(self) -> int:
        """Engines that get requests."""
        if self._serving is None:
            self._serving = sum(len(group.pods) for group in self.groups)
        return self._serving

    @property
    def queue(self) -> float:
        """Requests that wait in the engines."""
        most = self.model.concurrency
        everyone = [*self.groups, *(group for group, _ in self.leaving)]
        return sum(max(0.0, group.in_flight - most) * len(group.pods) for group in everyone)

    @property
    def present(self) -> int:
        """Engines that occupy GPUs, whatever they do."""
        if self._present is None:
            placed = sum(life.ready is not None and not life.needs_node for life in self.coming)
            self._present = self.serving + len(self.idle) + placed + len(self.leaving)
        return self._present

    def tier_state(self) -> TierState:
        """What the operator sees of the tier; the same object until something changes."""
        if self._facts is None:
            self._facts = self._observed()
        return self._facts

    def _observed(self) -> TierState:
        serving = [pod for group in self.groups for pod in group.pods]
        engines = [EngineState(pod[:-2], pod, True, False, self._since[pod[:-2]]) for pod in serving]
        engines += [EngineState(name, f"{name}-0", True, True, self._since[name]) for name in self.idle]
        short = max(0, self.target - len(serving))
        for index, life in enumerate(sorted(self.coming, key=lambda one: one.created)):
            stuck = self._time(life.created) if life.ready is None or life.needs_node else None
            created = self._time(life.created)
            engines.append(EngineState(life.name, life.pod, False, index >= short, None, stuck, created))
        return TierState(
            name=self.name,
            engines=tuple(engines),
            leaving=len(self.leaving),
            lost=self._served and not serving and not self.idle,
            concurrency=self.model.concurrency if self.model.told else None,
            rate=self.model.rate if self.model.told else None,
            start_seconds=self._start_seconds,
        )

    def _changed(self) -> None:
        self._facts = self._serving = self._present = None

    # What the operator does

    def want(self, target: int, second: float) -> None:
        """Have so many engines, beside the standby ones."""
        if target == self.target and self._complete():
            return
        self.target = target
        self._served = self._served and target > 0
        self._join()
        for _ in range(target + self._standby - self._owned()):
            self._create(second)
        while self._owned() > target + self._standby and self._remove(second):
            pass
        self._changed()

    def _complete(self) -> bool:
        return self._owned() == self.target + self._standby and (self.serving >= self.target or not self.idle)

    def _owned(self) -> int:
        return self.serving + len(self.idle) + len(self.coming)

    def _join(self) -> None:
        """Standby engines serve where some are missing."""
        short = min(len(self.idle), self.target - self.serving)
        if short > 0:
            joining, self.idle = self.idle[:short], self.idle[short:]
            self.groups.append(Group([f"{name}-0" for name in joining]))
            self._served = True
            self._changed()

    def _create(self, second: float) -> None:
        life = Life(self._new_name(), second, None)
        if self.nodes_free:
            self._place(life, second)
        self.coming.append(life)

    def _place(self, life: Life, second: float) -> None:
        life.needs_node = self._node_seconds > 0
        life.ready = second + self._node_seconds + self.model.cold_start

    def _new_name(self) -> str:
        self._made += 1
        return f"{self.name}-{self._made}"

    def _remove(self, second: float) -> bool:
        """One engine fewer: the least loaded if too many serve, else one that does not yet; whether there was one."""
        if self.serving > self.target:
            group = min(self.groups, key=lambda one: one.in_flight)
            pod = group.pods.pop()
            self.leaving.append((Group([pod], group.in_flight), second + self._drain_seconds))
            self.groups = [one for one in self.groups if one.pods]
            self._changed()
        elif self.coming:
            # First those without a node, the newest first.
            self.coming.sort(key=lambda one: (one.ready is None or one.needs_node, one.created))
            self.coming.pop()
        elif self.idle:
            self.idle.pop()
        else:
            return False
        return True

    # What happens to it

    def kill(self, number: int, second: float) -> None:
        """So many serving engines die. They start again where they are, and their requests are lost to them."""
        for _ in range(min(number, self.serving)):
            group = max(self.groups, key=lambda one: len(one.pods))
            name = group.pods.pop()[:-2]
            self.lost += group.in_flight
            self.in_flight -= group.in_flight
            self.groups = [one for one in self.groups if one.pods]
            self.coming.append(Life(name, second, second + self.model.cold_start))
            self._changed()

    @property
    def calm(self) -> bool:
        """Whether no engine comes or goes, and all have room and the same to do."""
        if self.coming or self.leaving or len(self.groups) != 1:
            return False
        return 2 * self.groups[0].in_flight < self.model.concurrency

    def step(self, arrivals: float, slower: float, second: float, seconds: float = 1.0) -> float:
        """Let some seconds pass; requests that were finished in that time.

        Args:
            arrivals: requests for all serving engines; there must be some.
            second: at the beginning.
        """
        self._start_and_stop(second)
        each = arrivals / self.serving if arrivals > 0 else 0.0
        held = finished = 0.0
        for group in self.groups:
            finished += group.step(self.model, each, slower, seconds)
            held += group.total
        for group, _ in self.leaving:
            finished += group.step(self.model, 0.0, slower, seconds)
            held += group.total
        self.in_flight = held
        if len(self.groups) > 1:
            self.groups = merged(self.groups, self.model)
        return finished

    def _start_and_stop(self, second: float) -> None:
        if self.coming:
            self._schedule(second)
            self._start_ready(second)
        if self.leaving:
            self._stop_drained(second)

    def _schedule(self, second: float) -> None:
        for life in self.coming:
            if life.ready is None and self.nodes_free:
                self._place(life, second)
                self._changed()
            elif life.needs_node and life.ready is not None and second >= life.ready - self.model.cold_start:
                life.needs_node = False
                self._changed()

    def _start_ready(self, second: float) -> None:
        ready = [life for life in self.coming if life.ready is not None and life.ready <= second]
        if not ready:
            return
        self.coming = [life for life in self.coming if life not in ready]
        for life in ready:
            self._since[life.name] = self._time(second)
            self._start_seconds = second - life.created
            self.idle.append(life.name)
        self._join()
        self._changed()

    def _stop_drained(self, second: float) -> None:
        """Drained engines go; what one still has when its time is over is lost to it."""
        gone = [entry for entry in self.leaving if entry[0].in_flight < 0.05 or second >= entry[1]]
        for entry in gone:
            self.lost += entry[0].total
            self.leaving.remove(entry)
            self._changed()

    def take_lost(self) -> float:
        """Requests that have to be sent again."""
        lost, self.lost = self.lost, 0.0
        return lost

    def _time(self, second: float) -> datetime:
        return self._start + timedelta(seconds=second)
