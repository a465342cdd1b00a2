"""What the core makes of Kubernetes: manifests, deletions, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Delete", "Event", "Manifest"]

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Delete:
    """One object to delete. The uid is a precondition: an object made anew under the same name is never hit."""

    api_version: str
    kind: str
    name: str
    uid: str
    grace_seconds: int | None = None
    foreground: bool = False


@dataclass(frozen=True)
class Event:
    """A transition to report on the cluster; `kind` is Normal or Warning."""

    kind: str
    reason: str
    message: str
