"""The demo's cluster as the steering scenarios want it: engines that fill up, fail on request, and short waits."""

from __future__ import annotations

from typing import Any

from e2e.scenarios.chat_cluster import sample

__all__ = ["REQUESTS_AT_ONCE", "hurried_sample", "steered_sample"]

REQUESTS_AT_ONCE = 8
"""What one small engine works on; further requests wait in it."""


def steered_sample(time_scale: int = 2) -> dict[str, Any]:
    """`time_scale`: how many times slower the small engines are than the simulator's own figures.

    Thresholds are the defaults; only what would make a scenario last for hours is shortened."""
    manifest = sample()
    small, large = manifest["spec"]["tiers"]
    small["engine"]["args"] += ["--max-running-requests", str(REQUESTS_AT_ONCE), "--sim-time-scale", str(time_scale)]
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


def hurried_sample() -> dict[str, Any]:
    """The same for the demo, for which two slow cores and three minutes must be enough.

    Whatever is set here, a tier rests for one and a half windows of its figures.
    """
    # Slow engines fill up with fewer answers per second, which leaves the cores some time.
    manifest = steered_sample(time_scale=4)
    small, _ = manifest["spec"]["tiers"]
    small["scaling"] = {"queueLength": 30, "scaleDownSeconds": 60}
    manifest["spec"]["fallback"] |= {"holdSeconds": 5, "longestHoldSeconds": 5, "rampPercent": [100]}
    return manifest
