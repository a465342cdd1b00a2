"""Times as Kubernetes writes them (RFC 3339, UTC, whole seconds). The current time is always a parameter."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["parse", "stamp", "whole_second"]

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def whole_second(time: datetime) -> datetime:
    """The time as a status can record it: in UTC, rounded down to the second."""
    return time.astimezone(UTC).replace(microsecond=0)


def stamp(time: datetime) -> str:
    """The time as text, rounded down to the second."""
    return time.astimezone(UTC).strftime(_FORMAT)


def parse(text: str) -> datetime:
    """The time of a text that `stamp` wrote."""
    return datetime.fromisoformat(text)
