"""The alerts, evaluated by the real Prometheus's promtool where there is one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.render import CHART, render
from tests.shell.prometheus_tools import needs, tool

ALERTS = CHART / "files" / "alerts.yaml"
PROMTOOL = tool("promtool")
real = needs("promtool")


def check(tmp_path: Path, series: dict[str, str], alert: str, labels: dict[str, str], says: str) -> None:
    """Twenty minutes of these series raise the alert, with these labels and that summary."""
    annotations = {**_annotations(alert), "summary": says}
    test: dict[str, Any] = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": "20m",
                "alertname": alert,
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}],
            }
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": [test]}))
    assert PROMTOOL is not None
    found = subprocess.run([PROMTOOL, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def _annotations(alert: str) -> dict[str, str]:
    """The annotations without placeholders."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    (rule,) = [rule for rule in group["rules"] if rule["alert"] == alert]
    found: dict[str, str] = rule["annotations"]
    return {name: text.replace("{{ $labels.cluster }}", "c") for name, text in found.items()}


def test_the_chart_carries_the_rule_file() -> None:
    values = {"metrics": {"prometheusRule": {"create": "always"}}}
    (rule,) = [item.manifest for item in render(values) if item.manifest["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())


@real
@pytest.mark.parametrize("label", ["namespace", "exported_namespace"])
def test_pure_large_pages(tmp_path: Path, label: str) -> None:
    where = {"namespace": "heterollm-system", label: "ns", "cluster": "c"}
    told = ",".join(f'{name}="{value}"' for name, value in where.items())
    series = {f'heterollm_cluster_state{{{told},state="PureLarge"}}': "0x10 1x40"}
    says = "Level 3 of the fallback: all requests of ns/c go to its last tier."
    check(tmp_path, series, "HeteroLLMPureLarge", {**where, "severity": "page"}, says)


@real
def test_requests_that_fail_page_and_those_that_clients_spoil_do_not_count(tmp_path: Path) -> None:
    where = 'heterollm_namespace="ns",heterollm_cluster="c"'
    series = {
        f'heterollm_router_requests_total{{{where},code="{code}"}}': f"0+{rate}x50"
        for code, rate in {"200": 30, "503": 3, "429": 5, "400": 300, "0": 300}.items()
    }
    for reason, rate in {"router_overloaded": 2, "no_engine": 300}.items():
        series[f'heterollm_router_rejected_total{{{where},reason="{reason}",code="503"}}'] = f"0+{rate}x50"
    labels = {"heterollm_namespace": "ns", "heterollm_cluster": "c", "severity": "page"}
    check(tmp_path, series, "HeteroLLMRequestsFail", labels, "Only 75% of the requests to ns/c are answered.")


@real
def test_figures_that_are_missing(tmp_path: Path) -> None:
    series = {'heterollm_signals_missing{namespace="ns",cluster="c",tier="small",signal="queue"}': "2x50"}
    labels = {"namespace": "ns", "cluster": "c", "signal": "queue", "severity": "warning"}
    check(tmp_path, series, "HeteroLLMSignalsMissing", labels, "ns/c is steered without the figure queue.")
