"""Whether newer metrics would change anything: what each cluster's last reconcile left to ask."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_operator.kube.store import Key
from heterollm_operator.runtime.clock import Clock

__all__ = ["Rechecks"]

_log = logging.getLogger(__name__)


class Rechecks:
    """Reconciles leave a recheck here; ticks of the poller ask whether another reconcile is due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Key, Recheck] = {}
        self._defects: set[Key] = set()

    def known(self) -> Mapping[Key, Recheck]:
        """By cluster."""
        return self._known

    def reconciled(self, key: Key, recheck: Recheck | None) -> None:
        """Take note of a reconcile that has been carried out; None where nothing is to be steered."""
        if recheck is None:
            self.forget(key)
        else:
            self._known[key] = recheck

    def forget(self, key: Key) -> None:
        """The cluster has gone."""
        self._known.pop(key, None)
        self._defects.discard(key)

    def due(self, key: Key, readings: Readings) -> bool:
        """Whether a reconcile would decide something by these metrics, or miss others than the last one did."""
        recheck = self._known.get(key)
        if recheck is None:
            return False
        try:
            due = recheck.is_due(readings, self._clock.utc())
        except Exception:
            # A defect, met by this one cluster: the next reconcile meets it, too, and reports it. Others must go on.
            if key not in self._defects:
                _log.exception("Defect in the control loop", extra={"cluster": str(key)})
            self._defects.add(key)
            return False
        self._defects.discard(key)
        return due
