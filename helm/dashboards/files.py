"""The dashboards as files of the chart."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from helm.dashboards.cluster import cluster
from helm.dashboards.cost import cost
from helm.dashboards.migration import migration
from helm.dashboards.overview import overview

__all__ = ["FOLDER", "dashboard_files"]

FOLDER = Path(__file__).resolve().parents[1] / "heterollm" / "files" / "dashboards"


def dashboard_files() -> dict[Path, str]:
    """The text of each file; a file is named after its dashboard's uid."""
    files = {}
    for dashboard in (overview(), cluster(), cost(), migration()):
        for number, panel in enumerate(dashboard.panels or [], start=1):
            # Links to a panel go by its number.
            panel.id_val = number
        files[FOLDER / f"{dashboard.uid}.json"] = (
            json.dumps(dashboard, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
        )
    return files
