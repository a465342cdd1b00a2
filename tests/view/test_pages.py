"""The pages: text stays text, links lead somewhere, and a browser is allowed nothing but the style."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from heterollm_controllers.view.chart_drawing import HEIGHT, WIDTH, draw
from heterollm_controllers.view.cluster_view import cluster_view
from heterollm_controllers.view.page import cluster_page, content_security_policy, fleet_page
from tests.view.clusters import NOW, RECORDED, chart, cluster, figures

EVIL = "\"><script>a(1)</script><img src=x onerror=b>'{{7*7}}&lt;"
"""No longer than a word of a status may be."""
VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """What a browser would make of it: elements with their attributes, and the text of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def with_text(body: Any, text: str) -> Any:
    """The same with that text in every place that holds free text."""
    if isinstance(body, dict):
        free = {"message", "reason", "subject", "action", "url", "limited"}
        return {key: text if key in free else with_text(value, text) for key, value in body.items()}
    return [with_text(item, text) for item in body] if isinstance(body, list) else body


@pytest.mark.parametrize("recorded", RECORDED)
def test_every_recorded_cluster_has_a_whole_page(recorded: str) -> None:
    hour = chart(small=range(60), large=[None] * 60)
    page = Page(cluster_page(cluster_view(cluster(recorded), figures(), [hour]), "", NOW))
    assert page.open == []
    assert len(page.of("h1")) == 1
    assert all(header["scope"] in ("col", "row") for header in page.of("th"))
    assert all(image["role"] == "img" and image["aria-label"] for image in page.of("svg"))
    assert not page.of("script")


def test_what_clusters_say_is_text() -> None:
    body = with_text(cluster("migration-rolled-back", EVIL, EVIL), EVIL)
    body["spec"]["tiers"][0]["name"] = body["status"]["tiers"][0]["name"] = EVIL
    view = cluster_view(body, figures(), [chart(**{EVIL: range(60)})])
    assert view.state != "Unreadable"
    for html in (cluster_page(view, EVIL, NOW), fleet_page([view], EVIL, NOW)):
        page = Page(html)
        assert page.open == []
        assert {tag for tag, _ in page.elements} <= {
            *("html", "head", "meta", "title", "link", "style", "body", "header", "main", "section", "footer"),
            *("h1", "h2", "p", "a", "b", "span", "time", "br", "ol", "li", "dl", "div", "dt", "dd", "progress"),
            *("table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "svg", "line", "text", "polyline"),
        }
        names = {name for _, attributes in page.elements for name in attributes}
        assert not {name for name in names if name.startswith("on") or name in ("src", "style")}
        assert EVIL in "".join(page.texts)
        assert all(not (link["href"] or "").lower().startswith("javascript") for link in page.of("a"))


def test_links_are_relative_and_quoted() -> None:
    page = Page(fleet_page([cluster_view(cluster("serving", "a?b#c", "te/am"))], "", NOW))
    assert [link["href"] for link in page.of("a")] == ["clusters/te/am/a%3Fb%23c"]
    page = Page(cluster_page(cluster_view(cluster("serving")), "", NOW))
    assert [link["href"] for link in page.of("a")] == ["../../"], "also behind a proxy's prefix"


def test_only_the_own_style_is_allowed() -> None:
    html = fleet_page([], "", NOW)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.split(maxsplit=1) for part in content_security_policy().split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert "script-src" not in policy
    assert not re.findall(r"(?:https?:)?//", html), "nothing from elsewhere"


def test_the_fleet_says_what_is_not_shown() -> None:
    views = [cluster_view(cluster("serving", f"c{number}")) for number in range(205)]
    views.append(cluster_view(cluster("refused-template", "zz-last")))
    page = Page(fleet_page(views, "", NOW))
    assert len(page.of("a")) == 200
    assert "206 clusters; the 200 that most need somebody are shown" in page.text
    assert page.of("a")[0]["href"] == "clusters/team/zz-last"
    assert "No HeteroLLMClusters." in Page(fleet_page([], "", NOW)).text


def test_figures_decisions_and_gates_are_there() -> None:
    text = Page(cluster_page(cluster_view(cluster("migration-rolled-back"), figures()), "a note", NOW)).text
    for part in (
        "a note",
        "Saving, last hour 66 %",
        "against 3 engine(s) of the last tier that answer everything: $384 per hour",
        "Errors Failed 0.00338 - - 12 of 600 failed, the limit is 0.1 %",
        "MigrationRollsBack cluster 57m ago",
    ):
        assert part in text
    unknown = Page(cluster_page(cluster_view(cluster("serving")), "", NOW)).text
    assert "Requests/s -" in unknown
    assert "The saving is against" not in unknown


def test_a_drawing_keeps_gaps_and_stays_inside() -> None:
    drawing = draw(chart(small=[0.0, 3.0, None, 7.5, 12.0] + [None] * 54 + [1.0], large=[None] * 60))
    small, large = drawing.lines
    assert [stretch.count(",") for stretch in small.stretches] == [2, 2, 2], "a single minute is a dot"
    assert (small.last, large.last, large.stretches) == ("1/s", "-", ())
    places = [tuple(map(float, point.split(","))) for part in small.stretches for point in part.split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert places[0][1] == drawing.bottom, "zero is at the bottom"
    assert [label for _, label in drawing.ticks] == ["0", "5", "10", "15"]
    assert [label for _, label, _ in drawing.times] == ["12:01", "12:30", "13:00"]
    assert drawing.summary == "Answers in the last hour; now: small 1/s; large -; highest: 12/s"


def test_a_tier_has_the_same_colour_in_all_charts() -> None:
    tiers = ["small", "large"]
    both, one = draw(chart(large=[1.0], small=[2.0]), tiers), draw(chart(large=[3.0]), tiers)
    assert [(line.label, line.number) for line in both.lines] == [("small", 0), ("large", 1)]
    assert [(line.label, line.number) for line in one.lines] == [("large", 1)]
    quantiles = draw(chart(p50=[1.0], p99=[2.0]), tiers)
    assert [(line.label, line.number) for line in quantiles.lines] == [("p50", 0), ("p99", 1)]


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.4, 1e15])
def test_any_value_can_be_drawn(value: float) -> None:
    drawing = draw(chart(small=[value] * 60))
    assert 2 <= len(drawing.ticks) <= 7
