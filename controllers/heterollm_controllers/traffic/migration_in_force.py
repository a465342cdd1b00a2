"""What the migration on record means for the requests of each tier."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from heterollm_controllers.api.v1alpha1.migration_status import MigrationStatus
from heterollm_controllers.api.v1alpha1.status import FallbackStatus
from heterollm_controllers.api.vocabulary import MigrationState
from heterollm_controllers.traffic.fallback_in_force import diverted
from heterollm_controllers.traffic.plan import ShareProposal

__all__ = ["GOING_BACK", "meant_percent", "migration_shares"]

GOING_BACK: Collection[MigrationState] = frozenset({"Observing", "RollingBack", "RolledBack"})
"""States in which the last tier answers everything, or will as soon as it has room."""


def meant_percent(record: MigrationStatus | None) -> int:
    """Share of their requests that all tiers but the last are meant to get, however far that is from what is so."""
    if record is None:
        return 100
    return 0 if record.state in GOING_BACK else record.percent


def migration_shares(
    record: MigrationStatus | None, tiers: Sequence[str], serving: Collection[str], fallback: FallbackStatus | None
) -> list[ShareProposal]:
    """The shares that a migration wants.

    Args:
        tiers: of the spec, cheapest first.
        serving: those that have an engine which serves. The others get nothing: they would only be asked in vain.
    """
    if record is None or record.state == "Complete" or len(tiers) < 2:
        return []
    *others, last = tiers
    if last not in serving or last in diverted(fallback, tiers):
        # Two tiers never answer for each other.
        return []
    shares = {name: record.percent if name in serving else 0 for name in others}
    return [ShareProposal("Migration", shares, f"{record.state} at {record.percent} %")]
