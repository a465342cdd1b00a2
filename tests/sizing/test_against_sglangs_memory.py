"""Our weights, KV cells and KV tokens beside those of SGLang's own model classes and KV-cache configurator.

Recorded by engine-image/oracle: the classes were built on torch's meta device, which holds shapes and no numbers.
"""

from __future__ import annotations

import pytest

from tests.sizing.oracle import Launch, launches

_ALL = launches("memory")
_BUILT = [launch for launch in _ALL if not launch.refused]
_REFUSED = [launch for launch in _ALL if launch.refused]
_STRICTER = (
    "has no attention data parallelism",  # the layers ignore it, while the KV pool does not
    "has no experts",  # taken and ignored
    "has no pipeline parallelism",  # every stage gets all layers
)
"""What SGLang builds and we refuse."""


def test_the_oracle_is_large_enough_to_mean_something() -> None:
    assert len(_BUILT) >= 60
    assert len(_REFUSED) >= 10


@pytest.mark.parametrize("launch", _REFUSED, ids=str)
def test_what_sglang_cannot_build_we_refuse(launch: Launch) -> None:
    assert isinstance(launch.ours, str), launch.case["error"]


@pytest.mark.parametrize("launch", _BUILT, ids=str)
def test_weights_are_sglangs(launch: Launch) -> None:
    """To 0.1 % of all of them. DeepSeek's shared expert is one more routed expert there, so these two are one here."""
    plan = launch.ours
    if isinstance(plan, str):
        assert any(reason in plan for reason in _STRICTER), plan
        return
    theirs = launch.resolved["weights"]
    ours = plan.memory.weights
    tolerance = 0.001 * sum(theirs.values())
    if ours.vision:  # the oracle counts its parts with those of the decoder
        assert ours.total == pytest.approx(sum(theirs.values()), rel=0.003)
        return
    assert ours.attention == pytest.approx(theirs["attention"] + theirs.get("other", 0), abs=tolerance)
    assert ours.mlp + ours.experts == pytest.approx(theirs.get("mlp", 0) + theirs.get("experts", 0), abs=tolerance)
    assert ours.embeddings == pytest.approx(theirs["embeddings"], abs=tolerance)
    assert ours.buffers == pytest.approx(theirs.get("rotary", 0) + theirs.get("copies", 0), abs=tolerance)


@pytest.mark.parametrize("launch", _BUILT, ids=str)
def test_cells_tokens_and_requests_are_sglangs(launch: Launch) -> None:
    plan = launch.ours
    if isinstance(plan, str):
        return
    theirs = launch.resolved
    # An engine holds what its fullest stage does; one stage may have a layer more than the first.
    stages = [theirs, *theirs.get("later_stages", [])]
    cell, tokens = max(stage["cell_bytes"] for stage in stages), min(stage["tokens"] for stage in stages)
    assert plan.memory.fraction == pytest.approx(theirs["mem_fraction_static"], abs=0.0005)
    assert plan.memory.cell == int(cell)
    assert plan.memory.tokens == pytest.approx(tokens, rel=0.003)
    if tokens:
        assert plan.max_running == pytest.approx(theirs["max_requests"] * plan.split.attention_dp, rel=0.01)
