"""Our verdicts and derived flags beside those of SGLang's own resolver, as recorded by engine-image/oracle."""

from __future__ import annotations

import pytest

from tests.sizing.oracle import Launch, launches

_ALL = launches("resolver")
_STRICTER = (
    "has no attention data parallelism",  # the KV pool is sized by attention DP, the layers ignore it
    "has no pipeline parallelism",  # every stage gets all layers
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
_TRANSLATED = {"--cuda-graph-max-bs"}
"""SGLang refuses them as ambiguous; we put today's word in their place, and say so."""
_REFUSED = [launch for launch in _ALL if launch.refused and not launch.case["flags"].keys() & _TRANSLATED]
_TAKEN = [launch for launch in _ALL if not launch.refused]


def test_the_oracle_is_large_enough_to_mean_something() -> None:
    assert len(_ALL) >= 200
    assert len(_REFUSED) >= 20


@pytest.mark.parametrize("launch", _REFUSED, ids=str)
def test_what_sglang_refuses_we_refuse(launch: Launch) -> None:
    assert isinstance(launch.ours, str)


@pytest.mark.parametrize("launch", _TAKEN, ids=str)
def test_what_sglang_takes_we_take_or_refuse_for_a_known_reason(launch: Launch) -> None:
    if isinstance(launch.ours, str):
        assert any(reason in launch.ours for reason in _STRICTER), launch.ours


@pytest.mark.parametrize("launch", _TAKEN, ids=str)
def test_derived_flags_are_sglangs(launch: Launch) -> None:
    plan, wanted = launch.ours, launch.resolved
    if isinstance(plan, str):
        return
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
