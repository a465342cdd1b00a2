"""The vocabulary of conditions, reasons and events: every word the operator may say, in one place."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

__all__ = [
    "CachingMode",
    "ConditionType",
    "EnginePhase",
    "EscalationPhase",
    "FallbackState",
    "GateName",
    "GateState",
    "MigrationMode",
    "MigrationState",
    "Reason",
]

EnginePhase = Literal["Pending", "Unschedulable", "Waiting", "Starting", "Serving", "Standby", "Restarting", "Draining"]
"""Where an engine is in its life."""

FallbackState = Literal["Normal", "Escalated", "PureLarge"]
"""The fallback in force: none, level 2 for some tiers, level 3 for all."""

EscalationPhase = Literal["Holding", "Probing", "Ramping", "Watching"]
"""Where a tier at level 2 is on its way back."""

MigrationMode = Literal["Observe", "Auto", "Hold", "Rollback"]
"""What a user wants of a migration."""

MigrationState = Literal["Observing", "Advancing", "Holding", "RollingBack", "RolledBack", "Complete"]
"""How far it is."""

GateName = Literal["Errors", "FirstByte", "Cost"]
GateState = Literal["Passed", "Failed", "Undecided", "BothFail"]
"""What must be seen before a migration goes on, and what it says."""

CachingMode = Literal["Normal", "Aggressive"]
"""Whether conversations are kept on their engine at any price."""


class ConditionType(StrEnum):
    """Types of condition. Ready, Reconciling and Stalled follow kstatus, so GitOps tools wait correctly."""

    ACCEPTED = "Accepted"
    """The spec can be carried out."""
    PROGRAMMED = "Programmed"
    """Every child object is as wanted, and the routing policy is published."""
    READY = "Ready"
    """The current generation serves, and nothing older does."""
    RECONCILING = "Reconciling"
    """The operator is bringing the cluster to the current generation."""
    STALLED = "Stalled"
    """Nothing will change until somebody acts."""
    UPDATE_AVAILABLE = "UpdateAvailable"
    """The operator has a newer engine template than the running engines use."""
    TIERS_COMPATIBLE = "TiersCompatible"
    """A request may move between the tiers: their models share tokenizer, chat template and family."""
    EXTERNAL_TIERS_ANSWER = "ExternalTiersAnswer"
    """The services outside of the cluster do as far as the routers see; only of clusters that have some."""
    METRICS_AVAILABLE = "MetricsAvailable"
    """The figures by which the cluster steers itself are there, and fresh."""


class Reason(StrEnum):
    """Reasons of conditions, decisions and events."""

    # Accepted
    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_ACCELERATOR = "UnknownAccelerator"
    GPUS_DO_NOT_DIVIDE = "GpusDoNotDivide"
    ENGINE_LARGER_THAN_NODES = "EngineLargerThanNodes"
    INVALID_PARALLELISM = "InvalidParallelism"
    DOES_NOT_FIT = "DoesNotFit"
    UNKNOWN_MODEL = "UnknownModel"
    UNREADABLE_MODEL = "UnreadableModel"
    INVALID_FLAGS = "InvalidFlags"
    FAMILY_MISMATCH = "FamilyMismatch"
    POD_TEMPLATE_INVALID = "PodTemplateInvalid"
    INVALID_CA_BUNDLE = "InvalidCaBundle"
    FORBIDDEN = "Forbidden"
    NOT_CHECKED = "NotChecked"

    # Accepted, Programmed
    INTERNAL_ERROR = "InternalError"

    # Programmed
    APPLIED = "Applied"
    APPLYING = "Applying"
    APPLY_FAILED = "ApplyFailed"
    NAME_CONFLICT = "NameConflict"
    POLICY_REFUSED = "PolicyRefused"
    WATCH_REFUSED = "WatchRefused"

    # Ready, Reconciling, Stalled
    SERVING = "Serving"
    ENGINES_STARTING = "EnginesStarting"
    ENGINES_DRAINING = "EnginesDraining"
    ENGINES_UNSCHEDULABLE = "EnginesUnschedulable"
    ENGINE_RESTARTING = "EngineRestarting"
    ROUTERS_STARTING = "RoutersStarting"
    ROLLING_OUT = "RollingOut"
    SETTLED = "Settled"
    NOT_ACCEPTED = "NotAccepted"

    # UpdateAvailable
    UP_TO_DATE = "UpToDate"
    TEMPLATE_CHANGED = "TemplateChanged"

    # TiersCompatible
    SAME_FAMILY = "SameFamily"

    # ExternalTiersAnswer
    NO_PROBLEM = "NoProblem"
    KEY_REFUSED = "KeyRefused"
    MODEL_NOT_FOUND = "ModelNotFound"
    UNREACHABLE = "Unreachable"

    # Decisions
    NEW_REVISION = "NewRevision"
    ENGINE_ADDED = "EngineAdded"
    ENGINE_DRAINED = "EngineDrained"
    ENGINE_RESTARTED = "EngineRestarted"
    ENGINE_RELEASED = "EngineReleased"
    ENGINE_RETRIED = "EngineRetried"
    TIER_REMOVED = "TierRemoved"

    # MetricsAvailable
    COMPLETE = "Complete"
    INCOMPLETE = "Incomplete"
    NOT_CONFIGURED = "NotConfigured"

    # Decisions on the number of engines, and by which rule
    SCALED_UP = "ScaledUp"
    SCALED_DOWN = "ScaledDown"
    SCALING_LIMITED = "ScalingLimited"
    SCALING_FREE = "ScalingFree"
    QUEUE_LONG = "QueueLong"
    QUEUE_PER_ENGINE_LONG = "QueuePerEngineLong"
    FIRST_TOKEN_SLOW = "FirstTokenSlow"
    KV_CACHE_FULL = "KvCacheFull"
    FORECAST_HIGHER = "ForecastHigher"
    TAKES_OVER = "TakesOver"
    WAKES_UP = "WakesUp"
    FEWER_SUFFICE = "FewerSuffice"
    FIXED_BY_HAND = "FixedByHand"
    BOUNDS_CHANGED = "BoundsChanged"
    LIMIT_REACHED = "LimitReached"
    NO_NODE = "NoNode"

    # Decisions on the fallback, and by which rule
    TIER_ESCALATED = "TierEscalated"
    TIER_PROBED = "TierProbed"
    TIER_RETURNS = "TierReturns"
    TIER_RECOVERED = "TierRecovered"
    PURE_LARGE = "PureLarge"
    PURE_LARGE_CLOSES = "PureLargeCloses"
    FALLBACK_FORCED = "FallbackForced"
    FALLBACK_NORMAL = "FallbackNormal"
    ALL_WELL = "AllWell"

    # Decisions on a migration
    MIGRATION_OBSERVES = "MigrationObserves"
    MIGRATION_ADVANCES = "MigrationAdvances"
    MIGRATION_HOLDS = "MigrationHolds"
    MIGRATION_INCONCLUSIVE = "MigrationInconclusive"
    MIGRATION_RESUMES = "MigrationResumes"
    MIGRATION_ROLLS_BACK = "MigrationRollsBack"
    MIGRATION_COMPLETE = "MigrationComplete"
    MIGRATION_ENDED = "MigrationEnded"
