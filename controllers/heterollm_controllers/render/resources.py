"""Requests and limits of a container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heterollm_controllers.api.v1alpha1.engine import Resources


def resources_of(wanted: Resources | None, extended: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Requests and limits; extended resources (GPUs) must be equal in both."""
    counts = {name: str(count) for name, count in (extended or {}).items()}
    requests: dict[str, str] = dict(counts)
    limits: dict[str, str] = dict(counts)
    if wanted is not None and wanted.cpu is not None:
        requests["cpu"] = str(wanted.cpu)
    if wanted is not None and wanted.memory is not None:
        requests["memory"] = limits["memory"] = str(wanted.memory)
    return {"requests": requests, "limits": limits}
