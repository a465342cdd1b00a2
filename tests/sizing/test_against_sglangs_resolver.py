"""Our verdicts and derived flags beside those of SGLang's own resolver, as recorded by engine-image/oracle."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from heterollm_controllers.flags.arguments import check
from heterollm_controllers.sizing.accelerators import accelerator
from heterollm_controllers.sizing.hf_config import architecture_from
from heterollm_controllers.sizing.plan import Impossible, Plan, Split
from heterollm_controllers.sizing.rules import A2A_SPANS_ALL, broken, launch_refusal
from heterollm_controllers.sizing.search import plan_for
from heterollm_controllers.sizing.wishes import wishes_of
from heterollm_controllers.v1alpha1 import Engine
from tests.sizing import catalogued

_ORACLE = json.loads((Path(__file__).parent / "data" / "oracle-resolver.json").read_text())
_CASES: list[dict[str, Any]] = _ORACLE["cases"]
_NODES = ("--nnodes", "--dist-init-addr")
"""The operator's own; the test gives their number as a wish."""

_STRICTER = (
    "has no attention data parallelism",  # the KV pool is sized by attention DP, the layers ignore it
    "do not divide over",  # fails while the weights load
    "does not divide the tensor-parallel size",
    "-wide blocks of the model's",
    "groups of",
    "KV heads and",
    "has no experts",
    "--dp-size makes copies",
    "exceeds the model's",
    "is not between 0 and 1",  # there is no room for a token, or for anything else
)
"""What SGLang's resolver lets pass and we refuse: it fails later, or is not for the operator to run."""


def _words(flags: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for flag, value in flags.items():
        if flag not in _NODES:
            words += [flag] if value is True else [flag, str(value)]
    return words


@cache
def _outcome(number: int) -> Plan | str:
    """The plan of a recorded launch, or why we refuse it."""
    case = _CASES[number]
    arguments = check(_words(case["flags"]), _ORACLE["release"])
    if arguments.errors:
        return "; ".join(arguments.errors)
    model = architecture_from(case["model"], _ORACLE["models"][case["model"]])
    gpu = accelerator(case["gpu"]) or catalogued.gpu("L4")  # a T4 is not in the catalogue; only its memory matters
    nodes = case["flags"].get("--nnodes", 1)
    try:
        wishes, _ = wishes_of(Engine(nodes=nodes), 64, arguments)
        tensor = wishes.tensor or 1
        expert = tensor if wishes.a2a in A2A_SPANS_ALL else wishes.expert or 1
        split = Split(tensor, wishes.attention_dp or 1, expert, wishes.pipeline or 1, wishes.a2a, wishes.moe_dense)
        memory_mib = _ORACLE["gpus"][case["gpu"]]["memory_mib"]
        page = wishes.page_size or gpu.page_size
        why = launch_refusal(model, wishes.context, wishes.chunked_prefill, page) or broken(model, gpu, split, nodes)
        if why:
            return why
        return plan_for(model, replace(gpu, memory_mib=memory_mib), wishes, split, nodes)
    except Impossible as refusal:
        return refusal.message


def _shown(case: dict[str, Any]) -> str:
    return f"{case['model'].rpartition('/')[2]} {case['gpu']} {' '.join(_words(case['flags']))}"


_NUMBERED = list(enumerate(_CASES))
_TRANSLATED = ("--cuda-graph-max-bs",)
"""SGLang refuses them as ambiguous; we put today's word in their place, and say so."""
_REFUSED = [n for n, case in _NUMBERED if case["verdict"] == "error" and not case["flags"].keys() & {*_TRANSLATED}]
_TAKEN = [number for number, case in _NUMBERED if case["verdict"] == "ok"]


def test_the_oracle_is_large_enough_to_mean_something() -> None:
    assert len(_CASES) >= 200
    assert len(_REFUSED) >= 20


@pytest.mark.parametrize("number", _REFUSED, ids=lambda number: _shown(_CASES[number]))
def test_what_sglang_refuses_we_refuse(number: int) -> None:
    assert isinstance(_outcome(number), str)


@pytest.mark.parametrize("number", _TAKEN, ids=lambda number: _shown(_CASES[number]))
def test_what_sglang_takes_we_take_or_refuse_for_a_known_reason(number: int) -> None:
    outcome = _outcome(number)
    if isinstance(outcome, str):
        assert any(reason in outcome for reason in _STRICTER), outcome


@pytest.mark.parametrize("number", _TAKEN, ids=lambda number: _shown(_CASES[number]))
def test_derived_flags_are_sglangs(number: int) -> None:
    plan = _outcome(number)
    if isinstance(plan, str):
        return
    wanted = _ORACLE["usual"] | _CASES[number]["resolved"]
    split = plan.split
    ours = {
        "tp": split.tensor,
        "attn_dp": split.attention_dp,
        "ep": split.expert,
        "pp": split.pipeline,
        "a2a": split.a2a,
        "chunked_prefill_size": plan.chunked_prefill,
        "decode_max_bs": plan.decode_batch,
    }
    assert ours == {name: wanted[name] for name in ours}
    assert plan.memory.fraction == pytest.approx(wanted["mem_fraction_static"], abs=0.0005)
