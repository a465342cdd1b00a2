"""Who answers whose requests: the fallback in force as shares of each tier's requests."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.v1alpha1.status import FallbackStatus

__all__ = ["diverted", "shares", "state_in_force"]


def shares(status: FallbackStatus | None, tiers: Sequence[str]) -> dict[str, int]:
    """Share in per cent of its requests that each tier gets; the rest goes to the tier that stands in for it."""
    if status is None or status.dry_run:
        return dict.fromkeys(tiers, 100)
    if status.state == "PureLarge":
        return {**dict.fromkeys(tiers[:-1], status.percent), tiers[-1]: 100}
    resting = {item.tier: item.percent for item in status.escalations}
    return {tier: resting.get(tier, 100) for tier in tiers}


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
