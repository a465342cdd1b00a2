"""The service that is there before: a large model elsewhere, which the cluster only knows by its address."""

from __future__ import annotations

import json
from typing import Any

from e2e.stack import Stack

__all__ = ["MODEL", "URL", "start_service"]

MODEL = "acme/big-1"
_NAMESPACE, _NAME, _PORT = "elsewhere", "llm", 30000
URL = f"http://{_NAME}.{_NAMESPACE}.svc.cluster.local:{_PORT}/v1"
_START_SECONDS = 120


def start_service(stack: Stack) -> None:
    """Start it in a namespace of its own, with nothing of HeteroLLM's but the simulator's image. Nobody scrapes it."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    objects = {"apiVersion": "v1", "kind": "List", "items": [namespace, _deployment(), _service()]}
    stack.kubectl("apply", "-f", "-", stdin=json.dumps(objects))
    stack.kubectl("-n", _NAMESPACE, "rollout", "status", f"deployment/{_NAME}", f"--timeout={_START_SECONDS}s")


def _deployment() -> dict[str, Any]:
    labels = {"app": _NAME}
    container = {
        "name": "server",
        "image": "heterollm/engine-sim:0.1.0",
        "imagePullPolicy": "Never",
        # A large service has engines enough: no limit to the requests that it begins per second.
        "args": [
            *("--model-path", MODEL, "--served-model-name", MODEL, "--host", "0.0.0.0", "--port", str(_PORT)),
            *("--sim-profile", "large", "--sim-rps", "0", "--sim-tier", "elsewhere"),
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": _PORT}, "periodSeconds": 2, "timeoutSeconds": 5},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "spec": {"selector": {"app": _NAME}, "ports": [{"port": _PORT}]},
    }
