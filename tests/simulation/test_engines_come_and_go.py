"""Engines start, wait on standby, serve, drain and leave, as the operator would have them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heterollm_controllers.simulation.fleet import Fleet
from heterollm_controllers.simulation.run import START
from tests.simulation.scenes import SMALL


def fleet(engines: int = 2, standby: int = 0, node_seconds: float = 0.0) -> Fleet:
    return Fleet(
        "small",
        SMALL,
        start=START,
        drain_seconds=30.0,
        node_seconds=node_seconds,
        engines=engines,
        standby=standby,
    )


def run(of: Fleet, start: int, seconds: int, arrivals: float = 0.0) -> None:
    for second in range(start, start + seconds):
        of.step(arrivals, 1.0, float(second))


def test_a_new_engine_serves_after_its_cold_start_and_not_before() -> None:
    of = fleet()
    of.want(3, 0.0)
    run(of, 1, 59)
    assert (of.serving, of.present, of.tier_state().start_seconds) == (2, 3, None)
    run(of, 60, 1)
    assert (of.serving, of.tier_state().start_seconds) == (3, 60.0)
    assert of.tier_state().engines[-1].serving_since == START + timedelta(seconds=60)


def test_a_node_that_has_to_come_costs_time_and_no_money() -> None:
    of = fleet(node_seconds=120.0)
    of.want(3, 0.0)
    run(of, 1, 119)
    assert of.present == 2
    (waiting,) = (engine for engine in of.tier_state().engines if not engine.serving)
    assert waiting.unschedulable_since == START
    run(of, 120, 1)
    assert of.present == 3
    assert all(engine.unschedulable_since is None for engine in of.tier_state().engines)
    run(of, 121, 59)
    assert of.serving == 2
    run(of, 180, 1)
    assert of.serving == 3


def test_without_nodes_an_engine_waits_until_there_are_some() -> None:
    of = fleet()
    of.nodes_free = False
    of.want(3, 0.0)
    run(of, 1, 500)
    assert of.serving == 2
    of.nodes_free = True
    run(of, 501, 61)
    assert of.serving == 3


def test_a_standby_engine_joins_at_once_and_is_replaced() -> None:
    of = fleet(standby=1)
    assert (of.serving, of.present) == (2, 3)
    assert [engine.standby for engine in of.tier_state().engines] == [False, False, True]
    of.want(3, 10.0)
    assert (of.serving, of.present) == (3, 4)
    run(of, 11, 60)
    assert (of.serving, len(of.idle)) == (3, 1)


def test_the_least_loaded_engine_drains_and_then_leaves() -> None:
    of = fleet()
    run(of, 0, 60, arrivals=20.0)
    held = of.in_flight
    of.want(1, 60.0)
    assert (of.serving, of.tier_state().leaving, of.present) == (1, 1, 2)
    run(of, 61, 1)
    assert of.in_flight < held
    run(of, 62, 20)
    assert (of.tier_state().leaving, of.present) == (0, 1)
    assert of.take_lost() < 0.1


def test_what_has_not_ended_when_draining_is_over_is_sent_again() -> None:
    of = fleet(1)
    for second in range(100):
        of.step(40.0, 1.0, float(second))
    of.want(0, 100.0)
    run(of, 101, 31)
    assert of.take_lost() > 1000
    assert of.take_lost() == 0.0


def test_an_engine_that_does_not_serve_yet_is_the_first_to_be_given_up() -> None:
    of = fleet()
    of.want(4, 0.0)
    of.want(3, 5.0)
    assert (of.serving, len(of.coming)) == (2, 1)


def test_killed_engines_come_back_and_their_requests_are_sent_again() -> None:
    of = fleet()
    run(of, 0, 60, arrivals=20.0)
    held = of.in_flight
    of.kill(5, 60.0)
    assert (of.serving, of.tier_state().lost) == (0, True)
    assert of.take_lost() == pytest.approx(held)
    run(of, 61, 60)
    assert (of.serving, of.tier_state().lost) == (2, False)


def test_a_tier_that_is_to_have_no_engines_has_lost_none() -> None:
    of = fleet(1)
    of.want(0, 0.0)
    run(of, 1, 5)
    assert (of.serving, of.tier_state().lost) == (0, False)
    of.want(1, 10.0)
    assert of.tier_state().lost is False, "it has not served yet"
    run(of, 11, 60)
    of.kill(1, 80.0)
    assert of.tier_state().lost is True


def test_the_last_requests_end() -> None:
    of = fleet(1)
    run(of, 0, 60, arrivals=20.0)
    run(of, 60, 30)
    assert of.in_flight == 0.0


def test_an_engine_without_a_node_is_given_up_before_one_that_starts() -> None:
    of = fleet()
    of.nodes_free = False
    of.want(3, 0.0)
    of.nodes_free = True
    of.want(4, 1.0)
    of.nodes_free = False
    of.want(3, 2.0)
    run(of, 3, 60)
    assert of.serving == 3


def test_facts_stay_the_same_object_while_nothing_changes() -> None:
    of = fleet()
    before = of.tier_state()
    run(of, 0, 10, arrivals=5.0)
    assert of.tier_state() is before
    of.want(3, 10.0)
    assert of.tier_state() is not before
