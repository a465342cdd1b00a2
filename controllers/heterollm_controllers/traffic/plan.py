"""Who answers whose requests: proposers want shares, one plan decides.

By hand goes before the fallback. A tier that a migration gives less keeps to that: it is meant for no more yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["LostShare", "Proposer", "ShareProposal", "TrafficPlan", "plan_traffic"]

Proposer = Literal["Forced", "Fallback", "Migration"]

PRECEDENCE: tuple[Proposer, ...] = ("Forced", "Fallback", "Migration")
"""Whose word counts where several want something of one tier, the first before the others; but see `plan_traffic`."""


@dataclass(frozen=True)
class ShareProposal:
    """What a proposer wants.

    Attributes:
        shares: per cent of its requests that a tier gets, by the tier's name; tiers that are not named it leaves alone.
        why: for people.
    """

    proposer: Proposer
    shares: Mapping[str, int]
    why: str


@dataclass(frozen=True)
class LostShare:
    """A share that a proposer wanted and did not get, and why."""

    tier: str
    proposal: ShareProposal
    why: str


@dataclass(frozen=True)
class TrafficPlan:
    """Shares of requests.

    Attributes:
        shares: per cent of its requests that each tier gets; the rest goes to the tier that stands in for it.
        won: the proposal that each tier's share is from; tiers that nobody wants anything of are not in it.
        lost: what was wanted and is not carried out.
    """

    shares: Mapping[str, int] = field(default_factory=dict)
    won: Mapping[str, ShareProposal] = field(default_factory=dict)
    lost: tuple[LostShare, ...] = ()

    def share(self, tier: str) -> int:
        """Per cent of its requests that a tier gets."""
        return self.shares.get(tier, 100)


def plan_traffic(tiers: Sequence[str], proposals: Iterable[ShareProposal]) -> TrafficPlan:
    """One share for each tier: all of its requests, unless somebody wants less.

    A migration and a fallback hold together: of the two, the lower share is in force.
    """
    ranked = sorted(proposals, key=lambda proposal: PRECEDENCE.index(proposal.proposer))
    won: dict[str, ShareProposal] = {}
    lost: list[LostShare] = []
    for tier in tiers:
        asked = [proposal for proposal in ranked if tier in proposal.shares]
        if not asked:
            continue
        migrations = [proposal for proposal in asked if proposal.proposer == "Migration"]
        won[tier] = winner = min([asked[0], *migrations], key=lambda proposal: proposal.shares[tier])
        why = f"{winner.proposer} wants {winner.shares[tier]} %: {winner.why}"
        lost += [LostShare(tier, item, why) for item in asked if item.shares[tier] != winner.shares[tier]]
    shares = {tier: won[tier].shares[tier] if tier in won else 100 for tier in tiers}
    return TrafficPlan(shares, won, tuple(lost))
