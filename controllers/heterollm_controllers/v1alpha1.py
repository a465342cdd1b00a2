"""The API types of serving.heterollm.io/v1alpha1: the single source of the CRD, of parsing and of the docs.

Derived values (GPUs, parallelism, memory fraction, ...) have no default here: absent means "work it out"; only policy
constants have one. What all types share is in wire.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from heterollm_controllers.routing.scorer import FEATURES
from heterollm_controllers.steering_v1alpha1 import Fallback, Observability, Scaling, TierScaling
from heterollm_controllers.wire import (
    KEYS,
    Cpu,
    Fraction,
    LabelMap,
    Memory,
    ObjectName,
    Positive,
    Share,
    Text,
    WireType,
    rules,
)

__all__ = [
    "Accelerator",
    "ApiKeySecret",
    "ApiKeys",
    "ConfigMapKey",
    "Engine",
    "EnvVar",
    "HeteroLLMClusterSpec",
    "HostPathSource",
    "HubSource",
    "MeasuredPerformance",
    "Model",
    "ModelSource",
    "Network",
    "ParameterChange",
    "PvcSource",
    "Replicas",
    "RequestShape",
    "Resources",
    "Retries",
    "Routing",
    "RoutingService",
    "SecretKey",
    "Security",
    "Tier",
    "Toleration",
]


class SecretKey(WireType):
    """One key of a Secret in the cluster's namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret.")]
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key inside the Secret.")]


class ApiKeySecret(SecretKey):
    """The Secret key that holds the engines' API key."""


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
        Positive | None, Field(description="Price of one GPU for an hour, a decimal; from the catalogue if absent.")
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


class EnvVar(WireType):
    """One environment variable of the engine."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Variable name."),
    ]
    value: Annotated[Text, Field(description="Its value; $(NAME) stands for a variable above, $$ for one $.")] = ""


class Resources(WireType):
    """Requests and limits of a container, beside its GPUs."""

    cpu: Annotated[
        Cpu | None,
        Field(description="CPU request in cores; no limit is set, as throttling only adds latency."),
    ] = None
    memory: Annotated[Memory | None, Field(description="Memory request and limit.")] = None


class RequestShape(WireType):
    """A usual request, in tokens."""

    input_tokens: Annotated[int, Field(ge=1, le=16_777_216, description="Prompt tokens.")] = 1024
    output_tokens: Annotated[int, Field(ge=1, le=16_777_216, description="Output tokens.")] = 256


class MeasuredPerformance(WireType):
    """What a benchmark of one engine gave. Decimals are strings."""

    time_to_first_token_ms: Annotated[Positive | None, Field(description="Of a lone request, in milliseconds.")] = None
    time_per_token_ms: Annotated[Positive | None, Field(description="Per further token, in milliseconds.")] = None
    requests_per_second: Annotated[Positive | None, Field(description="Of a full engine.")] = None


class Engine(WireType):
    """Overrides of what sizing derives for one engine (one SGLang server, over one or several nodes)."""

    gpus: Annotated[int | None, Field(ge=1, le=4096, description="GPUs of one engine.")] = None
    nodes: Annotated[int | None, Field(ge=1, le=64, description="Nodes (pods) that one engine spans.")] = None
    objective: Annotated[
        Literal["throughput", "latency", "cost"],
        Field(
            description=(
                "What free sizes are chosen for: throughput, most requests per GPU; latency, the quickest answer to a"
                " lone request; cost, the fewest GPUs that hold the model."
            )
        ),
    ] = "throughput"
    workload: Annotated[
        RequestShape | None, Field(description="The usual request that free sizes and estimates are for.")
    ] = None
    measured: Annotated[
        MeasuredPerformance | None, Field(description="Measured figures of one engine; they replace estimates.")
    ] = None
    sglang_version: Annotated[
        str | None,
        Field(
            alias="sglangVersion",
            max_length=32,
            pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([.a-z0-9]*)$",
            description="SGLang release of the image, by which args are checked; the operator's default if absent.",
        ),
    ] = None
    attention_data_parallel: Annotated[
        int | None, Field(ge=1, le=4096, description="Attention data-parallel ranks.")
    ] = None
    expert_parallel: Annotated[
        int | None, Field(ge=1, le=4096, description="Expert-parallel ranks of a MoE model.")
    ] = None
    mem_fraction_static: Annotated[
        Fraction | None,
        Field(
            description="Share of GPU memory for weights and KV cache together, a decimal; SGLang decides if absent.",
            json_schema_extra=rules(
                (
                    "self.matches('^0\\\\.[0-9]*[1-9][0-9]*$')",
                    'memFractionStatic must be above 0 and below 1, for example "0.7"',
                )
            ),
        ),
    ] = None
    context_length: Annotated[
        int | None,
        Field(ge=1, le=16_777_216, description="Longest request in tokens; the model's own limit if absent."),
    ] = None
    image: Annotated[
        str | None,
        Field(min_length=1, max_length=512, description="Engine image; the operator's default if absent."),
    ] = None
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"], Field(description="When the node pulls the image.")
    ] = "IfNotPresent"
    command: Annotated[
        tuple[Text, ...],
        Field(
            max_length=16,
            description="Replaces the entry point; stock SGLang images need [python3, -m, sglang.launch_server].",
        ),
    ] = ()
    args: Annotated[
        tuple[Text, ...],
        Field(
            max_length=128,
            description="SGLang server flags; a flag given here replaces the one the operator would give.",
        ),
    ] = ()
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64, description="Environment of the engine.")] = ()
    resources: Annotated[Resources | None, Field(description="CPU and memory of one pod of the engine.")] = None
    shared_memory: Annotated[Memory, Field(description="Size of the memory-backed /dev/shm of one pod.")] = "16Gi"
    start_seconds: Annotated[
        int,
        Field(ge=10, le=86_400, description="Longest start of an engine in seconds, model download included."),
    ] = 1800
    placement_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=86_400,
            description=(
                "How long in seconds an engine over several nodes may hold some of them while it finds no place for"
                " the rest; then it releases its GPUs and tries again later."
            ),
        ),
    ] = 300
    drain_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="Longest time in seconds that running requests get when an engine leaves.",
        ),
    ] = 300


class Replicas(WireType):
    """How many engines a tier has."""

    model_config = ConfigDict(
        json_schema_extra=rules(("!has(self.max) || self.min <= self.max", "replicas.min must not exceed replicas.max"))
    )
    min: Annotated[int, Field(ge=0, le=256, description="Fewest engines.")] = 1
    max: Annotated[
        int | None,
        Field(ge=1, le=256, description="Most engines the tier may grow to; replicas.min if absent."),
    ] = None
    fixed: Annotated[
        int | None,
        Field(ge=0, le=256, description="Exactly this many engines, whatever the traffic: scaling by hand."),
    ] = None
    standby: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="Further engines that are kept ready without requests, and join at once when the tier grows.",
        ),
    ] = 0


_TIER_NAME = "^[a-z][a-z0-9]*$"


class Tier(WireType):
    """Engines of one kind: one model on one kind of GPU."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=12,
            pattern=_TIER_NAME,
            description="Short name, lower-case letters and digits; clients may use it as the model name.",
            json_schema_extra=rules(
                (
                    f"self.matches('{_TIER_NAME}')",
                    "a tier name must start with a letter and hold only lower-case letters and digits",
                ),
                ("self != 'auto'", "a tier cannot be called auto: that is the model name that lets the router choose"),
            ),
        ),
    ]
    model: Annotated[Model, Field(description="What the tier serves.")]
    accelerator: Annotated[Accelerator, Field(description="What the tier runs on.")]
    engine: Annotated[Engine, Field(description="Overrides of derived engine settings.")] = Engine()
    replicas: Annotated[Replicas, Field(description="How many engines.")] = Replicas()
    scaling: Annotated[TierScaling, Field(description="When the tier grows and shrinks.")] = TierScaling()
    pod_template: Annotated[
        dict[str, Any] | None,
        Field(
            description=(
                "Strategic merge patch on the engine's pod template (metadata and spec), with Kubernetes' merge keys:"
                " containers by name, volumes by name, mounts by mountPath. The container is called engine."
            ),
            json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        ),
    ] = None


class RoutingService(WireType):
    """The Service that clients call."""

    type: Annotated[Literal["ClusterIP", "NodePort", "LoadBalancer"], Field(description="Service type.")] = "ClusterIP"
    port: Annotated[int, Field(ge=1, le=65_535, description="Port that clients call.")] = 80
    annotations: Annotated[
        dict[str, Text] | None,
        Field(max_length=32, description="Annotations, for example for a load balancer.", json_schema_extra=KEYS),
    ] = None


class ParameterChange(WireType):
    """How a request differs on one retry. Absent fields stay as the client sent them."""

    temperature: Annotated[Share | None, Field(description="Sampling temperature, a decimal from 0 to 2.")] = None
    max_tokens_factor: Annotated[
        Share | None, Field(description="What max_tokens is multiplied with, where the client gave one.")
    ] = None
    new_seed: Annotated[bool, Field(description="Replace a seed by another.")] = False


class Retries(WireType):
    """Level 1 of the fallback: another engine, then the next tier, within the client's request."""

    limit: Annotated[int, Field(ge=0, le=3, description="Most retries of one request.")] = 3
    deadline_seconds: Annotated[
        int, Field(ge=1, le=86_400, description="No attempt starts later than this after the first.")
    ] = 600
    budget_percent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Retries of failed answers, at most this share of the good ones; 3 per second always may.",
        ),
    ] = 50
    changes: Annotated[
        tuple[ParameterChange, ...],
        Field(
            max_length=3,
            description="What changes on the first, second, third retry after a bad answer; the last for further ones.",
        ),
    ] = (
        ParameterChange(temperature="0.2"),
        ParameterChange(temperature="0", max_tokens_factor="0.5"),
        ParameterChange(temperature="0", max_tokens_factor="0.5", new_seed=True),
    )
    change_on_every_failure: Annotated[
        bool, Field(description="Change parameters after transport failures too, which are resent unchanged otherwise.")
    ] = False
    check_quality: Annotated[
        bool,
        Field(
            description=(
                "Retry answers that are not streamed and in which the model did wrong: they are empty, or no JSON where"
                " JSON was asked for, or call a tool that was not declared, with arguments that are no JSON, or not at"
                " all where a call was demanded. What was cut, filtered, refused or only reasoned is not retried."
            )
        ),
    ] = True


class ApiKeys(WireType):
    """Keys that clients must send as bearer tokens."""

    secret_name: Annotated[ObjectName, Field(description="Secret whose entries are client names and their keys.")]
    reserved: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...],
        Field(max_length=64, description="Clients that may use the reserved share of the capacity."),
    ] = ()


class Routing(WireType):
    """How requests find their tier."""

    complexity_threshold: Annotated[
        Fraction,
        Field(
            description="Requests that score above this (0 to 1) go to the last tier, others to the first.",
            json_schema_extra=rules(
                (
                    "self.matches('^(0(\\\\.[0-9]{1,4})?|1(\\\\.0{1,4})?)$')",
                    'complexityThreshold must be a decimal from 0 to 1 with at most four places, for example "0.7"',
                )
            ),
        ),
    ] = "0.7"
    scorer_weights: Annotated[
        dict[str, Share] | None,
        Field(
            max_length=16,
            description="Weights of the complexity score by feature, decimals from 0 to 2; our own for those left out.",
            json_schema_extra=rules(
                (
                    f"self.all(key, key in [{', '.join(repr(feature.name) for feature in FEATURES)}])",
                    f"must name features of the score: {', '.join(feature.name for feature in FEATURES)}",
                )
            ),
        ),
    ] = None
    trust_headers: Annotated[
        bool,
        Field(
            description=(
                "Obey the headers x-llm-tier and x-llm-priority of every client: for routers behind a gateway that"
                " sets or removes them. Otherwise they are ignored."
            )
        ),
    ] = False
    retries: Annotated[Retries, Field(description="Retries within a request.")] = Retries()
    reserved_percent: Annotated[
        int, Field(ge=0, le=90, description="Share of the capacity kept for reserved clients.")
    ] = 0
    body_limit_mib: Annotated[
        int, Field(alias="bodyLimitMiB", ge=1, le=256, description="Largest request body in MiB; larger ones get 413.")
    ] = 16
    api_keys: Annotated[ApiKeys | None, Field(description="Keys of clients; none are asked for if absent.")] = None
    tls_secret: Annotated[
        ObjectName | None, Field(description="kubernetes.io/tls Secret; the routers speak HTTPS if it is set.")
    ] = None
    replicas: Annotated[int, Field(ge=1, le=64, description="Router pods.")] = 2
    image: Annotated[
        str | None,
        Field(min_length=1, max_length=512, description="Router image; the operator's default if absent."),
    ] = None
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"], Field(description="When the node pulls the image.")
    ] = "IfNotPresent"
    resources: Annotated[Resources, Field(description="CPU and memory of the Envoy container.")] = Resources(
        cpu="500m", memory="512Mi"
    )
    service: Annotated[RoutingService, Field(description="The Service that clients call.")] = RoutingService()


class Security(WireType):
    """Keys and network rules."""

    api_key_secret: Annotated[
        ApiKeySecret | None,
        Field(description="API key that engines demand; clients send it as a bearer token, which the routers pass on."),
    ] = None
    network_policies: Annotated[
        bool,
        Field(description="Make NetworkPolicies; they take effect only where the cluster's CNI enforces them."),
    ] = True


class HeteroLLMClusterSpec(WireType):
    """A heterogeneous LLM cluster: tiers of engines, cheapest first, behind one routing Service."""

    tiers: Annotated[
        tuple[Tier, ...],
        Field(
            min_length=1,
            max_length=8,
            description="Tiers, cheapest first: the order carries meaning.",
            json_schema_extra={
                "x-kubernetes-list-type": "atomic",
                **rules(
                    (
                        "self.all(t, self.filter(u, u.name == t.name).size() == 1)",
                        "tier names must be unique",
                    ),
                ),
            },
        ),
    ]
    routing: Annotated[Routing, Field(description="How requests find their tier.")] = Routing()
    scaling: Annotated[Scaling, Field(description="Scaling of the whole cluster.")] = Scaling()
    fallback: Annotated[Fallback, Field(description="What happens when a tier fails.")] = Fallback()
    observability: Annotated[Observability, Field(description="Where figures come from.")] = Observability()
    security: Annotated[Security, Field(description="Keys and network rules.")] = Security()
    family_check: Annotated[
        Literal["Warn", "Refuse", "Off"],
        Field(
            description=(
                "What to do when the tiers' models differ in tokenizer, chat template or family, so that a request"
                " which changes its tier would be read differently."
            )
        ),
    ] = "Warn"
