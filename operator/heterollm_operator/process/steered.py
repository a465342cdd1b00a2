"""By what each cluster was steered at its last look, and whether newer metrics would change anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_loop import Steering, SteeringInput
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_operator.kube.store import Key
from heterollm_operator.runtime.clock import Clock

__all__ = ["Steer", "Steered"]

_log = logging.getLogger(__name__)

Steer = Callable[[HeteroLLMClusterSpec, Sequence[TierState], ControlState, Readings | None, datetime], Steering]


class Steered:
    """Looks leave here what they steered by; ticks of the poller ask whether another look is due."""

    def __init__(self, steer: Steer, clock: Clock) -> None:
        self._steer = steer
        self._clock = clock
        self._given: dict[Key, SteeringInput] = {}
        self._defects: set[Key] = set()

    def known(self) -> Mapping[Key, SteeringInput]:
        """The clusters that have been looked at and are to be steered."""
        return self._given

    def looked(self, key: Key, given: SteeringInput | None) -> None:
        """Take note of a look that has been carried out; None where nothing is to be steered."""
        if given is None:
            self.forget(key)
        else:
            self._given[key] = given

    def forget(self, key: Key) -> None:
        """The cluster has gone."""
        self._given.pop(key, None)
        self._defects.discard(key)

    def due(self, key: Key, readings: Readings) -> bool:
        """Whether a look would decide something by these metrics, or miss others than the last one did."""
        given = self._given.get(key)
        if given is None:
            return False
        try:
            after = self._steer(given.spec, given.tiers, given.state, readings, self._clock.utc())
        except Exception:
            # A defect, met by this one cluster: the next look meets it, too, and reports it. The others must go on.
            if key not in self._defects:
                _log.exception("Defect in steering", extra={"cluster": str(key)})
            self._defects.add(key)
            return False
        self._defects.discard(key)
        seen, now = (given.state, given.missing, given.refused), (after.state, after.missing, after.refused)
        return seen != now
