"""The demo's live view: what it says of a status and figures, drawn anew in a terminal and as news elsewhere."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, cast

import pytest

from e2e.monitoring.start import Monitoring
from e2e.steering.live import LiveView, decision_line, figures, screen, tiers
from e2e.steering.timeline import Decision, Journal

STATUS: dict[str, Any] = {
    "mode": "Normal",
    "tiers": [{"name": "small", "serving": 2, "desired": 4}, {"name": "large", "serving": 1, "desired": 1}],
}
RAISED = Decision(112.0, "ScaledUp", "small", "2 to 4 engines", "QueueLong")


class FakeMonitoring:
    """Prometheus with the same figure for every query; the large tier's is NaN."""

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers

    def query(self, _text: str) -> dict[str, float]:
        if not self._answers:
            raise OSError("connection refused")
        return {
            json.dumps({"heterollm_tier": tier}): value for tier, value in (("small", 3.0), ("large", float("nan")))
        }


class FakeJournal:
    """A journal to be set."""

    def __init__(self) -> None:
        self.status = STATUS
        self.decisions: list[Decision] = []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def looking(journal: FakeJournal) -> LiveView:
    return LiveView(cast("Journal", journal), cast("Monitoring", FakeMonitoring()), began=100.0)


def test_what_nobody_knows_is_not_zero() -> None:
    found = figures(cast("Monitoring", FakeMonitoring()))
    assert found["waiting"] == {"small": 3.0}
    assert [view.waiting for view in tiers(STATUS, found)] == [3.0, None]
    assert figures(cast("Monitoring", FakeMonitoring(answers=False))) == {}
    assert screen("Normal", tiers(STATUS, {}), [], 0.0)[2].split()[:5] == ["small", "2/4", "-", "-", "-"]


@pytest.mark.parametrize(
    ("fallback", "shares"),
    [
        (None, [100, 100]),
        ({"state": "Escalated", "percent": 100, "escalations": [{"tier": "small", "percent": 10}]}, [10, 100]),
        ({"state": "PureLarge", "percent": 30}, [30, 100]),
    ],
)
def test_shares_are_those_that_routers_give(fallback: dict[str, Any] | None, shares: list[int]) -> None:
    assert [view.percent for view in tiers({**STATUS, "fallback": fallback}, {})] == shares


def test_a_terminal_is_drawn_anew_and_keeps_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    view = looking(FakeJournal())
    view._show()
    height = terminal.getvalue().count("\n")
    view.say("a spike")
    # As many lines are erased as were drawn.
    assert f"\033[{height}F\033[Ja spike\n" in terminal.getvalue()
    assert terminal.getvalue().endswith(terminal.getvalue()[: terminal.getvalue().index("\033[?7h")] + "\033[?7h\n")


def test_elsewhere_only_news_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    journal = FakeJournal()
    view = looking(journal)
    view._show()
    view._show()
    assert capsys.readouterr().out.count("\n") == 1
    journal.decisions.append(RAISED)
    view._show()
    view._show()
    assert capsys.readouterr().out == decision_line(RAISED, 100.0) + "\n"
    journal.status = {**STATUS, "mode": "Escalated"}
    view._show()
    assert "Escalated" in capsys.readouterr().out
