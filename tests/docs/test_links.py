"""Links between pages lead somewhere, and every page of the site can be found."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.docs.repository import ROOT, anchors, files, links, pages, prose

_DOCS = ROOT / "docs"


def test_links_lead_somewhere() -> None:
    found = [(page, path, anchor) for page in pages() for path, anchor in links(page)]
    assert len(found) > 100
    broken = [f"{page.name}: {path}#{anchor}" for page, path, anchor in found if not _is_there(path, anchor)]
    assert broken == []


def _is_there(path: Path, anchor: str) -> bool:
    return path.exists() and (not anchor or anchor in anchors(path))


def test_links_of_the_site_stay_in_it() -> None:
    # What is not a page of the site is named by its path: a link to it would be broken there.
    leave = [(page.name, path) for page in _DOCS.glob("*.md") for path, _ in links(page) if path.parent != _DOCS]
    assert leave == []


def test_every_page_is_in_the_navigation() -> None:
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    named = sorted(_named(site["project"]["nav"]))
    assert named == sorted(path.name for path in _DOCS.glob("*.md"))


def _named(items: list[dict[str, object]]) -> Iterator[str]:
    for item in items:
        for value in item.values():
            if isinstance(value, list):
                yield from _named(value)
            else:
                yield str(value)


def test_every_picture_is_shown() -> None:
    shown = {path for page in pages() for path, _ in links(page) if path.suffix == ".svg"}
    assert shown == {path for path in files() if path.suffix == ".svg" and path.parent == _DOCS}


def test_the_least_kubernetes_is_the_charts() -> None:
    chart = (ROOT / "helm" / "heterollm" / "Chart.yaml").read_text(encoding="utf-8")
    (least,) = re.findall(r'^kubeVersion: ">=(\d+\.\d+)\.', chart, re.MULTILINE)
    said = re.findall(r"Kubernetes (\d+\.\d+) or newer", "\n".join(map(prose, pages())))
    assert said
    assert set(said) == {least}
