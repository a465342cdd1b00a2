"""The configurations in docs/observability.md are taken by the programs they are for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from helm.render import CHART
from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from tests.shell.prometheus_tools import needs, tool

PAGE = (CHART.parent.parent / "docs" / "observability.md").read_text()


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


def test_every_signal_and_alert_is_explained() -> None:

    (group,) = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    names = [signal.value for kind in (PodSignal, TierSignal, ClusterSignal) for signal in kind]
    names += [rule["alert"] for rule in group["rules"]]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
