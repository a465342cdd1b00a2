"""The preStop hook of the Envoy container: returns when Envoy may be ended."""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

from heterollm_agent.envoy_admin import EnvoyAdmin, EnvoyUnreachable

__all__ = ["drain"]

_SETTLE = 10.0
"""Seconds in which requests may still arrive, because every node must first learn that this pod is going."""
_LIMIT = 3600.0
"""Seconds after which running answers are given up."""


def drain(envoy: EnvoyAdmin, settle: float, limit: float) -> None:
    """Wait at least `settle` and at most `limit` seconds, until no request is in flight."""
    begin = time.monotonic()
    try:
        envoy.start_drain()
        time.sleep(settle)
        while envoy.active_requests() and time.monotonic() < begin + limit:
            time.sleep(0.2)
    except EnvoyUnreachable:
        return


if __name__ == "__main__":
    drain(EnvoyAdmin(urlsplit(os.environ.get("ENVOY_ADMIN", "http://127.0.0.1:9901"))), _SETTLE, _LIMIT)
