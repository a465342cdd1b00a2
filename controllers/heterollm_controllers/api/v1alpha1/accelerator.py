"""What a tier runs on: the GPUs, their nodes and the network between them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from heterollm_controllers.api.schema import (
    LabelMap,
    ObjectName,
    Positive,
    WireType,
    rules,
)

__all__ = ["Accelerator", "Network", "Toleration"]


class Toleration(WireType):
    """A Kubernetes toleration."""

    key: Annotated[str | None, Field(max_length=316, description="Taint key; all keys if absent.")] = None
    operator: Annotated[Literal["Exists", "Equal"] | None, Field(description="Equal if absent.")] = None
    value: Annotated[str | None, Field(max_length=63, description="Taint value for Equal.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="All effects if absent."),
    ] = None
    toleration_seconds: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="How long NoExecute is tolerated, in seconds.")
    ] = None


class Network(WireType):
    """What carries the traffic between the nodes of one engine; engines of one node do without."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.type != 'tcp' || (!has(self.resourceName) && !has(self.resourceCount))",
                "network.type tcp takes no device: set infiniband or roce, or leave resourceName and resourceCount out",
            )
        )
    )
    type: Annotated[
        Literal["tcp", "infiniband", "roce"],
        Field(description="tcp, or RDMA over infiniband or roce, which needs an RDMA device plugin on the nodes."),
    ] = "tcp"
    resource_name: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
            description="Extended resource of an RDMA device; rdma/ib or rdma/roce by type if absent.",
        ),
    ] = None
    resource_count: Annotated[
        int | None,
        Field(ge=0, le=64, description="RDMA devices of one pod; 1 if absent, 0 where pods get them otherwise."),
    ] = None


class Accelerator(WireType):
    """The GPUs that a tier runs on."""

    type: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            description="Catalogue name, for example A100-80GB or H100; another name needs memoryGiB.",
        ),
    ]
    per_node: Annotated[int, Field(ge=1, le=64, description="GPUs of one node.")] = 8
    memory_gib: Annotated[
        int | None,
        Field(
            alias="memoryGiB",
            ge=1,
            le=4096,
            description="Memory of one GPU in GiB; from the catalogue if absent.",
        ),
    ] = None
    dollars_per_hour: Annotated[
        Positive | None,
        Field(
            description=(
                "Price of one GPU for an hour, a decimal; from the catalogue if absent. Without either, no cost is"
                " reported."
            )
        ),
    ] = None
    resource_name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
            description="Extended resource of one GPU.",
        ),
    ] = "nvidia.com/gpu"
    node_selector: Annotated[LabelMap | None, Field(description="Labels of the nodes that carry these GPUs.")] = None
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(max_length=16, description="Tolerated taints, beside the GPU resource's own."),
    ] = ()
    runtime_class_name: Annotated[
        ObjectName | None, Field(description="RuntimeClass of GPU pods, where one is needed.")
    ] = None
    topology_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=317,
            pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
            description=(
                "Node label whose value all nodes of one engine must share, as of a rack or an NVLink domain;"
                " one zone is preferred if absent."
            ),
        ),
    ] = None
    network: Annotated[Network, Field(description="The network between the nodes of one engine.")] = Network()
