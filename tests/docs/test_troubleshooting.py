"""Whatever the product may report as a problem has a line in docs/troubleshooting.md."""

from __future__ import annotations

import json
import re

from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.routing.envoy.errors import error_mappers
from tests.docs.repository import ROOT

_PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
_FILTERS = ROOT / "router-image" / "module" / "src"

_NO_PROBLEM = {
    # Conditions as they should be.
    Reason.VALID,
    Reason.APPLIED,
    Reason.SERVING,
    Reason.SETTLED,
    Reason.UP_TO_DATE,
    Reason.SAME_FAMILY,
    Reason.COMPLETE,
    Reason.NO_PROBLEM,
    # Decisions on engines that follow from a change of the spec.
    Reason.NEW_REVISION,
    Reason.ENGINE_ADDED,
    Reason.ENGINE_DRAINED,
    Reason.ENGINE_RETRIED,
    Reason.TIER_REMOVED,
    # Scaling that works, and the rules behind it.
    Reason.SCALED_UP,
    Reason.SCALED_DOWN,
    Reason.SCALING_FREE,
    Reason.QUEUE_LONG,
    Reason.QUEUE_PER_ENGINE_LONG,
    Reason.FIRST_TOKEN_SLOW,
    Reason.KV_CACHE_FULL,
    Reason.FORECAST_HIGHER,
    Reason.TAKES_OVER,
    Reason.WAKES_UP,
    Reason.FEWER_SUFFICE,
    Reason.FIXED_BY_HAND,
    Reason.BOUNDS_CHANGED,
    # The way back from a fallback.
    Reason.TIER_PROBED,
    Reason.TIER_RETURNS,
    Reason.TIER_RECOVERED,
    Reason.PURE_LARGE_CLOSES,
    Reason.FALLBACK_NORMAL,
    Reason.ALL_WELL,
}


def _said(word: str) -> bool:
    return f"`{word}`" in _PAGE or f": {word}`" in _PAGE


def test_every_reason_that_is_a_problem_has_a_line() -> None:
    assert [reason.value for reason in Reason if reason not in _NO_PROBLEM and not _said(reason.value)] == []


def test_every_error_of_the_router_has_a_line() -> None:
    mapped = set(re.findall(r'"code": "([a-z_]+)"', json.dumps(error_mappers())))
    written = {code for path in _FILTERS.rglob("*.rs") for code in _codes(path.read_text(encoding="utf-8"))}
    # What the search must find, lest it pass by finding nothing.
    assert {"no_engine", "overloaded"} <= mapped
    assert {"invalid_json", "engines_lost", "engine_failed"} <= written
    assert sorted(code for code in mapped | written if not _said(code)) == []


def _codes(source: str) -> list[str]:
    """Error codes that the module writes down: of refusals, of attempts that end a request, of broken streams."""
    forms = (r'code: "([a-z_]+)"', r'set_dynamic_metadata\("error", b"([a-z_]+)"', r'\\"code\\":\\"([a-z_]+)')
    return [code for form in forms for code in re.findall(form, source)]
