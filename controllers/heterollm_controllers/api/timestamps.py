"""Times as Kubernetes writes them (RFC 3339, UTC, whole seconds). The current time is always a parameter."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["parse", "stamp"]

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def stamp(time: datetime) -> str:
    """The time as text, rounded down to the second."""
    return time.astimezone(UTC).strftime(_FORMAT)


def parse(text: str) -> datetime:
    """The time of a text that `stamp` wrote."""
    return datetime.fromisoformat(text)
