"""A simulated day takes less than ten seconds of one core."""

from __future__ import annotations

import time

from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.traffic import Load, Wave
from tests.simulation.scenes import simulated, spec

_SHARE = 10
"""Of a day that is simulated here."""
_SLACK = 3.0
"""Processor time of a core that others share, as a multiple of that of one's own."""


def test_a_day_takes_less_than_ten_seconds() -> None:
    wanted = spec(small=(2, 12))
    began = time.process_time()
    simulated(Operator(wanted), of=wanted, traffic=Wave(Load(80, 0.1), period=8640), minutes=1440 / _SHARE)
    assert time.process_time() - began < 10 / _SHARE * _SLACK
