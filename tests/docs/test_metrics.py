"""Every metric of ours that a page names is made somewhere."""

from __future__ import annotations

import re
from functools import cache

from e2e.monitoring.rules import rule_groups
from tests.docs.repository import ROOT, files, pages

_METRIC = re.compile(r"\b(heterollm_[a-z_]+[a-z])(?![a-z_/.:])")
_RECORDED = re.compile(r"\b(heterollm(?:_[a-z]+)?:[a-z_]+:[a-z0-9_]+)")
_LABELS = {"heterollm_cluster", "heterollm_namespace", "heterollm_tier"}
_PACKAGES = {"heterollm_controllers", "heterollm_operator", "heterollm_cli", "heterollm_agent", "heterollm_router"}
_SUFFIX = re.compile(r"(_total|_bucket|_sum|_count)$")


@cache
def made() -> set[str]:
    """The operator writes its metrics' whole names; the router's are joined from a prefix and words in quotes.

    The module and the agent make some of the router's, and Envoy others, as the policy tells it.
    """
    operator = {f"heterollm_{word}" for word in _quoted("operator", r'"heterollm_([a-z_]+)"')}
    words = _quoted("router-image", r'"([a-z]+_[a-z_]+)"') | _quoted("controllers", r'"([a-z]+_[a-z_]+)"')
    router = {f"heterollm_router_{word}" for word in words}
    return {_SUFFIX.sub("", name) for name in operator | router}


def _quoted(folder: str, pattern: str) -> set[str]:
    sources = [path for path in files() if path.is_relative_to(ROOT / folder) and path.suffix in {".py", ".rs"}]
    return {word for path in sources for word in re.findall(pattern, path.read_text(encoding="utf-8"))}


def test_metrics_named_in_pages_exist() -> None:
    named = {
        (page.name, _SUFFIX.sub("", name))
        for page in pages()
        for name in _METRIC.findall(page.read_text(encoding="utf-8"))
        if name not in _LABELS | _PACKAGES
    }
    assert len(named) > 15
    assert sorted((page, name) for page, name in named if name not in made()) == []


def test_recorded_series_named_in_pages_exist() -> None:
    made = {rule.get("record") for group in rule_groups() for rule in group["rules"]}
    named = {(page.name, name) for page in pages() for name in _RECORDED.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 15
    assert sorted((page, name) for page, name in named if name not in made) == []
