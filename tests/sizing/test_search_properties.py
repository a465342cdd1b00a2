"""What must hold of every plan, whatever the model, the GPU and the requirements."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.sizing.accelerators import Gpu, accelerator_names
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.models import model_ids
from heterollm_controllers.sizing.plan import Plan
from heterollm_controllers.sizing.requirements import Requirements
from heterollm_controllers.sizing.rules import broken
from heterollm_controllers.sizing.search import searched
from tests.core.properties import quick
from tests.sizing import catalogued

models = st.sampled_from(model_ids()).map(catalogued.model)
gpus = st.sampled_from(accelerator_names()).map(catalogued.gpu)
requirements = st.builds(
    Requirements,
    objective=st.sampled_from(["throughput", "latency", "cost"]),
    gpus=st.none() | st.sampled_from([1, 2, 4, 8, 16, 32]),
    attention_dp=st.none() | st.sampled_from([1, 2, 4, 8]),
    expert=st.none() | st.sampled_from([1, 2, 4, 8]),
    memory_fraction=st.none() | st.floats(0.3, 0.95),
    kv_dtype=st.sampled_from(["auto", "fp8_e4m3"]),
    context=st.none() | st.sampled_from([2048, 32768]),
    max_running=st.none() | st.integers(1, 5000),
)


def plans(model: Architecture, gpu: Gpu, required: Requirements) -> tuple[Plan, ...]:
    found = searched(model, gpu, required)
    return () if isinstance(found, Impossible) else found


@quick()
@given(models, gpus, requirements)
def test_every_plan_is_valid_fits_and_keeps_to_the_wishes(
    model: Architecture, gpu: Gpu, required: Requirements
) -> None:
    for plan in plans(model, gpu, required):
        used = plan.memory
        assert broken(model, gpu, plan.split, plan.nodes) is None
        assert used.weights.total + used.kv_cache <= used.usable
        assert used.unused < used.cell * max(1, required.page_size or 64)
        assert plan.kv_tokens == used.tokens * plan.split.attention_dp
        assert used.tokens >= (required.context or required.workload.tokens)
        assert required.gpus in (None, plan.split.gpus)
        assert required.attention_dp in (None, plan.split.attention_dp)
        assert required.expert in (None, plan.split.expert)
        assert required.memory_fraction in (None, used.fraction)
        assert plan.estimate.requests_per_second > 0


@quick()
@given(models, gpus, requirements, st.integers(1, 64))
def test_more_memory_never_gives_fewer_tokens(
    model: Architecture, gpu: Gpu, required: Requirements, more_gib: int
) -> None:
    """With the fraction and the chunk fixed: by themselves SGLang's defaults reserve more on a larger GPU."""
    fixed = replace(required, memory_fraction=required.memory_fraction or 0.8, gpus=required.gpus or 8)
    before = {plan.split: plan.kv_tokens for plan in plans(model, gpu, fixed)}
    assume(before)
    larger = replace(gpu, memory_mib=gpu.memory_mib + 1024 * more_gib)
    after = {plan.split: plan.kv_tokens for plan in plans(model, larger, fixed)}
    assert all(after.get(split, 0) >= tokens for split, tokens in before.items())


@quick()
@given(models, gpus, requirements)
def test_more_to_choose_from_is_never_worse(model: Architecture, gpu: Gpu, required: Requirements) -> None:
    """Freeing what was fixed keeps what fitted among the choices, and the objective at least as good."""
    fitting = plans(model, gpu, required)
    assume(fitting)
    free = plans(model, gpu, replace(required, attention_dp=None, expert=None))
    assert {plan.split for plan in fitting} <= {plan.split for plan in free}
    if required.gpus is not None and required.objective == "throughput":
        best = max(plan.estimate.requests_per_second for plan in fitting)
        assert free[0].estimate.requests_per_second >= best * 0.999


@quick()
@given(models, gpus, requirements)
def test_the_same_question_has_the_same_answer(model: Architecture, gpu: Gpu, required: Requirements) -> None:
    first = plans(model, gpu, required)
    searched.cache_clear()
    assert plans(model, gpu, required) == first
