"""What goes into one reconcile of a cluster and what comes out of it: the contract of the pure core with the shell.

The shell gathers an `Observed`, calls `reconcile`, and carries the `Outcome` out in this order: `check` (dry runs, then
reconcile again with the answers), `status` (fenced by the observed resourceVersion), `events`, `apply`, `delete`. What
is refused of these stops only what builds on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heterollm_controllers.api.objects import Delete, Event, Failure, Manifest
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.cost.tier_cost import TierCost
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.reconcile.recheck import Recheck

__all__ = ["Observed", "Outcome", "Refusal"]


@dataclass(frozen=True)
class Refusal:
    """Why a dry run did not succeed.

    Attributes:
        reason: POD_TEMPLATE_INVALID: the manifest is wrong; FORBIDDEN: a policy, webhook, quota or missing permission
            speaks against it; NOT_CHECKED: the API server could not say.
        message: the API server's own words.
    """

    reason: Reason
    message: str


@dataclass(frozen=True)
class Observed:
    """What the watches hold of one cluster.

    Attributes:
        cluster: the HeteroLLMCluster as the API server gave it.
        children: every live object that carries the cluster's label, pods included, whoever owns it.
        verdicts: answers to the `Outcome.check` requests of the same observation by the digest of the object
            (`diff.digest`): None when the API server accepted the dry run.
        failures: what of the previous reconcile could not be carried out.
        readings: the metrics of the last tick; None when no Prometheus is configured or none was asked yet.
        unseen: resources whose watch the API server refuses. Children of these kinds may exist or not.
    """

    cluster: Mapping[str, Any]
    children: tuple[Mapping[str, Any], ...] = ()
    dry_run_results: Mapping[str, Refusal | None] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    readings: Readings | None = None
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What to do now.

    Attributes:
        status: the complete status the cluster should have; written when it differs from the observed one, and also
            when there is anything to apply or delete: unchanged it changes nothing, but a stale reconcile is refused.
        events: transitions, reported once the status that records them is stored.
        apply: the children that differ from their live state, in the order in which to apply them;
            neighbours of one kind do not depend on each other and may go side by side.
        delete: children to delete, after everything is applied.
        check: objects to dry-run before anything else; when not empty the rest is empty, and the shell reconciles
            the same observation again with the verdicts.
        requeue_after: seconds until the next reconcile even if nothing happens; None for "on the next event".
        recheck: tells whether newer metrics make another reconcile due; None when nothing is to be steered.
        retry: whether to reconcile again after a back-off: something was refused or could not be asked, and no event
            tells when that ends.
        costs: what the tiers cost now; None where that could not be seen, which is not zero.
        defects: errors of our own that concerned one tier only; they are on record in the status, and to be logged.
    """

    status: Manifest = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    apply: tuple[Manifest, ...] = ()
    delete: tuple[Delete, ...] = ()
    check: tuple[Manifest, ...] = ()
    requeue_after: float | None = None
    recheck: Recheck | None = None
    retry: bool = False
    costs: tuple[TierCost, ...] | None = None
    defects: tuple[Exception, ...] = ()
