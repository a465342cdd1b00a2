"""The chart is well-formed, has all there is to see, and shows every change of state."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from heterollm_controllers.simulation.chart import Series, drawn, timeline
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.run import Simulation
from tests.simulation.scenes import Still, simulated, spec

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def troubled() -> Simulation:
    fault = Fault(FaultKind.FAIL, 600.0, 120.0, "small", 100.0)
    return simulated(Operator(spec()), rate=15, faults=(fault,), minutes=60)


def test_it_has_a_panel_for_requests_queues_and_engines(troubled: Simulation) -> None:
    root = ElementTree.fromstring(timeline(troubled.moments, troubled.cluster.names, "a <day> & more"))
    words = [text.text for text in root.iter(f"{SVG}text")]
    for word in ("a <day> & more", "requests per second", "requests that wait in engines", "small", "refused (429)"):
        assert word in words
    # Requests: two tiers, refused, failed. Queues: two. Engines: two, and two targets.
    assert len(list(root.iter(f"{SVG}polyline"))) == 4 + 2 + 4


def test_every_point_lies_inside(troubled: Simulation) -> None:
    root = ElementTree.fromstring(timeline(troubled.moments, troubled.cluster.names, "t"))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for line in root.iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_stretches_of_the_fallback_follow_each_other_without_gaps(troubled: Simulation) -> None:
    root = ElementTree.fromstring(timeline(troubled.moments, troubled.cluster.names, "t"))
    bands = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    assert [rect.findtext(f"{SVG}title") for rect in bands] == ["Normal", "Escalated", "Normal"]
    ends = [float(rect.attrib["x"]) + float(rect.attrib["width"]) for rect in bands]
    starts = [float(rect.attrib["x"]) for rect in bands]
    assert ends[:-1] == pytest.approx(starts[1:], abs=0.2)


@pytest.mark.parametrize("minutes", [0.1, 1, 300])
def test_short_and_long_runs_can_be_drawn(minutes: float) -> None:
    simulation = simulated(Still({"small": 2, "large": 1}), rate=0.0, minutes=minutes)
    root = ElementTree.fromstring(timeline(simulation.moments, simulation.cluster.names, "t"))
    most = max(len(line.attrib["points"].split()) for line in root.iter(f"{SVG}polyline"))
    assert 1 <= most <= 480


def test_what_nobody_knows_is_not_drawn() -> None:
    line = Series("a", "#000000", [float("nan"), 1.0, float("nan"), 3.0])
    root = ElementTree.fromstring(drawn("t", "hours", [("panel", [line])], 4, 60.0))
    (shown,) = root.iter(f"{SVG}polyline")
    assert len(shown.attrib["points"].split()) == 2


def test_events_are_lines_at_their_time_with_what_happened() -> None:
    line = Series("a", "#000000", [0.0] * 10)
    root = ElementTree.fromstring(drawn("t", "hours", [("panel", [line])], 10, 60.0, events=[(300.0, "<half>")]))
    (event,) = [one for one in root.iter(f"{SVG}line") if one.find(f"{SVG}title") is not None]
    (axis,) = {
        (float(one.attrib["x1"]), float(one.attrib["x2"]))
        for one in root.iter(f"{SVG}line")
        if one.attrib["y1"] == one.attrib["y2"]
    }
    assert float(event.attrib["x1"]) == pytest.approx(sum(axis) / 2)
    assert event.findtext(f"{SVG}title") == "<half>"


def test_without_states_there_is_no_band() -> None:
    root = ElementTree.fromstring(drawn("t", "hours", [("panel", [Series("a", "#000000", [1.0])])], 1, 60.0))
    assert "fallback" not in [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(("highest", "ticks"), [(0.4, ["0", "0.1", "0.2", "0.3", "0.4"]), (3.0, ["0", "1", "2", "3"])])
def test_small_figures_have_ticks_of_their_own(highest: float, ticks: list[str]) -> None:
    line = Series("a", "#000000", [0.0, highest])
    root = ElementTree.fromstring(drawn("t", "hours", [("panel", [line])], 2, 60.0))
    assert [text.text for text in root.iter(f"{SVG}text") if text.attrib.get("text-anchor") == "end"] == ticks
