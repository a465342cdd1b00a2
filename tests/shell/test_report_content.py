"""What a report says follows from the figures, and it says so where something is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heterollm_cli.reporting.content import Subject, sections
from heterollm_cli.reporting.document import Document, Section
from heterollm_cli.reporting.figures import Figures, Flow, figures_of
from heterollm_cli.reporting.markdown import markdown
from heterollm_cli.reporting.page import page
from heterollm_cli.reporting.threshold import quiet_stretches, share_at, suggestion
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from tests.golden.reports import figures, subject

LOW_AND_HIGH = [(0.0625, 900.0), (0.125, 900.0), (0.5, 900.0), (0.9375, 905.0), (1.0, 1000.0)]


def section(title: str, what: Subject) -> Section:
    found = [one for one in sections(what) if one.title == title]
    assert len(found) == 1, f"{title}: {[one.title for one in sections(what)]}"
    return found[0]


def titles(what: Subject) -> list[str]:
    return [one.title for one in sections(what)]


def test_the_saving_is_stated_with_its_counterfactual() -> None:
    # 39,514 answers in an hour: 10.98/s x 1.05 / 3 = 3.84, so 4 engines at $32; paid were $36.
    said = section("Cost", subject(figures())).sentences[1]
    assert said.startswith("Saving: 72 % of $128.00")
    assert "4 engines at $32.00 per hour" in said


def test_a_loss_is_said_to_be_one() -> None:
    known = figures(dollars={"small": 100.0, "large": 156.0})
    assert section("Cost", subject(known)).sentences[1].startswith("Saving: -100 % of $128.00")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"dollars": {"small": 4.0}}, "what large costs is not known"),
        ({"engine_rate": {"small": 18.0}}, "No saving is known: what an engine of large does"),
        ({"engine_dollars": {"small": 4.0}}, "No saving is known: what an engine of large does"),
    ],
)
def test_what_is_not_known_saves_nothing(more: dict[str, Any], said: str) -> None:
    sentences = section("Cost", subject(figures(**more))).sentences
    assert said in sentences[-1]
    assert not any(sentence.startswith("Saving") for sentence in sentences)


def test_a_service_without_a_price_is_no_gift() -> None:
    known = figures(dollars={"small": 4.0}, gpu_seconds={"small": 3600.0})
    table = section("Cost", subject(known)).table
    assert table is not None
    assert table.rows[1] == ("large", "-", "unknown", "-")


def with_a_service(**external: Any) -> Subject:
    """The large tier is one."""
    known = figures(dollars={"small": 4.0}, gpu_seconds={"small": 3600.0})
    what = subject(known)
    tiers = what.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)["tiers"]
    service = {"name": "large", "external": {"url": "https://far/v1", "model": "far", **external}}
    return replace(what, spec=HeteroLLMClusterSpec.model_validate({"tiers": [tiers[0], service]}))


def test_a_service_costs_what_it_bills_and_is_compared_with_by_that() -> None:
    """0.6 million tokens of prompts at $10 and 0.1 of answers at $40: $10, and $12 for those of the small tier."""
    cost = section("Cost", with_a_service(dollarsPerMillionTokens={"input": "10", "output": "40"}))
    assert cost.table is not None
    assert cost.table.rows[1][:3] == ("large", "-", "$10.00")
    assert cost.sentences[1].startswith("Saving: 36 % of $22.00. That is the counterfactual, large alone: the tokens")


def test_a_service_that_nobody_has_priced_saves_nothing() -> None:
    assert "what large costs is not known" in section("Cost", with_a_service()).sentences[0]


def test_a_removed_tier_is_still_there_with_its_answers() -> None:
    known = figures()
    known = replace(known, flows=[*known.flows, Flow("old", "old", "model", 200, False, 70)])
    table = section("Who answered", subject(known)).table
    assert table is not None
    assert [row[:2] for row in table.rows] == [("small", "31,500"), ("large", "8,014"), ("old", "70")]


def test_only_an_observing_cluster_is_told_what_would_go_where() -> None:
    assert "What would go where" in titles(subject(figures(), "Observing", 0))
    assert "What would go where" not in titles(subject(figures(), "Advancing", 10))


def test_without_requests_there_is_nothing_but_status() -> None:
    assert titles(subject(Figures())) == ["Summary", "Step by step", "Gates"]
    assert "no request of this cluster" in section("Summary", subject(Figures())).sentences[1]


def test_numbers_that_are_none_are_left_out() -> None:
    rows = {"first_byte_p99": [{"metric": {"heterollm_tier": name}, "value": [0, value]} for name, value in ROWS]}
    assert figures_of(rows).first_byte_p99 == {"large": 5.0}


ROWS = (("small", "NaN"), ("large", "5"), ("far", "+Inf"))


def test_text_of_the_cluster_is_text_in_both_forms() -> None:
    nasty = Section("a", ("<script>alert(1)</script> `x`",))
    document = Document("<b>&", (nasty,))
    assert "<script>" not in markdown(document)
    assert "<script>" not in page(document)
    assert "<code>x</code>" in page(document)
    assert "&lt;b&gt;&amp;" in page(document)


def test_the_threshold_stays_where_hardly_anybody_scores() -> None:
    assert suggestion(LOW_AND_HIGH, 0.7) == (0.7, suggestion(LOW_AND_HIGH, 0.7)[1])
    assert "between 0.0625 and 0.9375" in suggestion(LOW_AND_HIGH, 0.7)[1]


def test_a_threshold_among_many_requests_is_moved_to_the_nearest_gap() -> None:
    scores = [(0.25, 400.0), (0.5, 400.0), (0.75, 700.0), (1.0, 1000.0)]
    assert quiet_stretches(scores) == [(0.25, 0.5)]
    assert suggestion(scores, 0.6)[0] == 0.38


def test_no_threshold_stands_out_among_scores_that_are_everywhere() -> None:
    scores = [(number / 16, 10.0 * number) for number in range(1, 17)]
    assert suggestion(scores, 0.7)[0] == 0.7
    assert "none stands out" in suggestion(scores, 0.7)[1]


@pytest.mark.parametrize(("threshold", "share"), [(0.0, 0.0), (0.125, 0.25), (0.25, 0.5), (0.5, 0.5), (1.0, 1.0)])
def test_shares_below_a_threshold_are_read_from_buckets(threshold: float, share: float) -> None:
    assert share_at([(0.25, 50.0), (0.5, 50.0), (1.0, 100.0)], threshold) == share


def test_where_nothing_was_scored_no_threshold_is_suggested() -> None:
    assert share_at([], 0.5) is None
    assert "Suggested threshold" not in titles(subject(figures(scores=[])))
