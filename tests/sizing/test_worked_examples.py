"""The worked examples of the design: figures that were measured on, or computed for, real deployments."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sizing.memory import GIB
from heterollm_controllers.sizing.plan import Plan, Split
from heterollm_controllers.sizing.requirements import Requirements
from heterollm_controllers.sizing.search import plan_for, search
from tests.sizing.catalogued import gpu, model

SMALL = model("Qwen/Qwen3-4B")
LARGE = model("Qwen/Qwen3-235B-A22B")
LARGE_FP8 = model("Qwen/Qwen3-235B-A22B-FP8")
A100 = gpu("A100-80GB")
H100 = gpu("H100")


def planned(requirements: Requirements, split: Split, nodes: int) -> Plan:
    return plan_for(SMALL if split.tensor == 2 else LARGE, A100, requirements, split, nodes)


def test_the_small_engine() -> None:
    """Qwen3-4B at TP 2 with 78.5 GiB free and fraction 0.7."""
    plan = planned(Requirements(memory_fraction=0.7, free_gib=78.5), Split(2), 1)
    assert plan.memory.weights.total / GIB == pytest.approx(3.75, rel=0.01)
    assert plan.memory.cell == 73_728
    assert plan.kv_tokens == pytest.approx(745_709, rel=0.005)


@pytest.mark.parametrize(("attention_dp", "tokens"), [(4, 2_130_000), (8, 3_970_000)])
def test_the_large_engine(attention_dp: int, tokens: int) -> None:
    """Qwen3-235B-A22B in BF16 on 32 GPUs with 78 GiB free and fraction 0.5."""
    plan = planned(Requirements(memory_fraction=0.5, free_gib=78), Split(32, attention_dp, 8), 4)
    assert plan.memory.cell == 48_128
    assert plan.kv_tokens == pytest.approx(tokens, rel=0.005)


def test_the_weights_and_the_pool_of_the_large_engine() -> None:
    plan = planned(Requirements(memory_fraction=0.5, free_gib=78), Split(32, 4, 8), 4)
    assert plan.memory.weights.total / GIB == pytest.approx(15.15, rel=0.005)
    assert plan.memory.kv_cache / GIB == pytest.approx(23.85, rel=0.005)
    assert plan.kv_tokens // 4 == pytest.approx(532_197, rel=0.005)


def test_free_memory_need_not_be_given_for_these() -> None:
    """What an A100 has free follows from its memory and the engine's size, and is what was measured."""
    assert planned(Requirements(), Split(2), 1).memory.free / GIB == pytest.approx(78.5)
    assert planned(Requirements(), Split(32, 4), 4).memory.free / GIB == pytest.approx(78)


def test_the_search_finds_that_attention_dp_8_nearly_doubles_the_tokens_of_4() -> None:
    plans = search(LARGE, A100, Requirements(gpus=32, memory_fraction=0.5))
    best = plans[0]
    assert best.split.attention_dp == 8
    assert best.kv_tokens == pytest.approx(3_970_000, rel=0.005)
    assert max(plan.kv_tokens for plan in plans if plan.split.attention_dp == 4) == pytest.approx(2_130_000, rel=0.005)


def test_bf16_weights_do_not_fit_eight_gpus_at_half_their_memory_and_fp8_weights_do() -> None:
    requirements = Requirements(gpus=8, memory_fraction=0.5)
    for device in (A100, H100):
        with pytest.raises(Impossible) as caught:
            search(LARGE, device, requirements)
        assert caught.value.reason == Reason.DOES_NOT_FIT
        assert "16 GPUs" in caught.value.message
        assert search(LARGE_FP8, device, requirements)[0].kv_tokens > 100_000


def test_fp8_over_eight_gpus_needs_expert_parallelism() -> None:
    requirements = Requirements(gpus=8, memory_fraction=0.5)
    with pytest.raises(Impossible) as caught:
        search(LARGE_FP8, H100, replace(requirements, expert=1))
    assert caught.value.reason == Reason.INVALID_PARALLELISM
    assert "1536 over 8 GPUs is 192" in caught.value.message
    assert all(plan.split.expert > 1 for plan in search(LARGE_FP8, H100, requirements))
