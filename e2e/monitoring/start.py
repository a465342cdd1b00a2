"""A real Prometheus and Alertmanager in the embedded cluster's network, and a receiver of pages."""

from __future__ import annotations

import json
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.build import COMPONENTS, ensure_binary
from e2e.cluster.kubectl import kubectl_path
from e2e.cluster.node.commands import running_cluster
from e2e.cluster.node.credentials import issue_kubeconfig
from e2e.cluster.node.daemons import Daemons, recorded
from e2e.cluster.node.forward import ensure_forward
from e2e.cluster.node.layout import NODE_ADDRESS
from e2e.monitoring.binaries import ensure_binaries
from e2e.stack import Stack

__all__ = ["SCRAPE_SECONDS", "Monitoring", "start_monitoring"]

SCRAPE_SECONDS = 5
PROMETHEUS_PORT, ALERTMANAGER_PORT, WEBHOOK_PORT = 9090, 9093, 9099
_START_SECONDS = 30.0
_WEBHOOK, _DISCOVERY = (Path(__file__).with_name(name) for name in ("webhook.py", "discover.py"))

Rules = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Monitoring:
    """What was started, seen from this machine."""

    url: str
    """Prometheus' own, for programs of this machine."""
    pages_file: Path

    inside = f"http://{NODE_ADDRESS}:{PROMETHEUS_PORT}"
    """The same for pods."""

    def query(self, text: str) -> dict[str, float]:
        """An instant query's figures by their labels as text."""
        result = self._get("query", query=text)
        return {json.dumps(item["metric"], sort_keys=True): float(item["value"][1]) for item in result}

    def series(self, text: str, start: float, end: float, step: float) -> list[tuple[float, float]]:
        """The points of a range query that gives one series, or none; times are seconds since 1970."""
        result = self._get("query_range", query=text, start=start, end=end, step=step)
        return [(float(time), float(value)) for time, value in result[0]["values"]] if result else []

    def pages(self) -> list[dict[str, Any]]:
        """What Alertmanager has sent to the receiver of pages, oldest first."""
        lines = self.pages_file.read_text().splitlines() if self.pages_file.exists() else []
        return [json.loads(line) for line in lines]

    def _get(self, path: str, **parameters: object) -> list[dict[str, Any]]:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as response:
            found: list[dict[str, Any]] = json.load(response)["data"]["result"]
            return found


def start_monitoring(stack: Stack, rules: Rules, scrape_seconds: int = SCRAPE_SECONDS) -> Monitoring:
    """Start all three unless they run; they end with the cluster. `rules` are groups of rules."""
    programs = ensure_binaries(stack.report)
    daemons = running_cluster(stack.layout)
    pages = stack.layout.state / "pages.jsonl"
    if not recorded(stack.layout).get("prometheus", False):
        daemons.start("webhook", [sys.executable, "-I", str(_WEBHOOK), NODE_ADDRESS, str(WEBHOOK_PORT), str(pages)])
        _start_alertmanager(daemons, programs)
        _start_prometheus(daemons, programs, rules, scrape_seconds)
    url = f"http://127.0.0.1:{ensure_forward(daemons, NODE_ADDRESS, PROMETHEUS_PORT)}"
    daemons.wait("prometheus", "Prometheus is ready", lambda: _answers(f"{url}/-/ready"), _START_SECONDS)
    return Monitoring(url, pages)


def _start_alertmanager(daemons: Daemons, programs: Path) -> None:
    settings = {
        "route": {
            "receiver": "nobody",
            "group_wait": "0s",
            "group_interval": "5s",
            "routes": [{"matchers": ['severity="page"'], "receiver": "pager"}],
        },
        "receivers": [
            {"name": "nobody"},
            {"name": "pager", "webhook_configs": [{"url": f"http://{NODE_ADDRESS}:{WEBHOOK_PORT}/"}]},
        ],
    }
    # JSON is YAML.
    file = _write(daemons, "alertmanager.yml", settings)
    # Debian's looks for its templates where an installed package has them: there are none but for this process.
    share = programs.parent / "share"
    daemons.start(
        "alertmanager",
        [
            *("unshare", "--mount", "sh", "-c", f'mount --bind {share} /usr/share && exec "$@"', "sh"),
            str(programs / "prometheus-alertmanager"),
            f"--config.file={file}",
            f"--storage.path={daemons.layout.state / 'alertmanager'}",
            f"--web.listen-address={NODE_ADDRESS}:{ALERTMANAGER_PORT}",
            "--cluster.listen-address=",
        ],
    )


def _start_prometheus(daemons: Daemons, programs: Path, rules: Rules, scrape_seconds: int) -> None:
    settings = {
        "global": {"scrape_interval": f"{scrape_seconds}s", "evaluation_interval": f"{scrape_seconds}s"},
        "rule_files": [str(_write(daemons, "rules.yml", {"groups": list(rules)}))],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{NODE_ADDRESS}:{ALERTMANAGER_PORT}"]}]}]},
        "scrape_configs": [_pods(_start_discovery(daemons))],
    }
    daemons.start(
        "prometheus",
        [
            str(programs / "prometheus"),
            f"--config.file={_write(daemons, 'prometheus.yml', settings)}",
            f"--storage.tsdb.path={daemons.layout.state / 'prometheus'}",
            f"--web.listen-address={NODE_ADDRESS}:{PROMETHEUS_PORT}",
        ],
    )


def _start_discovery(daemons: Daemons) -> Path:
    """Start what finds the pods, and return the file of its targets."""
    control_plane = ensure_binary(COMPONENTS["controlplane"], lambda _: None)
    kubeconfig = issue_kubeconfig(daemons.layout, control_plane, "heterollm:prometheus", "system:masters")
    file = daemons.layout.state / "targets.json"
    daemons.start("discovery", [sys.executable, "-I", str(_DISCOVERY), str(kubectl_path()), str(kubeconfig), str(file)])
    return file


def _pods(targets: Path) -> dict[str, Any]:
    """Every pod that asks for it by the customary annotations."""
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io"
    return {
        "job_name": "pods",
        "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
        "relabel_configs": [
            {"source_labels": [f"{annotation}_scrape"], "regex": "true", "action": "keep"},
            {"source_labels": [f"{annotation}_path"], "regex": "(.+)", "target_label": "__metrics_path__"},
            {
                "source_labels": ["__meta_kubernetes_pod_ip", f"{annotation}_port"],
                "separator": ":",
                "target_label": "__address__",
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        ],
    }


def _write(daemons: Daemons, name: str, settings: Mapping[str, Any]) -> Path:
    file = daemons.layout.config / name
    file.write_text(json.dumps(settings, indent=1))
    return file


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
