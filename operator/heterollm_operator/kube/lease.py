"""The election's Lease object in the API server."""

from __future__ import annotations

from typing import Any

from heterollm_operator.kube.client import Api
from heterollm_operator.kube.kinds import LEASE
from heterollm_operator.runtime.metrics import Metrics

__all__ = ["ApiLease"]


class ApiLease:
    """A `leader.LeaseStore` in a namespace of the cluster."""

    def __init__(self, api: Api, metrics: Metrics, namespace: str, name: str, timeout: float) -> None:
        """`timeout` bounds every request, in seconds."""
        self._api = api
        self._metrics = metrics
        self._namespace = namespace
        self._name = name
        self._timeout = timeout

    async def get(self) -> dict[str, Any]:
        path = LEASE.path(self._namespace, self._name)
        return await self._api.request("GET", path, limit=self._timeout)

    async def create(self, spec: dict[str, Any]) -> dict[str, Any]:
        return await self._write("POST", "create", LEASE.path(self._namespace), {"name": self._name}, spec)

    async def update(self, version: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": self._name, "resourceVersion": version}
        return await self._write("PUT", "update", LEASE.path(self._namespace, self._name), metadata, spec)

    async def _write(
        self, method: str, verb: str, path: str, metadata: dict[str, str], spec: dict[str, Any]
    ) -> dict[str, Any]:
        self._metrics.api_writes.labels(LEASE.kind, verb).inc()
        body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {**metadata, "namespace": self._namespace},
            "spec": spec,
        }
        return await self._api.request(method, path, body=body, limit=self._timeout)
