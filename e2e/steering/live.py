"""What a cluster does while it steers itself, once a second: drawn anew in a terminal, lines of news elsewhere."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.monitoring.start import Monitoring
from e2e.steering.background import Background
from e2e.steering.timeline import Decision, Journal

__all__ = ["LiveView", "TierView", "decision_line", "figures", "screen", "tiers"]

_LOOK_SECONDS = 1.0
_PLAIN_SECONDS = 5.0
_SHOWN_DECISIONS = 4
_BAR = 30
_OF_CHAT = '{heterollm_cluster="chat", heterollm_tier!=""}'
_FIRST_TOKEN = "sum by (heterollm_tier) (rate(sglang:time_to_first_token_seconds_PART" + _OF_CHAT + "[5s]))"
_QUERIES = {
    "waiting": f"sum by (heterollm_tier) (sglang:num_queue_reqs{_OF_CHAT})",
    "first_token_ms": f"1000 * {_FIRST_TOKEN.replace('PART', 'sum')} / {_FIRST_TOKEN.replace('PART', 'count')}",
    "answered": f"sum by (heterollm_tier) (rate(heterollm_router_requests_total{_OF_CHAT}[5s]))",
}

Figures = Mapping[str, Mapping[str, float]]
"""By what they are of (see the queries) and tier; a tier without a figure is absent."""


@dataclass(frozen=True)
class TierView:
    """What is shown of a tier; None: nobody knows.

    Attributes
    ----------
    waiting
        Requests that wait in its engines.
    first_token_ms
        Milliseconds to the first token, on average over 5 s.
    answered
        Requests per second that it answered in the last 5 s, whosoever they were.
    percent
        Share of the requests meant for it that the routers give it.
    """

    name: str
    serving: int
    desired: int
    waiting: float | None
    first_token_ms: float | None
    answered: float | None
    percent: int


def figures(monitoring: Monitoring) -> Figures:
    """What Prometheus knows now; nothing while it does not answer."""
    try:
        return {name: _by_tier(monitoring.query(query)) for name, query in _QUERIES.items()}
    except OSError:
        return {}


def _by_tier(rows: Mapping[str, float]) -> dict[str, float]:
    return {json.loads(labels)["heterollm_tier"]: value for labels, value in rows.items() if value == value}


def tiers(status: Mapping[str, Any], known: Figures) -> list[TierView]:
    """The tiers of a status, with their figures."""
    fallback = status.get("fallback") or {}
    shares = {item["tier"]: item["percent"] for item in fallback.get("escalations") or []}
    found = status.get("tiers") or []
    if fallback.get("state") == "PureLarge":
        shares = {tier["name"]: fallback["percent"] for tier in found[:-1]}
    # A service outside is not among the tiers; where there is one, it is the last.
    last = found[-1]["name"] if found and not status.get("externalTiers") else ""
    migration = (status.get("migration") or {}).get("percent", 100)

    def of(name: str, tier: str) -> float | None:
        return known.get(name, {}).get(tier)

    return [
        TierView(
            name=tier["name"],
            serving=tier["serving"],
            desired=tier["desired"],
            waiting=of("waiting", tier["name"]),
            first_token_ms=of("first_token_ms", tier["name"]),
            answered=of("answered", tier["name"]),
            percent=min(shares.get(tier["name"], 100), 100 if tier["name"] == last else migration),
        )
        for tier in found
    ]


def screen(mode: str, views: Sequence[TierView], decisions: Sequence[Decision], began: float) -> list[str]:
    """The lines of a whole view; `began` is second 0, in seconds since 1970."""
    whole = sum(view.answered or 0.0 for view in views)
    lines = [f"  chat: fallback {mode}, SIMULATED engines, by Prometheus and status", f"  {_HEAD}"]
    for view in views:
        share = (view.answered or 0.0) / whole if whole else 0.0
        bar = ("#" * round(share * _BAR)).ljust(_BAR)
        lines.append(
            f"  {view.name:6} {f'{view.serving}/{view.desired}':>7} {_number(view.waiting):>8}"
            f" {_number(view.first_token_ms):>8} {_number(view.answered):>9} {view.percent:>11} %  [{bar}] {share:4.0%}"
        )
    last = [decision_line(item, began) for item in decisions[-_SHOWN_DECISIONS:]]
    return [*lines, *(last or ["  nothing decided yet"])]


_HEAD = "tier   engines  waiting  TTFT ms answers/s gets of its own  share of answers"


def decision_line(item: Decision, began: float) -> str:
    """One decision: when, what, of which tier, from which figures."""
    return f"  {item.time - began:4.0f} s  {item.action} {item.subject}: {item.message}"


def _plain(mode: str, views: Sequence[TierView]) -> str:
    parts = [
        f"{view.name} {view.serving}/{view.desired} engines, {_number(view.waiting)} wait, TTFT"
        f" {_number(view.first_token_ms)} ms, {_number(view.answered)} answers/s, gets {view.percent} %"
        for view in views
    ]
    return "; ".join([mode, *parts])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


class LiveView(Background):
    """Shows a cluster as long as its block runs. Whatever else is to be said meanwhile goes through `say`."""

    def __init__(self, journal: Journal, monitoring: Monitoring, began: float) -> None:
        super().__init__()
        self._journal, self._monitoring, self._began = journal, monitoring, began
        self._redraws = sys.stdout.isatty()
        self._lock = threading.Lock()
        self._drawn: list[str] = []
        self._told = 0
        self._shape: object = None
        self._line_at = 0.0

    def say(self, text: str) -> None:
        """A line that stays, above the view."""
        with self._lock:
            self._erase()
            print(text)
            self._draw(self._drawn)

    def run(self) -> None:
        """Look and show, once a second."""
        while not self.ended.wait(_LOOK_SECONDS):
            self._show()
        self._show()

    def _show(self) -> None:
        status = self._journal.status
        mode, decisions = status.get("mode", "Normal"), list(self._journal.decisions)
        views = tiers(status, figures(self._monitoring))
        with self._lock:
            if self._redraws:
                self._erase()
                self._draw(screen(mode, views, decisions, self._began))
            else:
                self._tell(mode, views, decisions)

    def _tell(self, mode: str, views: Sequence[TierView], decisions: Sequence[Decision]) -> None:
        """What is new: decisions, other engines or shares; the figures now and then."""
        for item in decisions[self._told :]:
            print(decision_line(item, self._began))
        self._told = len(decisions)
        shape = (mode, [(view.serving, view.desired, view.percent) for view in views])
        if shape != self._shape or time.time() - self._line_at >= _PLAIN_SECONDS:
            self._shape, self._line_at = shape, time.time()
            print(f"  {time.time() - self._began:4.0f} s  {_plain(mode, views)}", flush=True)

    def _draw(self, lines: list[str]) -> None:
        # Lines longer than the terminal would break, and the next erasing miss some: the terminal cuts them.
        self._drawn = lines
        if self._redraws and lines:
            print("\033[?7l" + "\n".join(lines) + "\033[?7h", flush=True)

    def _erase(self) -> None:
        if self._redraws and self._drawn:
            print(f"\033[{len(self._drawn)}F\033[J", end="")
