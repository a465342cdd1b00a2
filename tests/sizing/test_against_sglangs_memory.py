"""Our weights, KV cells and KV tokens beside those of SGLang's own model classes and KV-cache configurator.

Recorded by engine-image/oracle: the classes were built on torch's meta device, which holds shapes and no numbers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from heterollm_controllers.flags.arguments import check
from heterollm_controllers.sizing.hf_config import architecture_from
from heterollm_controllers.sizing.plan import Plan, Split
from heterollm_controllers.sizing.rules import A2A_SPANS_ALL, broken
from heterollm_controllers.sizing.search import plan_for
from heterollm_controllers.sizing.wishes import wishes_of
from heterollm_controllers.v1alpha1 import Engine
from tests.sizing import catalogued

_ORACLE = json.loads((Path(__file__).parent / "data" / "oracle-memory.json").read_text())
_CASES: list[dict[str, Any]] = _ORACLE["cases"]
_NODES = ("--nnodes", "--dist-init-addr")
_STRICTER = (
    "has no attention data parallelism",  # the layers ignore it, while the KV pool does not
    "has no experts",  # taken and ignored
    "has no pipeline parallelism",  # every stage gets all layers
)
"""What SGLang builds and we refuse."""


def _words(flags: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for flag, value in flags.items():
        if flag not in _NODES:
            words += [flag] if value is True else [flag, str(value)]
    return words


@cache
def _outcome(number: int) -> Plan | str:
    case = _CASES[number]
    arguments = check(_words(case["flags"]), _ORACLE["release"])
    model = architecture_from(case["model"], _ORACLE["models"][case["model"]])
    gpu = replace(catalogued.gpu(case["gpu"]), memory_mib=_ORACLE["gpus"][case["gpu"]]["memory_mib"])
    nodes = case["flags"].get("--nnodes", 1)
    wishes, _ = wishes_of(Engine(nodes=nodes), 64, arguments)
    tensor = wishes.tensor or 1
    expert = tensor if wishes.a2a in A2A_SPANS_ALL else wishes.expert or 1
    attention_dp, stages = wishes.attention_dp or 1, wishes.pipeline or 1
    split = Split(tensor, attention_dp, expert, stages, wishes.a2a, wishes.moe_dense, wishes.dp_head)
    free_mib = (_ORACLE["usual"] | case.get("resolved", {}))["free_before_mib"]
    return broken(model, gpu, split, nodes) or plan_for(
        model, gpu, replace(wishes, free_gib=free_mib / 1024), split, nodes
    )


def _shown(number: int) -> str:
    case = _CASES[number]
    return f"{case['model'].rpartition('/')[2]} {case['gpu']} {' '.join(_words(case['flags']))}"


_BUILT = [number for number, case in enumerate(_CASES) if case["verdict"] == "ok"]
_REFUSED = [number for number, case in enumerate(_CASES) if case["verdict"] != "ok"]


def _resolved(number: int) -> dict[str, Any]:
    values: dict[str, Any] = _ORACLE["usual"] | _CASES[number]["resolved"]
    return values


def test_the_oracle_is_large_enough_to_mean_something() -> None:
    assert len(_BUILT) >= 60
    assert len(_REFUSED) >= 10


@pytest.mark.parametrize("number", _REFUSED, ids=_shown)
def test_what_sglang_cannot_build_we_refuse(number: int) -> None:
    assert isinstance(_outcome(number), str), _CASES[number]["error"]


@pytest.mark.parametrize("number", _BUILT, ids=_shown)
def test_weights_are_sglangs(number: int) -> None:
    """To 0.1 % of all of them. DeepSeek's shared expert is one more routed expert there, so these two are one here."""
    plan = _outcome(number)
    if isinstance(plan, str):
        assert any(reason in plan for reason in _STRICTER), plan
        return
    theirs = _resolved(number)["weights"]
    ours = plan.memory.weights
    tolerance = 0.001 * sum(theirs.values())
    if ours.vision:  # the oracle counts its parts with those of the decoder
        assert ours.total == pytest.approx(sum(theirs.values()), rel=0.003)
        return
    assert ours.attention == pytest.approx(theirs["attention"] + theirs.get("other", 0), abs=tolerance)
    assert ours.mlp + ours.experts == pytest.approx(theirs.get("mlp", 0) + theirs.get("experts", 0), abs=tolerance)
    assert ours.embeddings == pytest.approx(theirs["embeddings"], abs=tolerance)
    assert ours.buffers == pytest.approx(theirs.get("rotary", 0) + theirs.get("copies", 0), abs=tolerance)


@pytest.mark.parametrize("number", _BUILT, ids=_shown)
def test_cells_tokens_and_requests_are_sglangs(number: int) -> None:
    plan = _outcome(number)
    if isinstance(plan, str):
        return
    theirs = _resolved(number)
    # An engine holds what its fullest stage does; one stage may have a layer more than the first.
    stages = [theirs, *theirs.get("later_stages", [])]
    cell, tokens = max(stage["cell_bytes"] for stage in stages), min(stage["tokens"] for stage in stages)
    assert plan.memory.fraction == pytest.approx(theirs["mem_fraction_static"], abs=0.0005)
    assert plan.memory.cell == int(cell)
    assert plan.memory.tokens == pytest.approx(tokens, rel=0.003)
    if tokens:
        assert plan.max_running == pytest.approx(theirs["max_requests"] * plan.split.attention_dp, rel=0.01)
