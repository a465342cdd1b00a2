"""What a tier serves, and where its weights come from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from heterollm_controllers.api.schema import (
    ObjectName,
    WireType,
    rules,
)
from heterollm_controllers.api.v1alpha1.security import SecretKey

__all__ = ["ConfigMapKey", "HostPathSource", "HubSource", "Model", "ModelSource", "PvcSource"]


class HubSource(WireType):
    """Download from the Hugging Face hub at engine start."""

    revision: Annotated[
        str | None, Field(max_length=128, description="Branch, tag or commit; the hub's default if absent.")
    ] = None
    token_secret: Annotated[
        SecretKey | None, Field(description="Hub token for gated models (environment HF_TOKEN).")
    ] = None


class PvcSource(WireType):
    """Read from a PersistentVolumeClaim, mounted read-only."""

    claim_name: Annotated[ObjectName, Field(description="Name of the PersistentVolumeClaim.")]
    path: Annotated[str, Field(max_length=512, description="Folder of the model inside the volume.")] = ""


class HostPathSource(WireType):
    """Read from a folder of the node, mounted read-only."""

    path: Annotated[
        str, Field(min_length=1, max_length=512, pattern=r"^/", description="Absolute folder on every node.")
    ]


class ModelSource(WireType):
    """Where the weights come from: exactly one of the fields; absent means the hub, by the model's id."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.hub), has(self.pvc), has(self.hostPath)].filter(x, x).size() == 1",
                "set exactly one of hub, pvc and hostPath",
            )
        )
    )
    hub: Annotated[HubSource | None, Field(description="Hugging Face hub, by the model's id.")] = None
    pvc: Annotated[PvcSource | None, Field(description="A PersistentVolumeClaim.")] = None
    host_path: Annotated[HostPathSource | None, Field(description="A folder of the node.")] = None


class ConfigMapKey(WireType):
    """One key of a ConfigMap in the cluster's namespace that carries the cluster's label."""

    name: Annotated[ObjectName, Field(description="Name of the ConfigMap.")]
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key inside it.")] = "config.json"


class Model(WireType):
    """The model that a tier serves."""

    model_config = ConfigDict(
        json_schema_extra=rules(("!(has(self.config) && has(self.configMap))", "set only one of config and configMap"))
    )

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
            description="Model id, for example Qwen/Qwen3-4B; also the name under which the tier serves it.",
        ),
    ]
    source: Annotated[ModelSource | None, Field(description="Where the weights come from; the hub if absent.")] = None
    config: Annotated[
        dict[str, Any] | None,
        Field(
            description="The model's Hugging Face config.json, for a model that the catalogue does not know.",
            json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        ),
    ] = None
    config_map: Annotated[
        ConfigMapKey | None,
        Field(
            description=(
                "The same from a ConfigMap, which needs the label serving.heterollm.io/cluster with the cluster's name."
            )
        ),
    ] = None
