"""The view as web pages: self-contained HTML. Everything that clusters say is text, whatever is in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from heterollm_controllers.view.chart_drawing import HEIGHT, WIDTH, draw
from heterollm_controllers.view.cluster_view import ClusterView, urgent_first
from heterollm_controllers.view.wording import ago, decimal, dollars, percent, rate

__all__ = ["REFRESH_SECONDS", "cluster_page", "content_security_policy", "fleet_page"]

REFRESH_SECONDS = 15
_MOST_CLUSTERS = 200
"""Of a fleet: a page of more is none that anybody reads."""
_FOLDER = Path(__file__).parent
_GOOD = {"Ready", "Normal", "Passed", "Complete", "Serving", "Advancing"}
_BAD = {"Stalled", "NotReady", "Unreadable", "PureLarge", "Failed", "BothFail", "RolledBack", "RollingBack"}
_PLAIN = {"Standby", "Deleting", "Observing"}


def fleet_page(views: Sequence[ClusterView], note: str, now: datetime) -> str:
    """All clusters, those first that somebody should look at; `note` says what is missing, and why."""
    shown = sorted(views, key=urgent_first)[:_MOST_CLUSTERS]
    return _render("fleet.html.j2", now, note=note, views=shown, total=len(views))


def cluster_page(view: ClusterView, note: str, now: datetime) -> str:
    """One cluster; `note` says what is missing, and why."""
    tiers = [tier.name for tier in view.tiers]
    drawings = [draw(chart, tiers) for chart in view.charts]
    return _render("cluster.html.j2", now, note=note, view=view, drawings=drawings, width=WIDTH, height=HEIGHT)


@cache
def content_security_policy() -> str:
    """The header that lets a browser take the page's own style and nothing else: no script, no address."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )


def _render(template: str, now: datetime, **values: Any) -> str:
    return _environment().get_template(template).render(now=now, ago=partial(ago, now=now), **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "decimal": decimal,
        "dollars": dollars,
        "percent": percent,
        "rate": rate,
        "refresh": REFRESH_SECONDS,
        "style": Markup(_style()),
        "tone": _tone,
    }
    return environment


@cache
def _style() -> str:
    return (_FOLDER / "page.css").read_text(encoding="utf-8").strip()


def _tone(word: str) -> str:
    """The class of a word in a badge. The word itself says it, too: colour alone tells nobody."""
    return "good" if word in _GOOD else "bad" if word in _BAD else "" if word in _PLAIN else "warn"
