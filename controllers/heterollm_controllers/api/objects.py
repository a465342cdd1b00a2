"""What the core makes of Kubernetes: manifests, deletions, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Delete", "Event", "Failure", "Manifest"]

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


@dataclass(frozen=True)
class Failure:
    """Why an object is not as wanted; the message follows its name.

    Attributes:
        conflict: whether the name is taken by an object of somebody else, which is never taken over.
    """

    kind: str
    name: str
    message: str
    conflict: bool = False

    @classmethod
    def not_ours(cls, kind: str, name: str) -> Failure:
        """The name is taken."""
        return cls(kind, name, "exists and is not ours", conflict=True)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.message}"
