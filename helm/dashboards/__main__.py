"""Write the Grafana dashboards that the chart ships: `python -m helm.dashboards` (part of `make generate`)."""

from __future__ import annotations

import argparse

from helm.dashboards.files import FOLDER, dashboard_files


def main() -> None:
    """Write all of them, and remove what is no longer among them."""
    argparse.ArgumentParser(prog="python -m helm.dashboards", description=__doc__).parse_args()
    FOLDER.mkdir(exist_ok=True)
    files = dashboard_files()
    for stale in set(FOLDER.iterdir()) - files.keys():
        stale.unlink()
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
