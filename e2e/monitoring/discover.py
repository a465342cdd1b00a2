"""Writes the pods that want to be scraped as targets for Prometheus, again and again. Stands by itself.

Debian builds Prometheus without its discovery of Kubernetes. The labels are the ones that would give, so that the
relabelling is the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_PAUSE_SECONDS = 1.0
_META = "__meta_kubernetes"


def targets(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One group per pod that has an address."""
    found = []
    for pod in pods:
        metadata, address = pod["metadata"], pod["status"].get("podIP")
        if address:
            labels = {
                f"{_META}_namespace": metadata["namespace"],
                f"{_META}_pod_name": metadata["name"],
                f"{_META}_pod_ip": address,
            }
            for key, value in (metadata.get("annotations") or {}).items():
                if key.startswith("prometheus.io/"):
                    labels[f"{_META}_pod_annotation_prometheus_io_{key.partition('/')[2]}"] = value
            found.append({"targets": [address], "labels": labels})
    return found


def main(kubectl: str, kubeconfig: str, file: Path) -> None:
    """For ever."""
    command = [kubectl, "--kubeconfig", kubeconfig, "get", "pods", "--all-namespaces", "--output", "json"]
    while True:
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            fresh = file.with_suffix(".new")
            fresh.write_text(json.dumps(targets(json.loads(listed.stdout)["items"])))
            fresh.replace(file)
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
