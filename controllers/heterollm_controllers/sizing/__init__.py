"""From a tier spec to the shape of one engine: what the user states, checked, with the reason of each value.

The parallelism rules are SGLang's: tensor parallelism spans all GPUs of an engine, attention data parallelism and
expert parallelism must divide it, and every node of an engine holds the same number of GPUs.
"""

from __future__ import annotations

from heterollm_controllers.reasons import Reason
from heterollm_controllers.sizing.plan import Impossible
from heterollm_controllers.status_v1alpha1 import Sizing
from heterollm_controllers.v1alpha1 import Accelerator, Tier

__all__ = ["ACCELERATORS_GIB", "Impossible", "size"]

ACCELERATORS_GIB: dict[str, int] = {
    "A10": 24,
    "L4": 24,
    "L40S": 48,
    "A100-40GB": 40,
    "A100-80GB": 80,
    "H100": 80,
    "H200": 141,
    "B200": 180,
    "MI300X": 192,
}
"""Nominal memory of one accelerator as its vendor names it (GB in marketing, used here only to know the name)."""

MOST_NODES = 64
"""Nodes of one engine: as many as engine.nodes allows and as status remembers pods of."""


def size(tier: Tier) -> Sizing:
    """The engine of a tier.

    Raises:
        Impossible: unknown accelerator, GPUs that do not divide, more GPUs than the nodes have, invalid parallelism.
    """
    _check_accelerator(tier.name, tier.accelerator)
    engine = tier.engine
    reasons: dict[str, str] = {}

    def chosen(name: str, user: int | None, derived: int, why: str) -> int:
        reasons[name] = "user" if user is not None else why
        return derived if user is None else user

    gpus = chosen("gpusPerEngine", engine.gpus, engine.nodes or 1, "one GPU per node, as engine.gpus is not set")
    nodes = chosen("nodes", engine.nodes, *_fewest_nodes(gpus, tier.accelerator.per_node))
    _check_nodes(tier, gpus, nodes)
    attention_dp = chosen("attentionDataParallel", engine.attention_data_parallel, 1, "attention is not replicated")
    experts = chosen("expertParallel", engine.expert_parallel, 1, "experts are sharded by tensor parallelism")
    for field, ways in (("attentionDataParallel", attention_dp), ("expertParallel", experts)):
        if gpus % ways:
            raise Impossible(
                Reason.INVALID_PARALLELISM,
                f"tier {tier.name}: {field} {ways} does not divide the tensor-parallel size {gpus}"
                f" ({gpus} / {ways} = {gpus / ways:.2f}); choose a divisor of {gpus}",
            )
    reasons["tensorParallel"] = f"all {gpus} GPUs of the engine"
    reasons["gpusPerNode"] = f"{gpus} GPUs over {nodes} node(s)"
    fraction = engine.mem_fraction_static
    reasons["memFractionStatic"] = "user" if fraction else "left to SGLang's automatic value"
    return Sizing(
        gpus_per_engine=gpus,
        nodes=nodes,
        gpus_per_node=gpus // nodes,
        tensor_parallel=gpus,
        attention_data_parallel=attention_dp,
        expert_parallel=experts,
        mem_fraction_static=fraction,
        reasons=reasons,
    )


def _check_accelerator(tier: str, accelerator: Accelerator) -> None:
    if accelerator.type not in ACCELERATORS_GIB and accelerator.memory_gib is None:
        raise Impossible(
            Reason.UNKNOWN_ACCELERATOR,
            f"tier {tier}: accelerator {accelerator.type} is not in the catalogue"
            f" ({', '.join(sorted(ACCELERATORS_GIB))}); name one of these or set accelerator.memoryGiB",
        )


def _fewest_nodes(gpus: int, per_node: int) -> tuple[int, str]:
    nodes = -(-gpus // per_node)
    return nodes, f"{gpus} GPUs on nodes of {per_node}"


def _check_nodes(tier: Tier, gpus: int, nodes: int) -> None:
    per_node = tier.accelerator.per_node
    if nodes > MOST_NODES:
        raise Impossible(
            Reason.ENGINE_LARGER_THAN_NODES,
            f"tier {tier.name}: {gpus} GPUs on nodes of {per_node} need {nodes} nodes, but an engine spans at most"
            f" {MOST_NODES}; lower engine.gpus to {MOST_NODES * per_node} or less, or raise accelerator.perNode",
        )
    if gpus % nodes:
        raise Impossible(
            Reason.GPUS_DO_NOT_DIVIDE,
            f"tier {tier.name}: {gpus} GPUs do not divide over {nodes} nodes of {per_node}"
            f" ({gpus} / {nodes} = {gpus / nodes:.2f}); every node of an engine must hold the same number:"
            f" make engine.gpus a multiple of {nodes}, or choose engine.nodes to divide it",
        )
    if gpus // nodes > per_node:
        raise Impossible(
            Reason.ENGINE_LARGER_THAN_NODES,
            f"tier {tier.name}: {gpus} GPUs over {nodes} node(s) need {gpus // nodes} per node, but a node has"
            f" {per_node}; raise engine.nodes to at least {-(-gpus // per_node)} or lower engine.gpus",
        )
