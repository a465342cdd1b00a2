"""The combinations of values that every check of the chart goes through."""

from __future__ import annotations

from typing import Any

__all__ = ["MATRIX"]

MATRIX: dict[str, dict[str, Any]] = {
    "default": {},
    "namespaced": {"watch": {"namespaces": ["team-a", "team-b"]}},
    "without cluster-scoped objects": {
        "crds": {"enabled": False},
        "watch": {"namespaces": ["team-a"]},
        "rbac": {"aggregateToDefaultRoles": False},
    },
    "everything": {
        "operator": {
            "imagePullSecrets": [{"name": "registry"}],
            "podLabels": {"team": "platform"},
            "podAnnotations": {"example.com/note": "yes"},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "control", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {
                "podAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}
                    ]
                }
            },
            "priorityClassName": "system-cluster-critical",
        },
        "prometheus": {
            "url": "https://prometheus.monitoring:9091/prefix",
            "tokenSecret": {"name": "prometheus", "key": "bearer"},
            "caConfigMap": {"name": "prometheus", "key": "ca.pem"},
        },
        "metrics": {
            "serviceMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}},
            "podMonitor": {"create": "always", "labels": {"release": "prometheus"}},
            "prometheusRule": {"create": "always", "labels": {"release": "prometheus"}},
        },
        "statusPage": {"enabled": True},
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        },
        "dashboards": {
            "enabled": True,
            "namespace": "team-a",
            "label": "example.com/dashboard",
            "labelValue": "yes",
            "annotations": {"grafana_folder": "HeteroLLM"},
        },
    },
}
