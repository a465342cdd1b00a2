"""Drains Envoy as its container's preStop hook: returns when Envoy may end."""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

from heterollm_agent.envoy_admin import EnvoyAdmin, EnvoyUnreachable

__all__ = ["drain"]

_MIN_WAIT = 10.0
"""Seconds in which requests may still arrive, because every node must first learn that this pod is going."""
_MAX_WAIT = 3600.0
"""Seconds after which running requests are given up."""


def drain(envoy: EnvoyAdmin, min_wait: float, max_wait: float) -> None:
    """Wait until no request is in flight or Envoy has ended; at least `min_wait` and at most `max_wait` seconds."""
    begin = time.monotonic()
    try:
        envoy.start_drain()
        time.sleep(min_wait)
        while envoy.active_requests() and time.monotonic() < begin + max_wait:
            time.sleep(0.2)
    except EnvoyUnreachable:
        return


if __name__ == "__main__":
    drain(EnvoyAdmin(urlsplit(os.environ.get("ENVOY_ADMIN", "http://127.0.0.1:9901"))), _MIN_WAIT, _MAX_WAIT)
