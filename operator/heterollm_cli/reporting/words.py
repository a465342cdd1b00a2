"""Figures as text for people."""

from __future__ import annotations

__all__ = ["ABSENT", "UNKNOWN", "count", "dollars", "milliseconds", "per_cent"]

ABSENT, UNKNOWN = "-", "unknown"


def count(value: float) -> str:
    """A whole number."""
    return f"{value:,.0f}"


def per_cent(part: float, whole: float) -> str:
    """A share, with two significant figures where it is small."""
    if whole <= 0:
        return ABSENT
    share = 100 * part / whole
    return f"{share:.1f} %" if share >= 1 or share == 0 else f"{share:.2g} %"


def milliseconds(value: float | None) -> str:
    """A time."""
    return ABSENT if value is None else f"{value:,.0f}"


def dollars(value: float | None) -> str:
    """An amount; small ones with two significant figures."""
    if value is None:
        return UNKNOWN
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.2g}"
