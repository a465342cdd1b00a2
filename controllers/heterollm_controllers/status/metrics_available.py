"""MetricsAvailable: whether the metrics are there that the cluster is steered by."""

from __future__ import annotations

from heterollm_controllers.api.v1alpha1.status import Condition
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.status.conditions import ConditionUpdate

__all__ = ["metrics_available"]


def metrics_available(missing: str, configured: bool, read: bool, before: Condition | None) -> ConditionUpdate:
    """Whether the metrics are there that the cluster is steered by.

    Args:
        missing: what is missing of them.
        configured: whether the operator knows a Prometheus.
        read: whether it has asked it since it started; until then, what it said last holds.
        before: the condition as it was.
    """
    kind = ConditionType.METRICS_AVAILABLE
    if not configured:
        return ConditionUpdate(
            kind, False, Reason.NOT_CONFIGURED, "the operator knows no Prometheus: see --prometheus-url"
        )
    if not read:
        if before is not None and before.reason != Reason.NOT_CONFIGURED:
            return ConditionUpdate(kind, before.status == "True", Reason(before.reason), before.message)
        return ConditionUpdate(kind, False, Reason.INCOMPLETE, "Prometheus was not asked yet")
    if missing:
        return ConditionUpdate(kind, False, Reason.INCOMPLETE, missing)
    return ConditionUpdate(kind, True, Reason.COMPLETE, "all figures are there")
