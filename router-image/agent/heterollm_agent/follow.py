"""Follows the ConfigMap for ever: seed first, then watch, and again after every failure."""

from __future__ import annotations

import logging
import random
import threading
import time
from functools import partial

from heterollm_agent.keeper import Keeper
from heterollm_agent.policy import read_seed
from heterollm_agent.settings import Settings
from heterollm_agent.watch import policy_of, watch

__all__ = ["Follower"]

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
"""Seconds between two attempts to reach the API server, doubling, with jitter."""


class Follower(threading.Thread):
    """Shows the keeper every policy it hears of."""

    def __init__(self, settings: Settings, keeper: Keeper) -> None:
        super().__init__(name="follower", daemon=True)
        self._settings = settings
        self._keeper = keeper
        self._heard = time.monotonic()
        self.connections = 0
        """Watches opened since the start (number)."""

    def age(self) -> float:
        """Seconds since the API server was last heard (or since the start, if never)."""
        return time.monotonic() - self._heard

    def run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            self._keeper.show_seed(partial(read_seed, self._settings.seed_dir, tls=self._settings.tls))
            heard = self._heard
            self._keeper.tidy()
            try:
                self._follow()
            except OSError as error:
                _log.warning("policy watch: %s", error)
            pause = _FIRST_PAUSE if self._heard != heard else min(2 * pause, _LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.0))

    def _follow(self) -> None:
        self.connections += 1
        for configmap in watch(self._settings):
            self._heard = time.monotonic()
            if configmap is not None:
                self._keeper.show_live(partial(policy_of, configmap, tls=self._settings.tls))
            # The API server gives a sign of life every minute.
            self._keeper.tidy()
