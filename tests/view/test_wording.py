"""Figures and times as people read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from heterollm_controllers.view.wording import ago, decimal, dollars, percent, rate
from tests.view.clusters import NOW


@pytest.mark.parametrize(
    ("how", "value", "text"),
    [
        (decimal, 3.0, "3"),
        (decimal, 3.14, "3.1"),
        (decimal, 12345.6, "12,346"),
        (rate, 0.254, "0.25"),
        (rate, 0.0, "0"),
        (rate, 12.34, "12.3"),
        (dollars, 0.00086, "$0.00086"),
        (dollars, 0.0000123, "$1.2e-05"),
        (dollars, 0.0, "$0.00"),
        (dollars, 3.7, "$3.70"),
        (dollars, 131.7, "$132"),
        (dollars, 12345.0, "$12,345"),
        (percent, 0.664, "66 %"),
        (percent, -0.25, "-25 %"),
        (percent, 0.0004, "0.04 %"),
        (percent, 0.0, "0 %"),
        (decimal, None, "-"),
        (rate, None, "-"),
        (dollars, None, "-"),
        (percent, None, "-"),
    ],
)
def test_figures(how: Callable[[float | None], str], value: float | None, text: str) -> None:
    assert how(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d"), (-300, "in 5m")],
)
def test_times(seconds: int, text: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text
