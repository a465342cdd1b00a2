"""`heterollm report` as a user runs it: a real Prometheus with recorded series, and what cannot be asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from e2e.ports import free_port
from heterollm_cli.main import main
from tests.golden.reports import SPEC, status
from tests.shell.prometheus_tools import needs, prometheus

CHAT: dict[str, Any] = {"metadata": {"name": "chat", "namespace": "shop"}, "spec": SPEC}
PATH = "/apis/serving.heterollm.io/v1alpha1/namespaces/shop/heterollmclusters/chat"
MINUTES = 30


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = {**CHAT, "status": status("Advancing", 10).to_wire()} if self.path == PATH else None
        body = json.dumps(found or {"kind": "Status", "message": "heterollmclusters is not found"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield written(tmp_path, server.server_address[1])
    server.shutdown()
    server.server_close()


def written(folder: Path, port: int) -> str:
    file = folder / "kubeconfig"
    cluster: dict[str, Any] = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context: dict[str, Any] = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user: dict[str, Any] = {"name": "u", "user": {}}
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
    file.write_text(json.dumps({**config, "clusters": [cluster], "contexts": [context], "users": [user]}))
    return str(file)


def ran(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["report", *arguments])
    return int(ended.value.code or 0)


def test_a_cluster_that_does_not_exist_is_named(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("other", "-n", "shop", "--kubeconfig", kubeconfig) == 2
    assert "cluster other of namespace shop: heterollmclusters is not found" in capsys.readouterr().err


def test_an_api_server_that_is_away_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("chat", "--kubeconfig", written(tmp_path, free_port())) == 2
    assert "the API server cannot be reached" in capsys.readouterr().err


def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("chat", "--kubeconfig", str(tmp_path / "none")) == 2
    assert "no access to a Kubernetes cluster" in capsys.readouterr().err


def test_a_prometheus_that_is_away_is_named(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert ran("chat", "-n", "shop", "--kubeconfig", kubeconfig, "--prometheus", url) == 2
    captured = capsys.readouterr()
    assert f"Prometheus at {url}: " in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "yesterday"), "from 5m to 31d"),
        (("--since", "1m"), "from 5m to 31d"),
        (("--since", "40d"), "from 5m to 31d"),
        (("-o", "report.pdf"), "must end with .html or .md"),
        (("--prometheus", "prometheus:9090"), "is not http://HOST:PORT"),
    ],
)
def test_bad_options_are_refused(options: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("chat", *options) == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_is_none_is_named(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("chat", "-n", "shop", "--kubeconfig", kubeconfig, "-o", "/none/report.md") == 2
    assert "/none/report.md" in capsys.readouterr().err


def test_without_prometheus_the_status_is_told(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("chat", "-n", "shop", "--kubeconfig", kubeconfig) == 0
    said = capsys.readouterr().out
    assert "No Prometheus was named" in said
    assert "| MigrationRollsBack |" in said


def recorded(now: int) -> str:
    """Half an hour of series, a point every 15 s, in OpenMetrics."""
    times = range(now - 60 * MINUTES, now, 15)
    router = 'namespace="shop",pod="r-0",job="pods",instance="r:1",heterollm_namespace="shop",heterollm_cluster="chat"'
    lines: list[str] = []

    def gauge(name: str, labels: str, value: float) -> None:
        lines.append(f"# TYPE {name} gauge")
        lines.extend(f"{name}{{{labels}}} {value} {time}" for time in times)

    def counter(name: str, series: dict[str, list[tuple[int, float]]]) -> None:
        lines.append(f"# TYPE {name} counter")
        for labels, points in series.items():
            lines.extend(f"{name}_total{{{labels}}} {value} {time}" for time, value in points)

    def request(code: str, wanted: str = "small", tier: str = "small") -> str:
        of = f'{router},heterollm_tier="{tier}",wanted_tier="{wanted}"'
        return f'{of},decision="score",code="{code}",attempts="1",diverted="false"'

    steady = [(time, float(index)) for index, time in enumerate(times)]
    third = len(times) // 3
    # Its router begins anew after a third of the time; the failure is a series that appears late, and never grows.
    restarted = [(time, float(index if index < third else index - third)) for index, time in enumerate(times)]
    late = [(time, 3.0) for time in times[third:]]
    gauge("heterollm_router_envoy_up", router, 1)
    other = request("200").replace('namespace="shop"', 'namespace="else"', 1)
    twice = request("200").replace('job="pods"', 'job="again"')
    series = {request("200"): steady, request("200", "large", "large"): restarted, request("503"): late}
    counter("heterollm_router_requests", {**series, other: steady, twice: steady})
    money = 'namespace="heterollm-system",exported_namespace="shop",cluster="chat",pod="o"'
    paid = {f'{money},tier="{tier}"': [(time, index / 60) for index, time in enumerate(times)] for tier in TIERS}
    counter("heterollm_tier_dollars", paid)
    gauge("heterollm_tier_engine_dollars_per_hour", f'{money},tier="large"', 32)
    gauge("heterollm_tier_engine_requests_per_second", f'{money},tier="large"', 3)
    return "\n".join([*lines, "# EOF", ""])


TIERS = ("small", "large")


@needs("prometheus", "promtool")
def test_a_real_prometheus_is_read(kubeconfig: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "report.md"
    with prometheus(tmp_path, recorded(int(time.time()))) as url:
        common = ("chat", "-n", "shop", "--kubeconfig", kubeconfig, "--prometheus", url, "--since", "2h")
        assert ran(*common, "-o", str(output)) == 0
        assert ran(*common, "-o", str(tmp_path / "report.html"), "--title", "A & B") == 0
    assert capsys.readouterr().err == ""
    text = output.read_text()
    answers = {row[1]: int(row[2].replace(",", "")) for row in rows(text, "Who answered")}
    # 120 points, so 119 requests, less one each at the beginning, at the end and at a restart.
    assert 119 - 2 <= answers["small"] <= 119
    assert 118 - 3 <= answers["large"] <= 118
    assert any(f"Prometheus knows {minutes} minutes of it" in text for minutes in (MINUTES, MINUTES + 1))
    failed = {row[1]: row[4] for row in rows(text, "Who answered")}
    assert failed == {"small": "3", "large": "0"}, "a failure that a counter begins with counts"
    costs = {row[1]: float(row[3].lstrip("$")) for row in rows(text, "Cost")}
    assert costs["small"] == pytest.approx(119 / 60, abs=0.1)
    # 240 answers in half an hour are one engine of large: $16; paid were about $4.
    assert "at 3 per engine, are 1 engines at $32.00 per hour" in text
    assert "![Figures over time](report.svg)" in text
    chart = ElementTree.parse(output.with_suffix(".svg")).getroot()
    assert [line for line in chart.iter("{http://www.w3.org/2000/svg}polyline") if line.attrib["points"]]
    page = (tmp_path / "report.html").read_text()
    assert "<title>A &amp; B</title>" in page
    assert "<svg" in page
    assert "src=" not in page, "it needs nothing else"


def rows(text: str, title: str) -> list[list[str]]:
    """The rows of the table of a section."""
    lines = text.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")] for line in table[2:]]
