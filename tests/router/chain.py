"""From a router's page of metrics to what the operator reads, by a real Prometheus."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from heterollm_controllers.metrics.readings import Readings
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.poller import Poller, Polling
from heterollm_operator.runtime.clock import SystemClock
from heterollm_operator.runtime.metrics import Metrics
from tests.shell.objects import spec
from tests.shell.prometheus_tools import prometheus

__all__ = ["read"]

_KEY = Key("here", "demo")
"""As the agent of the tests says."""
_EVERY = 15
_SAMPLE = re.compile(r"(heterollm_router_\w+)\{(.*)\} (\S+)")
_SCRAPED = 'namespace="here",pod="r1",job="pods",instance="r1:1"'


async def read(folder: Path, before: str, after: str) -> Readings:
    """What the operator reads where the page said `before` for ten minutes, and `after` at the last scrape."""
    clock = SystemClock()
    known = {_KEY: spec("small", "large")}
    with prometheus(folder, "\n".join(_written(before, after)) + "\n") as url:
        source = Prometheus(url, clock.utc)
        poller = Poller(source, Polling(), lambda: known, lambda *_: False, lambda _: None, Metrics(), clock)
        await poller.tick()
    found = poller.readings(_KEY)
    assert found is not None
    assert found.failure == ""
    return found


def _written(before: str, after: str) -> Iterator[str]:
    """In OpenMetrics."""
    last = int(time.time()) - 2
    first = {(name, labels): value for name, labels, value in _samples(before)}
    heads = set()
    for name, labels, value in sorted(_samples(after)):
        if name not in heads:
            heads.add(name)
            yield f"# TYPE {name} unknown"
        series = f"{name}{{{labels},{_SCRAPED}}}"
        if (name, labels) in first:
            yield from (f"{series} {first[name, labels]} {at}" for at in range(last - 600, last, _EVERY))
        yield f"{series} {value} {last}"
    yield "# EOF"


def _samples(page: str) -> list[tuple[str, str, str]]:
    found = (_SAMPLE.fullmatch(line) for line in page.splitlines())
    return [(match[1], match[2], match[3]) for match in found if match is not None and "milliseconds" not in match[1]]
