"""What each gate of a migration says at a step, for people and for the decision."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.migration import Gates
from heterollm_controllers.api.v1alpha1.migration_status import GateStatus, SideTotals
from heterollm_controllers.api.vocabulary import GateName, GateState
from heterollm_controllers.traffic.migration_gates import Counted, Verdict, judge, requests_needed
from heterollm_controllers.traffic.side_totals import bursts, together

__all__ = ["SLOW_SHARE", "gate_states"]

SLOW_SHARE = 0.01
"""Of streamed answers that may begin late: so the 99th percentile keeps the limit."""
_TOLD_BURSTS = 1.5
_FARTHEST = timedelta(days=3650)


def gate_states(
    gates: Gates,
    small: SideTotals,
    control: SideTotals,
    earlier: SideTotals,
    per_second: float | None,
    saving: float | None,
    now: datetime,
) -> tuple[GateStatus, ...]:
    """The state of each gate that the spec asks for.

    Args:
        small: what was counted of this step, of requests that the tiers other than the last were to answer.
        control: the same of those that the last tier was to answer in their place.
        earlier: the control side of earlier steps, which tells how bursts come.
        per_second: requests of the small side per second at present; None when nobody knows.
        saving: per cent saved; None when it is not known.
    """
    known = together(control, earlier)
    limit = gates.error_percent / 100
    found = [_of_requests("Errors", limit, _errors(small), _errors(control, known), per_second, "failed", now)]
    if gates.first_byte_ms:
        streamed = small.streamed / small.requests if small.requests else 1.0
        rate = per_second * streamed if per_second is not None else None
        what = f"began after {gates.first_byte_ms} ms"
        found.append(_of_requests("FirstByte", SLOW_SHARE, _slow(small), _slow(control, known), rate, what, now))
    if gates.cost_reduction_percent:
        found.append(_cost(gates.cost_reduction_percent, saving))
    return tuple(found)


def _errors(totals: SideTotals, known: SideTotals | None = None) -> Counted:
    """`known`: what tells how they come in bursts, if more does than the totals themselves."""
    known = known or totals
    return Counted(
        totals.requests, totals.failed, bursts(known.minutes, known.requests, known.failed, known.failed_bursts)
    )


def _slow(totals: SideTotals, known: SideTotals | None = None) -> Counted:
    known = known or totals
    return Counted(totals.streamed, totals.slow, bursts(known.minutes, known.streamed, known.slow, known.slow_bursts))


def _of_requests(
    name: GateName, limit: float, small: Counted, control: Counted, per_second: float | None, what: str, now: datetime
) -> GateStatus:
    verdict = judge(limit, small, control)
    state = _state(verdict)
    needed = requests_needed(limit, small, control) if state == "Undecided" else None
    message = f"{small.bad} of {small.requests} {what}, the limit is {100 * limit:g} %"
    if control.requests:
        message += f"; at the last tier {control.bad} of {control.requests}"
    most = max(small.bursts, control.bursts)
    if most >= _TOLD_BURSTS:
        message += f"; they come about {most:.0f} at a time"
    return GateStatus(
        name=name,
        state=state,
        evidence=_evidence(verdict.evidence),
        against=_evidence(verdict.against),
        requests_needed=math.ceil(needed) if needed is not None else None,
        expected_at=_expected(needed, per_second, now),
        message=message,
    )


def _state(verdict: Verdict) -> GateState:
    if verdict.fails:
        return "Failed" if verdict.blamed else "BothFail"
    return "Passed" if verdict.passes else "Undecided"


def _expected(needed: float | None, per_second: float | None, now: datetime) -> datetime | None:
    if needed is None or not per_second or needed / per_second > _FARTHEST.total_seconds():
        return None
    return whole_second(now + timedelta(seconds=needed / per_second))


def _cost(wanted: int, saving: float | None) -> GateStatus:
    if saving is None or math.isnan(saving):
        message = (
            f"a saving of {wanted} % is wanted, and none is known: a price, an engine's rate or the traffic is not"
        )
        return GateStatus(name="Cost", state="Undecided", message=message)
    state: GateState = "Passed" if saving >= wanted else "Undecided"
    return GateStatus(name="Cost", state=state, message=f"{saving:.0f} % are saved, {wanted} % are wanted")


def _evidence(value: float) -> DecimalNumber:
    return DecimalNumber(f"{value:.3g}" if value < 1000 else f"{value:.0f}")
