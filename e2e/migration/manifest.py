"""The cluster that moves from the service to a small tier of its own, with steps of a minute."""

from __future__ import annotations

import json
from typing import Any

from e2e.migration.service import MODEL, URL
from e2e.scenarios.chat_cluster import sample

__all__ = ["ERROR_PERCENT", "FIRST_BYTE_MS", "moving"]

ERROR_PERCENT, FIRST_BYTE_MS = "1", 500
"""Limits of the gates. The default of 0.1 % takes 3,810 requests per step, which would be an hour at this load; and
150 ms to the first byte are for machines that do not run clients, routers and engines on two cores."""


def moving(mode: str, failing: float = 0.0) -> dict[str, Any]:
    """`failing`: share of attempts at the small engines that fail; of requests, both attempts must fail."""
    manifest = sample()
    small, large = manifest["spec"]["tiers"]
    small["engine"]["args"] += ["--sim-fault", json.dumps({"error_rate": failing})]
    small["engine"]["drainSeconds"] = 10
    small["accelerator"]["dollarsPerHour"] = "1.85"
    small["replicas"] = {"min": 0, "max": 3}
    manifest["spec"]["tiers"] = [small, {"name": large["name"], "external": {"url": URL, "model": MODEL}}]
    manifest["spec"]["migration"] = {
        "mode": mode,
        "stepSeconds": 60,
        "gates": {"errorPercent": ERROR_PERCENT, "firstByteMs": FIRST_BYTE_MS},
    }
    return manifest
