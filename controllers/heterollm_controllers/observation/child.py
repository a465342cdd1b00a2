"""A live object of a cluster, by what objects of all kinds have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from heterollm_controllers.api.timestamps import parse

__all__ = ["Child"]


@dataclass(frozen=True)
class Child:
    """An object as the API server gave it. Whoever knows its kind reads what only that has from the manifest."""

    manifest: Mapping[str, Any]

    @property
    def _metadata(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.manifest["metadata"]
        return found

    @property
    def api_version(self) -> str:
        return str(self.manifest["apiVersion"])

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        return str(self._metadata["name"])

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name: what tells it from the cluster's other objects."""
        return self.kind, self.name

    @property
    def uid(self) -> str:
        return str(self._metadata["uid"])

    @property
    def generation(self) -> int | None:
        return self._metadata.get("generation")

    @property
    def annotations(self) -> Mapping[str, str]:
        return self._metadata.get("annotations") or {}

    @property
    def owners(self) -> frozenset[str]:
        """The uids of the objects that own it."""
        return frozenset(owner["uid"] for owner in self._metadata.get("ownerReferences") or [])

    @property
    def leaving(self) -> bool:
        """Whether it is being deleted."""
        return "deletionTimestamp" in self._metadata

    @property
    def grace(self) -> int | None:
        """Seconds that it has to end, once it is leaving."""
        return self._metadata.get("deletionGracePeriodSeconds")

    @property
    def created(self) -> datetime | None:
        time = self._metadata.get("creationTimestamp")
        return parse(time) if time is not None else None

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.manifest.get("spec") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        return self.manifest.get("status") or {}

    @property
    def data(self) -> Mapping[str, Any]:
        """Of a ConfigMap."""
        return self.manifest.get("data") or {}
