"""The configurations in docs/observability.md are taken by the programs they are for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from e2e.monitoring.rules import rule_groups
from helm.render import CHART
from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from tests.shell.prometheus_tools import needs, tool

_DOCS = CHART.parent.parent / "docs"
PAGE, COST, TROUBLE = ((_DOCS / f"{name}.md").read_text() for name in ("observability", "cost", "troubleshooting"))


def block(first: str) -> dict[str, Any]:
    """The YAML of the page that begins with this key."""
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    (found,) = [item for item in blocks if next(iter(item)) == first]
    return dict(found)


def accepted(path: Path, config: dict[str, Any], program: str, *arguments: str) -> None:
    path.write_text(yaml.safe_dump(config))
    command = tool(program)
    assert command is not None
    found = subprocess.run([command, *arguments, str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@needs("promtool")
def test_the_scrape_configuration(tmp_path: Path) -> None:
    config = block("scrape_configs")
    # Debian builds Prometheus without the discovery of Kubernetes.
    assert config["scrape_configs"][0].pop("kubernetes_sd_configs") == [{"role": "pod"}]
    accepted(tmp_path / "prometheus.yml", config, "promtool", "check", "config")


@needs("amtool")
def test_the_route_of_pages(tmp_path: Path) -> None:
    accepted(tmp_path / "alertmanager.yml", block("route"), "amtool", "check-config")


def test_every_signal_alert_and_recorded_series_is_explained() -> None:
    rules = [rule for group in rule_groups() for rule in group["rules"]]
    names = [signal.value for kind in (PodSignal, TierSignal, ClusterSignal) for signal in kind]
    names += [rule.get("alert") or rule["record"] for rule in rules]
    assert [name for name in names if f"`{name}`" not in PAGE + COST] == []


def test_every_alert_has_a_row_that_says_what_to_do() -> None:
    (table,) = re.findall(r"## An alert fires\n(.*?)\n## ", TROUBLE, re.DOTALL)
    alerts = {rule["alert"] for group in rule_groups() for rule in group["rules"] if "alert" in rule}
    assert set(re.findall(r"`(HeteroLLM\w+)`", table)) == alerts
