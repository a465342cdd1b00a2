"""From a router's page of metrics to what the operator reads, by a real Prometheus."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from heterollm_controllers.steering.signals import Readings
from heterollm_controllers.steering.steer import Memory, SteeringInput
from heterollm_operator.clock import SystemClock
from heterollm_operator.metrics import Metrics
from heterollm_operator.poller import Poller, Polling
from heterollm_operator.prometheus import Prometheus
from heterollm_operator.store import Key
from tests.shell.objects import spec
from tests.shell.prometheus_tools import tool
from tests.shell.test_real_prometheus import ready

__all__ = ["read"]

_KEY = Key("here", "demo")
"""As the agent of the tests says."""
_EVERY = 15
_SAMPLE = re.compile(r"(heterollm_router_\w+)\{(.*)\} (\S+)")
_SCRAPED = 'namespace="here",pod="r1",job="pods",instance="r1:1"'


async def read(folder: Path, before: str, after: str) -> Readings:
    """What the operator reads where the page said `before` for ten minutes, and `after` at the last scrape."""
    (folder / "metrics.txt").write_text("\n".join(_written(before, after)) + "\n", encoding="utf-8")
    clock = SystemClock()
    known = {_KEY: SteeringInput(spec("small", "large"), (), Memory())}
    async with _prometheus(folder) as url:
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


@asynccontextmanager
async def _prometheus(folder: Path) -> AsyncIterator[str]:
    """A Prometheus that holds what is written in this folder."""
    server, promtool = tool("prometheus"), tool("promtool")
    assert server is not None
    assert promtool is not None
    made = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(folder / "metrics.txt"), str(folder / "data")]
    await asyncio.to_thread(subprocess.run, made, check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        *(server, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"),
        f"--web.listen-address={where}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await ready(f"http://{where}/-/ready")
        yield f"http://{where}"
    finally:
        process.terminate()
        await process.wait()
