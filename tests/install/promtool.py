"""Rules of the chart, evaluated by the real Prometheus's promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from e2e.monitoring.rules import RULE_FILES
from tests.shell.prometheus_tools import needs, tool

__all__ = ["INTERVAL", "passed", "real"]

INTERVAL = "1m"
"""Between two samples of a series in a test, and between two evaluations."""

real = needs("promtool")


def passed(where: Path, series: dict[str, str], **tests: list[dict[str, Any]]) -> None:
    """Fail unless promtool finds what `tests` (as in its files) expect of these series."""
    test = {
        "interval": INTERVAL,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        **tests,
    }
    path = where / "test.yaml"
    rules = [str(path) for path in RULE_FILES]
    path.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": INTERVAL, "tests": [test]}))
    promtool = tool("promtool")
    assert promtool is not None
    found = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
