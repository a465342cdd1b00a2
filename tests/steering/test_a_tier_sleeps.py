"""A tier of `min: 0` has no engines while nobody asks for it: metrics of the past wake nothing, a request does."""

from __future__ import annotations

import pytest

from heterollm_controllers.api.signals import ClusterSignal
from heterollm_controllers.metrics.readings import History
from tests.steering.world import World

MINUTES = 60
NOBODY = History((0.0,) * MINUTES, (0.0,) * MINUTES, (0.0,) * MINUTES)


def asleep() -> World:
    """The large tier may have no engines, and has none, and nobody asks for it."""
    world = World({"large": {"replicas": {"min": 0, "max": 3}}})
    world.large.serving, world.large.offered, world.large.tried, world.large.history = 0, 0.0, 0.0, NOBODY
    return world


def rates(*metrics: float) -> History:
    """Requests per second of the last minutes, before them none."""
    return History((0.0,) * (MINUTES - len(metrics)) + metrics, (), ())


def at_once(*metrics: float) -> History:
    """Requests at once, in the same way; the rate says nothing."""
    return History((), (0.0,) * (MINUTES - len(metrics)) + metrics, ())


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(rates(*[0.02] * 60), id="a request now and then"),
        pytest.param(rates(*[1e-9] * 60), id="noise"),
        pytest.param(rates(*[40.0] * 43, *[0.0] * 17), id="traffic that ended: the trend comes back from below zero"),
        pytest.param(rates(*[1.0, 4.0, 9.0, 16.0, 25.0], *[0.0] * 6), id="growing traffic that has ended"),
        pytest.param(rates(*[0.0, 1 / 60, 0.0, 0.0, 0.0]), id="a single request"),
        pytest.param(at_once(*[3.0] * 60), id="few requests at once"),
        pytest.param(at_once(*[600.0] * 40, *[0.0] * 8), id="many requests at once that have ended"),
    ],
)
def test_figures_of_the_past_start_nothing(history: History) -> None:
    world = asleep()
    world.large.history = history
    world.seconds(600)
    assert world.target("large") == 0
    assert world.said == []


@pytest.mark.parametrize(("rate", "target"), [(0.9, 0), (1.0, 1), (9.0, 1), (10.0, 2)])
def test_a_forecast_starts_the_first_engine_for_a_tenth_of_it_and_more(rate: float, target: int) -> None:
    """Engines do 10/s, and the last tier's forecast is multiplied by 1.05."""
    world = asleep()
    world.large.history = rates(*[rate] * MINUTES)
    world.tick()
    assert world.target("large") == target


@pytest.mark.parametrize("rate", [1e-9, 1e-4, 1 / 3600])
def test_a_residue_of_a_rate_is_no_request(rate: float) -> None:
    world = asleep()
    world.large.offered = rate
    world.seconds(600)
    assert (world.target("large"), world.said) == (0, [])


@pytest.mark.parametrize("window", [30, 60, 300])
def test_a_single_request_wakes_it_at_once(window: int) -> None:
    world = asleep()
    world.large.offered = 1 / window
    world.tick()
    assert (world.target("large"), world.scaling("large").reason) == (1, "WakesUp")


def awake() -> World:
    """The large tier was woken long ago, and serves."""
    world = asleep()
    world.large.offered = 0.5
    world.tick()
    world.large.serving = 1
    world.seconds(1900)
    assert world.target("large") == 1
    return world


def test_it_sleeps_when_nobody_asks_any_more_and_stays_asleep() -> None:
    world = awake()
    world.large.offered = 0.0
    world.seconds(10)
    assert world.target("large") == 0
    world.large.serving = 0
    world.seconds(3600)
    assert world.target("large") == 0
    assert [word for word in world.said if "large" in word] == ["ScaledUp large", "ScaledDown large"]
    assert world.state == "Normal"


def test_it_stays_awake_while_it_is_asked_for_though_others_answer() -> None:
    """It would be woken up again at once: those whom another tier answers do not show in its history."""
    world = awake()
    world.large.offered = 0.2
    world.seconds(3600)
    assert world.target("large") == 1


def test_it_stays_awake_while_nobody_knows_whether_it_is_asked_for() -> None:
    """Without metrics of the routers nothing could wake it up."""
    world = awake()
    world.cluster = {ClusterSignal.ROUTERS: 0.0}
    world.seconds(3600)
    assert world.target("large") == 1


def test_what_requests_met_while_it_slept_is_no_failure_of_its_engines() -> None:
    world = World({"small": {"replicas": {"min": 0, "max": 6}}})
    world.small.serving = 0
    world.small.failed = world.small.tried = 50.0
    world.tick()
    world.small.serving, world.small.serving_since = 1, world.now
    world.seconds(30)
    assert world.state == "Normal"
    world.seconds(10)
    assert world.state == "Escalated", "they still fail, and that is its own"
