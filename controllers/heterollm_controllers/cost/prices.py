"""From GPUs, prices and time to dollars. A price that nobody knows is None, and so is what it would be part of."""

from __future__ import annotations

__all__ = ["dollars", "dollars_per_1000", "engine_dollars_per_hour"]

_HOUR = 3600
"""Seconds."""


def dollars(seconds: float, dollars_per_hour: float | None) -> float | None:
    """What so many seconds come to at this price."""
    return None if dollars_per_hour is None else seconds / _HOUR * dollars_per_hour


def engine_dollars_per_hour(gpus: int, dollars_per_gpu_hour: float | None) -> float | None:
    """The price of an engine, in dollars per hour."""
    return None if dollars_per_gpu_hour is None else gpus * dollars_per_gpu_hour


def dollars_per_1000(dollars_per_hour: float | None, requests_per_second: float) -> float | None:
    """Dollars per 1,000 requests (R22): dollars per hour / (requests per second x 3.6). None without requests."""
    if dollars_per_hour is None or requests_per_second <= 0:
        return None
    return dollars_per_hour / (requests_per_second * _HOUR / 1000)
