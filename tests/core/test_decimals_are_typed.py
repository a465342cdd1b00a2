"""Decimals are text on the wire and numbers inside; the text stays as it was written."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.v1alpha1.engine import MeasuredPerformance
from heterollm_controllers.api.v1alpha1.routing import ParameterChange, Routing
from heterollm_controllers.engines.revisions import asked_of
from tests.core.builders import api_tier, spec
from tests.core.properties import quick
from tests.core.world import settled


def measured(text: str) -> dict[str, object]:
    return api_tier(model={"id": "Qwen/Qwen3-8B"}, engine={"measured": {"requestsPerSecond": text}})


@quick()
@given(st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,6})?", fullmatch=True))
def test_a_decimal_goes_back_to_the_wire_as_it_was_written(text: str) -> None:
    read = MeasuredPerformance.model_validate({"requestsPerSecond": text})
    assert read.requests_per_second == float(text)
    assert read.model_dump(mode="json", by_alias=True, exclude_none=True) == {"requestsPerSecond": text}
    assert MeasuredPerformance.model_validate(read.model_dump()) == read


@pytest.mark.parametrize(("text", "other"), [("0.7", "0.70"), ("012.5", "12.5")])
def test_a_revision_stands_for_what_was_written(text: str, other: str) -> None:
    def asked(rate: str) -> object:
        whole = spec(measured(rate))
        return asked_of(whole, whole.engine_tiers[0])["tier"]["engine"]["measured"]

    assert asked(text) == {"requestsPerSecond": text}
    assert asked(text) != asked(other)


def test_a_default_is_left_out_only_as_it_is_spelled() -> None:
    assert Routing.model_validate({"complexityThreshold": "0.7"}) == Routing()
    spelled = Routing.model_validate({"complexityThreshold": "0.70"})
    assert spelled.model_dump(mode="json", by_alias=True, exclude_defaults=True) == {"complexityThreshold": "0.70"}


def test_another_spelling_restarts_nothing() -> None:
    world = settled(measured("12.5"))
    before = world.uids()
    world.change(measured("012.50"))
    world.settle()
    assert world.uids() == before
    assert world.status["tiers"][0]["sizing"]["performance"]["requestsPerSecond"] == "012.50"


@pytest.mark.parametrize("text", ["", "much", "0x10", 0.5])
def test_what_is_no_decimal_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        ParameterChange.model_validate({"temperature": text})


def test_it_is_a_number_wherever_a_number_is_wanted() -> None:
    half = DecimalNumber("0.50")
    assert (half, half * 2, f"{half}", json.dumps(half), repr(half)) == (0.5, 1.0, "0.5", "0.5", "0.5")
    assert half != DecimalNumber("0.5")
    for same in (copy.deepcopy(half), pickle.loads(pickle.dumps(half))):
        assert same.text == "0.50"
