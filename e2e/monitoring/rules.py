"""The rules that the chart installs: what is recorded of metrics, and the alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

__all__ = ["RULE_FILES", "rule_groups"]

_FILES = Path(__file__).parents[2] / "helm" / "heterollm" / "files"
RULE_FILES = (_FILES / "recording-rules.yaml", _FILES / "alerts.yaml")


def rule_groups() -> list[dict[str, Any]]:
    """The groups of all files."""
    return [group for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"]]
