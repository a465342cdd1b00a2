"""An engine that is not sized: what the user stated, checked by SGLang's rules that need no model."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sizing.plan import MOST_NODES, fraction_text
from heterollm_controllers.sizing.requirements import Requirements

__all__ = ["check_nodes", "stated"]


def stated(requirements: Requirements, why: str, warnings: Sequence[str]) -> Sizing:
    """The engine as stated; `why` says why nothing more is known of it.

    Raises:
        Impossible: GPUs that do not divide over nodes or by a parallel size, or more than the nodes have.
    """
    gpus, nodes = check_nodes(requirements)
    stages = requirements.pipeline or 1
    tensor = gpus // stages
    for field, ways in (("attentionDataParallel", requirements.attention_dp), ("expertParallel", requirements.expert)):
        if ways and tensor % ways:
            raise Impossible(
                Reason.INVALID_PARALLELISM,
                f"{field} {ways} does not divide the tensor-parallel size {tensor}"
                f" ({tensor} / {ways} = {tensor / ways:.2f}); choose a divisor of {tensor}",
            )
    page, ranks = requirements.page_size or 1, requirements.attention_dp or 1
    limit = None if requirements.max_total_tokens is None else requirements.max_total_tokens // page * page * ranks
    fixed = {
        "gpusPerEngine": requirements.gpus,
        "nodes": requirements.nodes,
        "attentionDataParallel": requirements.attention_dp,
        "expertParallel": requirements.expert,
        "memFractionStatic": requirements.memory_fraction,
    }
    fraction = None if requirements.memory_fraction is None else fraction_text(requirements.memory_fraction)
    reasons = {name: "user" if value is not None else f"not sized: {why}" for name, value in fixed.items()}
    if limit is not None:
        reasons["kvCacheTokens"] = "user: --max-total-tokens, in whole pages, of every attention DP rank"
    return Sizing(
        summary=f"{gpus} GPU(s) over {nodes} node(s), TP {tensor}, as stated: {why}",
        gpus_per_engine=gpus,
        nodes=nodes,
        gpus_per_node=gpus // nodes,
        tensor_parallel=tensor,
        attention_data_parallel=requirements.attention_dp or 1,
        expert_parallel=requirements.expert or 1,
        pipeline_parallel=stages,
        mem_fraction_static=fraction,
        context_length=requirements.context,
        kv_cache_tokens=limit,
        warnings=tuple(warning[:512] for warning in warnings[:16]),
        reasons=reasons,
    )


def check_nodes(requirements: Requirements) -> tuple[int, int]:
    """GPUs and nodes of an engine as wished, where one may follow from the other: they divide, and the nodes have them.

    Raises:
        Impossible: they do not.
    """
    per_node = requirements.per_node
    gpus = requirements.gpus or (requirements.tensor or 0) * (requirements.pipeline or 1) or requirements.nodes or 1
    nodes = requirements.nodes or -(-gpus // per_node)
    if nodes > MOST_NODES:
        raise Impossible(
            Reason.ENGINE_LARGER_THAN_NODES,
            f"{gpus} GPUs on nodes of {per_node} need {nodes} nodes, but an engine spans at most"
            f" {MOST_NODES}; lower engine.gpus to {MOST_NODES * per_node} or less, or raise accelerator.perNode",
        )
    if gpus % nodes:
        raise Impossible(
            Reason.GPUS_DO_NOT_DIVIDE,
            f"{gpus} GPUs do not divide over {nodes} nodes of {per_node}"
            f" ({gpus} / {nodes} = {gpus / nodes:.2f}); every node of an engine must hold the same number:"
            f" make engine.gpus a multiple of {nodes}, or choose engine.nodes to divide it",
        )
    if gpus // nodes > per_node:
        raise Impossible(
            Reason.ENGINE_LARGER_THAN_NODES,
            f"{gpus} GPUs over {nodes} node(s) need {gpus // nodes} per node, but a node has"
            f" {per_node}; raise engine.nodes to at least {-(-gpus // per_node)} or lower engine.gpus",
        )
    return gpus, nodes
