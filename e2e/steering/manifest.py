"""The demo's cluster as the steering scenarios want it: engines that fill up, fail on request, and short waits."""

from __future__ import annotations

from typing import Any

from e2e.scenarios.chat_cluster import sample

__all__ = ["REQUESTS_AT_ONCE", "steered_sample"]

REQUESTS_AT_ONCE = 8
"""What one small engine works on; further requests wait in it."""


def steered_sample() -> dict[str, Any]:
    """Thresholds are the defaults; only what would make a scenario last for hours is shortened."""
    manifest = sample()
    small, large = manifest["spec"]["tiers"]
    small["engine"]["args"] += ["--max-running-requests", str(REQUESTS_AT_ONCE), "--sim-time-scale", "2"]
    small["replicas"] = {"min": 2, "max": 6}
    large["replicas"] = {"min": 1, "max": 2}
    for tier in (small, large):
        # The simulator takes faults only from those who asked for them.
        tier["engine"]["args"] += ["--sim-fault", "{}"]
        tier["engine"]["drainSeconds"] = 10
    manifest["spec"]["fallback"] = {
        "holdSeconds": 15,
        "longestHoldSeconds": 20,
        "rampSeconds": 5,
        "cleanSeconds": 30,
        "recoveryPercent": [10, 60, 100],
    }
    return manifest
