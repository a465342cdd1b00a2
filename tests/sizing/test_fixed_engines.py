"""An engine of an unknown model is as stated; what cannot work without knowing the model is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.status import EngineStatus
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sizing import size
from heterollm_controllers.sizing.accelerators import accelerator_names
from tests.core.builders import tier
from tests.core.properties import quick


def sized(engine: dict[str, Any] | None = None, **accelerator: Any) -> Sizing:
    return size(tier(engine=engine or {}, accelerator={"type": "H100", **accelerator}))


def refusal(engine: dict[str, Any] | None = None, **accelerator: Any) -> Impossible:
    with pytest.raises(Impossible) as caught:
        sized(engine, **accelerator)
    return caught.value


@pytest.mark.parametrize(
    ("engine", "per_node", "shape"),
    [
        # (GPUs, nodes, GPUs per node)
        ({}, 8, (1, 1, 1)),
        ({"gpus": 2}, 8, (2, 1, 2)),
        ({"gpus": 8}, 8, (8, 1, 8)),
        ({"gpus": 16}, 8, (16, 2, 8)),
        ({"gpus": 12}, 8, (12, 2, 6)),
        ({"gpus": 32}, 8, (32, 4, 8)),
        ({"nodes": 2}, 8, (2, 2, 1)),
        ({"gpus": 4, "nodes": 2}, 8, (4, 2, 2)),
        ({"gpus": 4, "nodes": 4}, 1, (4, 4, 1)),
        ({"gpus": 3}, 1, (3, 3, 1)),
        ({"gpus": 64}, 1, (64, 64, 1)),
    ],
)
def test_shape_follows_from_gpus_and_nodes(engine: dict[str, Any], per_node: int, shape: tuple[int, int, int]) -> None:
    result = sized(engine, perNode=per_node)
    assert (result.gpus_per_engine, result.nodes, result.gpus_per_node) == shape
    assert result.tensor_parallel == result.gpus_per_engine


def test_parallelism_and_memory_are_taken_from_the_user() -> None:
    result = sized({"gpus": 32, "attentionDataParallel": 4, "expertParallel": 8, "memFractionStatic": "0.5"}, perNode=8)
    assert (result.attention_data_parallel, result.expert_parallel) == (4, 8)
    assert result.mem_fraction_static == "0.5"


def test_stated_values_say_so_and_the_others_why_they_are_not_worked_out() -> None:
    result = sized({"gpus": 16, "memFractionStatic": "0.7"})
    assert result.reasons["gpusPerEngine"] == result.reasons["memFractionStatic"] == "user"
    assert "org/small is not in the catalogue" in result.reasons["expertParallel"]
    assert result.kv_cache_tokens is None


def test_an_unknown_model_without_a_size_is_refused_and_told_what_to_give() -> None:
    with pytest.raises(Impossible) as caught:
        size(tier(model={"id": "Qwen/Qwen3-4b-typo"}, engine={"contextLength": 8192, "gpus": None}))
    assert caught.value.reason == Reason.UNKNOWN_MODEL
    assert "near: Qwen/Qwen3-4B" in caught.value.message
    assert "model.config" in caught.value.message


@pytest.mark.parametrize("name", accelerator_names())
def test_catalogue_accelerators_need_no_more(name: str) -> None:
    assert sized(type=name).gpus_per_engine == 1


def test_unknown_accelerator_is_accepted_with_its_memory() -> None:
    assert sized(type="X1000", memoryGiB=96).gpus_per_engine == 1


@pytest.mark.parametrize(
    ("engine", "accelerator", "reason", "arithmetic"),
    [
        ({}, {"type": "X1000"}, Reason.UNKNOWN_ACCELERATOR, ["X1000", "A100-80GB", "memoryGiB"]),
        ({"gpus": 9}, {"perNode": 8}, Reason.GPUS_DO_NOT_DIVIDE, ["9 / 2 = 4.50", "2 nodes of 8", "engine.gpus"]),
        ({"gpus": 4, "nodes": 3}, {}, Reason.GPUS_DO_NOT_DIVIDE, ["4 / 3 = 1.33"]),
        ({"gpus": 2, "nodes": 4}, {}, Reason.GPUS_DO_NOT_DIVIDE, ["2 / 4 = 0.50"]),
        (
            {"gpus": 16, "nodes": 1},
            {"perNode": 8},
            Reason.ENGINE_LARGER_THAN_NODES,
            ["16 per node", "a node has 8", "engine.nodes to at least 2"],
        ),
        ({"gpus": 512}, {"perNode": 4}, Reason.ENGINE_LARGER_THAN_NODES, ["128 nodes", "at most 64"]),
        (
            {"gpus": 8, "attentionDataParallel": 3},
            {},
            Reason.INVALID_PARALLELISM,
            ["attentionDataParallel 3", "8 / 3 = 2.67", "divisor of 8"],
        ),
        (
            {"gpus": 8, "expertParallel": 16},
            {},
            Reason.INVALID_PARALLELISM,
            ["expertParallel 16", "8 / 16 = 0.50", "divisor of 8"],
        ),
    ],
)
def test_impossible_is_refused_with_the_arithmetic(
    engine: dict[str, Any], accelerator: dict[str, Any], reason: Reason, arithmetic: list[str]
) -> None:
    caught = refusal(engine, **accelerator)
    assert caught.reason == reason
    assert caught.message.startswith("tier small: ")
    assert [part for part in arithmetic if part not in caught.message] == []


@quick()
@given(
    gpus=st.none() | st.integers(1, 4096) | st.sampled_from([8, 16, 32, 64, 128]),
    nodes=st.none() | st.integers(1, 64),
    per_node=st.integers(1, 64),
)
def test_an_accepted_engine_always_fits_its_nodes_and_the_status(
    gpus: int | None, nodes: int | None, per_node: int
) -> None:
    try:
        result = sized({"gpus": gpus, "nodes": nodes}, perNode=per_node)
    except Impossible:
        return
    assert result.nodes * result.gpus_per_node == result.gpus_per_engine
    assert result.gpus_per_node <= per_node
    # The status remembers one pod per node.
    EngineStatus(name="c-t-0", revision="r", phase="Serving", members=("u",) * result.nodes)


@pytest.mark.parametrize("fraction", ["1.5", "-0.1", "0,5", "half", "0.12345"])
def test_memory_fraction_is_a_decimal_between_zero_and_one(fraction: str) -> None:
    with pytest.raises(ValidationError):
        sized({"memFractionStatic": fraction})
