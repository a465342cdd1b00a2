"""Revisions of a tier: each is a ControllerRevision that holds an engine as rendered for one spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.accelerator import Accelerator
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier

__all__ = ["Revision"]


@dataclass(frozen=True)
class Revision:
    """A ControllerRevision that lives or is about to be made. Its data never change."""

    manifest: Mapping[str, Any]

    @property
    def _data(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.manifest["data"]
        return found

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def number(self) -> int:
        """Rises with every revision of the tier."""
        return int(self.manifest["revision"])

    @property
    def update(self) -> str:
        """The value of the cluster's opt-in annotation that it was made for."""
        return str((self.manifest["metadata"].get("annotations") or {}).get(names.UPDATE, ""))

    @property
    def tier_name(self) -> str:
        return str(self._data["tier"]["name"])

    @property
    def tier(self) -> Tier:
        """The tier's spec that it stands for."""
        return Tier.model_validate(self._data["tier"])

    @property
    def accelerator(self) -> Accelerator:
        """What its engine runs on."""
        return Accelerator.model_validate(self._data["tier"]["accelerator"])

    @property
    def sizing(self) -> Sizing:
        """The report on its engine, as of when it was made."""
        return Sizing.model_validate(self._data["sizing"])

    @property
    def spec_hash(self) -> str:
        """Digest of `asked`."""
        return str(self._data["specHash"])

    @property
    def asked(self) -> Mapping[str, Any] | None:
        """What of the spec an engine may depend on, without defaults; None from operators that did not record it."""
        return self._data.get("asked")

    @property
    def engine(self) -> Manifest:
        """The StatefulSet of an engine, but for its name."""
        found: Manifest = self._data["engine"]
        return found

    @property
    def nodes(self) -> int:
        """Pods of an engine."""
        return int(self.engine["spec"].get("replicas", 1))

    @property
    def gpus(self) -> int | None:
        """GPUs of an engine; read from the report alone, which an older operator may have made."""
        found: int | None = self._data["sizing"].get("gpusPerEngine")
        return found
