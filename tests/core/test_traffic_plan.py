"""One share of its requests for each tier, whoever wants something of it; what loses is on record with its reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.traffic.plan import PRECEDENCE, ShareProposal, plan_traffic

TIERS = ("small", "medium", "large")

proposals = st.lists(
    st.builds(
        ShareProposal,
        st.sampled_from(PRECEDENCE),
        st.dictionaries(st.sampled_from([*TIERS, "gone"]), st.integers(0, 100)),
        st.just("why"),
    ),
    max_size=4,
)


def test_nobody_wants_anything() -> None:
    plan = plan_traffic(TIERS, [])
    assert plan.shares == {"small": 100, "medium": 100, "large": 100}
    assert (plan.won, plan.lost) == ({}, ())


def test_of_a_migration_and_the_fallback_the_lower_share_holds_and_a_human_goes_before_the_fallback() -> None:
    migration = ShareProposal("Migration", {"small": 30, "medium": 30}, "step 2 of 5")
    fallback = ShareProposal("Fallback", {"small": 0, "medium": 50}, "small failed")
    forced = ShareProposal("Forced", {"small": 60}, "spec.fallback.force is Escalated")
    plan = plan_traffic(TIERS, [migration, fallback])
    assert plan.shares == {"small": 0, "medium": 30, "large": 100}
    assert [(item.tier, item.proposal, item.why) for item in plan.lost] == [
        ("small", migration, "Fallback wants 0 %: small failed"),
        ("medium", fallback, "Migration wants 30 %: step 2 of 5"),
    ]
    plan = plan_traffic(TIERS, [fallback, forced])
    assert plan.shares == {"small": 60, "medium": 50, "large": 100}
    assert plan_traffic(TIERS, [migration, forced]).shares == {"small": 30, "medium": 30, "large": 100}


def test_who_wants_the_same_has_not_lost() -> None:
    both = [ShareProposal("Migration", {"small": 5}, ""), ShareProposal("Fallback", {"small": 5}, "")]
    assert plan_traffic(TIERS, both).lost == ()


@given(proposals)
def test_every_tier_has_one_share_that_somebody_wanted_or_all(wanted: list[ShareProposal]) -> None:
    plan = plan_traffic(TIERS, wanted)
    assert {*plan.shares} == {*TIERS}
    for tier, share in plan.shares.items():
        asked = [item for item in wanted if tier in item.shares]
        assert share in [item.shares[tier] for item in asked] or (share == 100 and not asked)
        migrations = [item.shares[tier] for item in asked if item.proposer == "Migration"]
        assert all(share <= wanted for wanted in migrations), "nobody gets more than it has migrated"
        others = [item for item in asked if item.proposer != "Migration"]
        ranks = [PRECEDENCE.index(item.proposer) for item in others]
        first = next((item.shares[tier] for item in others if PRECEDENCE.index(item.proposer) == min(ranks)), 100)
        assert share == min([first, *migrations])
    assert all(item.proposal.shares[item.tier] != plan.shares[item.tier] for item in plan.lost)
