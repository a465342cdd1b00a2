"""How many requests per second one process of the simulated engine answers.

Usage: python -m e2e.bench.engine_sim [--requests N] [--concurrency N]

The engine runs as a process of its own without latency; the load comes from this process over kept-alive raw
connections, cheap enough that the engine and not the client is measured. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.bench.usage import cpu_seconds
from e2e.ports import free_port

ENGINE_IMAGE = Path(__file__).parents[2] / "engine-image"
START_SECONDS = 30.0


@dataclass(frozen=True)
class Case:
    """A kind of request."""

    name: str
    stream: bool
    tokens: int


@dataclass(frozen=True)
class Figures:
    """What was measured for one kind of request."""

    case: str
    requests: int
    requests_per_second: float
    engine_cpu_us_per_request: float
    requests_per_cpu_second: float
    """What one core to itself would give; the rate above also shows what else the machine does."""
    p50_ms: float
    p99_ms: float


CASES = (
    Case("plain, 8 tokens", False, 8),
    Case("plain, 128 tokens", False, 128),
    Case("streamed, 8 tokens", True, 8),
    Case("streamed, 128 tokens", True, 128),
)


@contextmanager
def running_engine() -> Iterator[tuple[int, int]]:
    """An engine without latency; yields its process id and port."""
    port = free_port()
    words = ["--model-path", "m", "--port", str(port), "--sim-profile", "instant", "--sim-startup-seconds", "0"]
    engine = subprocess.Popen(
        [sys.executable, "-m", "simulated_engine", *words, "--enable-metrics"],
        env={**os.environ, "PYTHONPATH": str(ENGINE_IMAGE)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/ready")
        yield engine.pid, port
    finally:
        engine.terminate()
        engine.wait()


def wait_until_ready(url: str) -> None:
    """Poll until the engine is ready."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError(f"{url} is not ready after {START_SECONDS:.0f} s")


def request_bytes(case: Case) -> bytes:
    """The request on the wire."""
    body = json.dumps(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "how fast is this?"}],
            "max_tokens": case.tokens,
            "ignore_eos": True,
            "stream": case.stream,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: engine\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> None:
    """Read one answer to its end, whichever way its length is given."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(head.decode())
    if b"transfer-encoding: chunked" in head:
        await reader.readuntil(b"0\r\n\r\n")
        return
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)


async def client(port: int, case: Case, count: int) -> list[float]:
    """One connection's requests, one after the other; seconds of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    message = request_bytes(case)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        writer.write(message)
        await read_answer(reader)
        times.append(time.perf_counter() - start)
    writer.close()
    return times


async def measure(pid: int, port: int, case: Case, requests: int, concurrency: int) -> Figures:
    """Run one kind of request."""
    each = requests // concurrency
    cpu, start = cpu_seconds(pid), time.perf_counter()
    found = await asyncio.gather(*(client(port, case, each) for _ in range(concurrency)))
    elapsed, used = time.perf_counter() - start, cpu_seconds(pid) - cpu
    times = sorted(seconds for one in found for seconds in one)
    return Figures(
        case=case.name,
        requests=len(times),
        requests_per_second=round(len(times) / elapsed, 1),
        engine_cpu_us_per_request=round(used / len(times) * 1e6, 1),
        requests_per_cpu_second=round(len(times) / used, 1),
        p50_ms=round(times[len(times) // 2] * 1000, 2),
        p99_ms=round(times[len(times) * 99 // 100] * 1000, 2),
    )


async def run(requests: int, concurrency: int) -> list[Figures]:
    """All kinds of request, after a warm-up."""
    with running_engine() as (pid, port):
        await measure(pid, port, CASES[0], 200, concurrency)
        return [await measure(pid, port, case, requests, concurrency) for case in CASES]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000, help="requests per kind")
    parser.add_argument("--concurrency", type=int, default=32, help="connections")
    given = parser.parse_args()
    figures = asyncio.run(run(given.requests, given.concurrency))
    print(f"{'case':<22}{'requests/s':>12}{'CPU us/request':>16}{'per CPU-second':>16}{'p50 ms':>9}{'p99 ms':>9}")
    for row in figures:
        print(
            f"{row.case:<22}{row.requests_per_second:>12}{row.engine_cpu_us_per_request:>16}"
            f"{row.requests_per_cpu_second:>16}{row.p50_ms:>9}{row.p99_ms:>9}"
        )
    result = {
        "bench": "engine_sim",
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "concurrency": given.concurrency,
        "cases": [asdict(row) for row in figures],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
