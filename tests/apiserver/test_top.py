"""`heterollm top` and the operator's status page, with a real API server and a real Prometheus, as users run them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from heterollm_operator.kube.kinds import CLUSTER
from tests.apiserver.black_hole import BlackHole
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import FakeKubelet
from tests.apiserver.process import OperatorProcess
from tests.shell.prometheus_tools import prometheus

NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Run:
    status: int
    out: str
    error: str


def command(kubeconfig: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "heterollm_cli.main", "top", f"--kubeconfig={kubeconfig}", *options]


async def top(kubeconfig: Path, *options: str) -> Run:
    process = await asyncio.create_subprocess_exec(
        *command(kubeconfig, *options), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    return Run(process.returncode or 0, out.decode(), error.decode())


@pytest.fixture
def measured(kube: Kube, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that knows ten minutes of the cluster demo, and those in which the test runs."""
    labels = f'heterollm_namespace="{kube.namespace}",heterollm_cluster="demo"'
    series: dict[str, tuple[str, Callable[[int], float]]] = {
        "heterollm_router_requests_total": (
            f'{labels},namespace="{kube.namespace}",pod="r",job="pods",instance="r",heterollm_tier="small",code="200"',
            lambda number: 12.5 * 15 * number,
        ),
        "heterollm:dollars_per_hour:sum": (labels, lambda _: 12.34),
    }
    now = int(time.time())
    lines = [
        f"{name}{{{own}}} {value(number)} {at}"
        for name, (own, value) in series.items()
        for number, at in enumerate(range(now - 605, now + 300, 15))
    ]
    with prometheus(tmp_path, "\n".join([*lines, "# EOF", ""])) as url:
        yield url


async def serving(kube: Kube, operator: StartOperator, *options: str) -> OperatorProcess:
    """An operator with a cluster that serves."""
    running = await operator(*options)
    await eventually(running.leads)
    await kube.apply(CLUSTER, sample())
    await FakeKubelet(kube).until_ready()
    await eventually(lambda: kube.current_condition("demo", "Ready", "True"))
    return running


async def test_the_operators_page_says_the_same(kube: Kube, operator: StartOperator, measured: str) -> None:
    leader = await serving(kube, operator, "--status-page=on", f"--prometheus-url={measured}")
    standby = await operator("--status-page=on")
    await eventually(standby.ready)
    for replica in (leader, standby):
        fleet = await replica.read("/")
        assert f'<a href="clusters/{kube.namespace}/demo">' in fleet
        assert "small 2/2, large 1/1" in fleet
        assert "EngineAdded" in await replica.read(f"/clusters/{kube.namespace}/demo")
    assert "<dt>Requests/s</dt><dd>12.5</dd>" in await leader.read(f"/clusters/{kube.namespace}/demo")
    assert "no address of Prometheus is set" in await standby.read("/")
    plain = await operator()
    await eventually(plain.ready)
    assert (await plain.read("/")).startswith("404")


async def test_a_fleet_and_a_cluster_with_figures(kube: Kube, operator: StartOperator, measured: str) -> None:
    await serving(kube, operator)
    fleet = await top(kube.kubeconfig, f"-n={kube.namespace}", f"--prometheus={measured}")
    assert (fleet.status, fleet.error) == (0, "")
    head, row = fleet.out.splitlines()
    assert head.split() == ["NAME", "STATE", "TIERS", "ENGINES", "REQ/S", "FALLBACK", "$/H", "SAVING"]
    assert row.split() == ["demo", "Ready", "2", "3/3", "12.5", "Normal", "$12.34", "-"]
    everywhere = await top(kube.kubeconfig, "-A", "--once")
    assert any(line.split()[:2] == [kube.namespace, "demo"] for line in everywhere.out.splitlines())

    one = await top(kube.kubeconfig, "demo", f"-n={kube.namespace}", f"--prometheus={measured}")
    assert re.search(r"^small +2/2 +100 % +12\.5 ", one.out, re.MULTILINE)
    assert re.search(r"^Answers small, /s .*█.* 12\.50 +12\.50$", one.out, re.MULTILINE)
    assert "EngineAdded" in one.out
    assert "\x1b" not in one.out

    as_json = await top(kube.kubeconfig, "demo", f"-n={kube.namespace}", "-o=json", f"--prometheus={measured}")
    found: dict[str, Any] = json.loads(as_json.out)
    assert (found["state"], found["figures"]["dollarsPerHour"], found["saving"]) == ("Ready", 12.34, None)
    assert [tier["name"] for tier in found["tiers"]] == ["small", "large"]
    many = json.loads((await top(kube.kubeconfig, f"-n={kube.namespace}", "-o=json")).out)
    assert [item["name"] for item in many["clusters"]] == ["demo"]
    assert many["clusters"][0]["figures"]["requestsPerSecond"] is None


async def test_what_is_away_is_said(kube: Kube, operator: StartOperator, tmp_path: Path) -> None:
    await serving(kube, operator)
    without = await top(kube.kubeconfig, f"-n={kube.namespace}", f"--prometheus={NOBODY}")
    assert without.status == 0, "the status is there"
    assert "demo" in without.out
    assert re.search(r"^Prometheus gives no figures: .*refused", without.out, re.MULTILINE)

    missing = await top(kube.kubeconfig, "other", f"-n={kube.namespace}")
    told = f"heterollm top: there is no HeteroLLMCluster other in namespace {kube.namespace}\n"
    assert missing == Run(1, "", told)
    empty = await top(kube.kubeconfig, "-n=nowhere")
    assert (empty.status, empty.out.splitlines()[0]) == (0, "no HeteroLLMClusters")

    elsewhere = tmp_path / "elsewhere"
    config = yaml.safe_load(kube.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = NOBODY
    elsewhere.write_text(yaml.safe_dump(config))
    away = await top(elsewhere, "-A")
    assert (away.status, away.out) == (1, "")
    assert away.error.startswith("heterollm top: the API server cannot be reached: ")
    assert "Traceback" not in away.error
    nothing = await top(tmp_path / "missing", "-A")
    assert nothing.status == 1
    assert "heterollm top: no access to a Kubernetes cluster: " in nothing.error
    wrong = await top(kube.kubeconfig, "-A", "--prometheus=prometheus:9090")
    assert wrong.status == 2
    assert "is not http://HOST:PORT/PATH" in wrong.error


class Terminal:
    """A terminal of 80 by 24 in which the command runs."""

    def __init__(self, process: asyncio.subprocess.Process, ours: int) -> None:
        self.process = process
        self._ours = ours
        self._shown = b""

    @classmethod
    async def run(cls, *arguments: str) -> Terminal:
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        process = await asyncio.create_subprocess_exec(*arguments, stdin=its, stdout=its, stderr=its, env=environment)
        os.close(its)
        return cls(process, ours)

    async def __aenter__(self) -> Terminal:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def screens(self) -> list[str]:
        return self._shown.decode(errors="replace").split("\x1b[H\x1b[J")[1:]

    async def shows(self, *texts: str) -> str:
        """Wait for a screen with all of that on it."""
        async with asyncio.timeout(60):
            while not self.screens or not all(text in self.screens[-1] for text in texts):
                self._shown += await asyncio.to_thread(os.read, self._ours, 65536)
        return self.screens[-1]

    async def interrupted(self) -> int:
        """The exit status after Ctrl-C; what the terminal shows afterwards is what it showed before."""
        self.process.send_signal(signal.SIGINT)
        while not self._shown.endswith(b"\x1b[?1049l"):
            self._shown += await asyncio.to_thread(os.read, self._ours, 65536)
        os.close(self._ours)
        return await self.process.wait()


async def test_a_terminal_is_refreshed_until_it_is_interrupted(
    kube: Kube, operator: StartOperator, tmp_path: Path
) -> None:
    await serving(kube, operator)
    config = yaml.safe_load(kube.kubeconfig.read_text())
    address = config["clusters"][0]["cluster"]["server"]
    async with BlackHole(int(address.rpartition(":")[2])) as network:
        through = tmp_path / "through"
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{network.port}"
        through.write_text(yaml.safe_dump(config))
        async with await Terminal.run(*command(through, f"-n={kube.namespace}")) as terminal:
            await terminal.shows("demo", "\x1b[32mReady\x1b[0m", "Normal", "no figures")
            network.freeze()
            # What was last seen stays under the reason why it is no newer.
            await terminal.shows("heterollm top: no answer from the API server within 10 s", "Ready", "Normal")
            network.thaw()
            await kube.patch(CLUSTER, "demo", {"spec": {"fallback": {"force": "PureLarge"}}})
            await terminal.shows("\x1b[31mPureLarge\x1b[0m", "no figures")
            assert await terminal.interrupted() == 0
    lines = [line for screen in terminal.screens for line in screen.split("\r\n")]
    assert max(len(re.sub(r"\x1b\[[\d?]+[a-z]", "", line)) for line in lines) <= 80
