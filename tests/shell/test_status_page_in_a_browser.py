"""The status page in a real browser, with the figures of a real Prometheus: phone and desktop, light and dark."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.browser.binary import BrowserError, ensure_browser
from e2e.browser.devtools import Tab, browser_tab
from heterollm_controllers.api import names
from heterollm_operator.kube.store import Store
from heterollm_operator.process.health import serve
from heterollm_operator.process.status_page import StatusPage
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.runtime.clock import SystemClock
from tests.shell.prometheus_tools import needs, prometheus
from tests.shell.test_health import Process
from tests.shell.test_seen_figures import written
from tests.view.clusters import RECORDED, cluster

pytestmark = needs("prometheus", "promtool")

EVIL = '<script>window.harmed=1</script><img src="/x" onerror="window.harmed=1"><svg onload="window.harmed=1">'
PICTURES = os.environ.get("STATUS_PAGE_PICTURES", "")
"""A folder for photographs, if somebody wants to look at them."""

WIDTHS = {"phone": 390, "desktop": 1280}
FLEET, ONE = "/", "/clusters/ns/c"

# Elements that reach over the right edge, but for those that only screen readers see.
OVERFLOWING = """[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
  && !e.closest('thead')).map(e => e.outerHTML.slice(0, 200))"""

# Contrast of every text with what is behind it, by WCAG 2's formula; those below 4.5, with it.
FAINT = """(() => {
  const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = [];
  while (walker.nextNode()) { const e = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text) continue;
    const style = getComputedStyle(e), ink = rgb(e.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x), contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) faint.push(`${text}: ${contrast.toFixed(2)}`); }
  return faint; })()"""


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    text = "\n".join(written(int(time.time()))) + "\n"
    with prometheus(tmp_path_factory.mktemp("prometheus"), text) as url:
        yield url


@pytest.fixture
async def site(figures: str) -> AsyncIterator[str]:
    """Clusters in every state that is recorded; one has figures, and one says evil things."""
    store = Store(lambda _: None)
    bodies = [cluster(recorded, recorded) for recorded in RECORDED if recorded != "migration-rolled-back"]
    bodies += [cluster("migration-rolled-back", "c", "ns"), evil()]
    for number, body in enumerate(bodies, 1):
        metadata = {**body["metadata"], "resourceVersion": str(number)}
        store.put({**body, "apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata})
    clock = SystemClock()
    page = StatusPage(store, Prometheus(figures, lambda: datetime.now(UTC)), (), clock)
    runner = await serve(Process().health, "127.0.0.1", 0, page)
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


def evil() -> dict[str, Any]:
    body = cluster("pure-large", "evil-with-a-name-that-is-as-long-as-names-of-clusters-may-be-63", "n" * 63)
    for item in (*body["status"]["conditions"], *body["status"]["decisions"], body["status"]["fallback"]):
        item["message"] = EVIL + "w" * 300
    return body


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    try:
        ensure_browser()
    except BrowserError as error:
        pytest.skip(str(error))
    async with browser_tab() as found:
        yield found


async def photograph(tab: Tab, name: str) -> None:
    if PICTURES:
        await tab.picture(Path(PICTURES) / f"{name}.png")
        await tab.picture(Path(PICTURES) / f"{name}-top.png", whole=False)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
async def test_every_page_fits_and_can_be_read(tab: Tab, site: str, device: str, dark: bool) -> None:
    evil_page = f"/clusters/{'n' * 63}/{evil()['metadata']['name']}"
    for name, path in (("fleet", FLEET), ("cluster", ONE), ("evil", evil_page)):
        await tab.open(site + path, width=WIDTHS[device], dark=dark)
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert await tab.evaluate(OVERFLOWING) == [], path
        assert await tab.evaluate(FAINT) == [], path
        assert tab.complaints == [], path
        assert await tab.evaluate("window.harmed === undefined && document.scripts.length === 0"), path
        background = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(17, 21, 27)" if dark else "rgb(246, 247, 249)"), "the policy lets the style in"
        await photograph(tab, f"{name}-{device}-{'dark' if dark else 'light'}")


async def test_a_link_leads_to_the_cluster_and_back(tab: Tab, site: str) -> None:
    await tab.open(site, width=390)
    assert await tab.evaluate("[...document.querySelectorAll('tbody tr')].length") == len(RECORDED) + 1
    address = await tab.evaluate("[...document.links].find(link => link.textContent === 'ns/c').href")
    assert address == site + ONE
    await tab.open(address, width=390)
    assert await tab.evaluate("document.links[0].href") == f"{site}/"
    assert await tab.evaluate("document.title") == "ns/c"


async def test_the_last_hour_is_drawn(tab: Tab, site: str) -> None:
    await tab.open(site + ONE, width=1280)
    charts = "[...document.querySelectorAll('svg')]"
    labels = await tab.evaluate(f"{charts}.map(svg => svg.getAttribute('aria-label'))")
    assert [label.partition(" in ")[0] for label in labels] == [
        "Answers",
        "Waiting requests",
        "Time to first byte",
        "Cost",
    ]
    assert "highest: 30.0/s" in labels[0]
    assert "p99 246 ms" in labels[2]
    drawn = await tab.evaluate(
        f"{charts}.map(svg => [...svg.querySelectorAll('polyline')].map(l => l.getTotalLength()))"
    )
    assert all(length > 50 for lines in drawn for length in lines)
    assert await tab.evaluate("document.body.textContent.includes('missing')") is False


async def test_scripts_would_not_run_even_if_one_got_in(tab: Tab, site: str) -> None:
    await tab.open(site, width=390)
    script = "const s = document.createElement('script'); s.textContent = 'window.harmed = 1'; document.body.append(s);"
    await tab.evaluate(script)
    assert await tab.evaluate("window.harmed === undefined")
    assert any("Content Security Policy" in complaint for complaint in tab.complaints)
