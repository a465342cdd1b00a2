"""What the fallback on record means for the requests of each tier."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.v1alpha1.status import FallbackStatus
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.traffic.plan import Proposer, ShareProposal

__all__ = ["diverted", "fallback_shares", "state_in_force"]


def fallback_shares(status: FallbackStatus | None, tiers: Sequence[str]) -> list[ShareProposal]:
    """The shares that the fallback wants of the tiers' requests; nothing while it is Normal, or a dry run."""
    if status is None or status.dry_run:
        return []
    if status.state == "PureLarge":
        shares = dict.fromkeys(tiers[:-1], status.percent)
    else:
        shares = {item.tier: item.percent for item in status.escalations}
    proposer: Proposer = "Forced" if status.reason == Reason.FALLBACK_FORCED else "Fallback"
    return [ShareProposal(proposer, shares, f"{status.state}: {status.message}")] if shares else []


def diverted(status: FallbackStatus | None, tiers: Sequence[str]) -> list[str]:
    """Tiers whose requests another is to answer, as far as it has room."""
    if status is None or status.dry_run:
        return []
    if status.state == "PureLarge":
        return list(tiers[:-1])
    return [item.tier for item in status.escalations if item.phase != "Watching" and item.tier in tiers]


def state_in_force(status: FallbackStatus | None) -> str:
    """The fallback that the routers know of; a dry run only reports."""
    return "Normal" if status is None or status.dry_run else status.state
