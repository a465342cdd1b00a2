"""Figures and times as people read them. What nobody knows is a dash."""

from __future__ import annotations

from datetime import datetime

__all__ = ["UNKNOWN", "ago", "decimal", "dollars", "percent", "rate", "span"]

UNKNOWN = "-"


def decimal(value: float | None, digits: int = 1) -> str:
    """A number, with so many digits after the point unless it is whole or large."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.{digits}f}"


def rate(value: float | None) -> str:
    """Something per second; what is slow keeps two digits that count."""
    return decimal(value, 2 if value is not None and value < 1 else 1)


def dollars(value: float | None) -> str:
    """An amount; what is less than a dollar keeps three digits that count."""
    if value is None:
        return UNKNOWN
    if 0 < value < 0.995:
        return f"${value:.3g}" if value >= 0.0001 else f"${value:.1e}"
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}"


def percent(share: float | None) -> str:
    """A share of 1 in per cent."""
    if share is None:
        return UNKNOWN
    value = 100 * share
    return f"{value:.2g} %" if 0 < abs(value) < 1 else f"{value:.0f} %"


def span(seconds: float) -> str:
    """A length of time in its largest unit, as kubectl writes ages."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole >= 2 * size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def ago(time: datetime, now: datetime) -> str:
    """How long something has been so, or how long it will be until then."""
    seconds = (now - time).total_seconds()
    return span(seconds) if seconds >= 0 else f"in {span(-seconds)}"
