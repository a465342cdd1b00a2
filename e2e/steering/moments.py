"""What Prometheus has of a scenario, in the form of the simulator's moments, so that the same chart shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from e2e.monitoring.start import Monitoring
from heterollm_controllers.simulation.chart import timeline
from heterollm_controllers.simulation.run import TICK, Moment

__all__ = ["TIERS", "moments", "picture"]

TIERS = ("small", "large")
_STATES = ("PureLarge", "Escalated", "Normal")
_OF_CHAT = 'heterollm_cluster="chat"'


def moments(monitoring: Monitoring, start: float, end: float) -> list[Moment]:
    """From `start` to `end`, in seconds since 1970."""
    times = [start + number * TICK for number in range(int((end - start) / TICK) + 1)]

    def course(query: str) -> list[float]:
        points = dict(monitoring.series(query, times[0], times[-1], TICK))
        return [_at(points, time) for time in times]

    def by_tier(query: str) -> list[tuple[float, ...]]:
        return list(zip(*(course(query.replace("TIER", tier)) for tier in TIERS), strict=True))

    requests = f'sum(rate(heterollm_router_requests_total{{{_OF_CHAT}, wanted_tier="TIER"'
    offered, refused, failed = (by_tier(f"{requests}{more}}}[15s]))") for more in ("", ', code="429"', ', code=~"5.."'))
    queue = by_tier(f'sum(sglang:num_queue_reqs{{{_OF_CHAT}, heterollm_tier="TIER"}})')
    engines = 'max(heterollm_tier_engines{cluster="chat", tier="TIER", kind="KIND"})'
    serving, target = (by_tier(engines.replace("KIND", kind)) for kind in ("serving", "target"))
    states = [course(f'max(heterollm_cluster_state{{cluster="chat", state="{state}"}})') for state in _STATES]
    return [
        Moment(
            second=round(time - start),
            offered=offered[index],
            refused=refused[index],
            failed=failed[index],
            queue=queue[index],
            serving=_whole(serving[index]),
            present=_whole(serving[index]),
            target=_whole(target[index]),
            state=next((state for state, line in zip(_STATES, states, strict=True) if line[index]), "Normal"),
        )
        for index, time in enumerate(times)
    ]


def picture(monitoring: Monitoring, start: float, end: float) -> str:
    """The same as SVG."""
    title = "A spike, and a tier that breaks"
    return timeline(moments(monitoring, start, end), TIERS, title, "real time, simulated engines")


def _at(points: dict[float, float], time: float) -> float:
    """The figure of a time; 0 where Prometheus has none."""
    found = min(points, key=lambda at: abs(at - time), default=math.inf)
    value = points[found] if abs(found - time) < TICK / 2 else 0.0
    return 0.0 if math.isnan(value) else value


def _whole(values: Sequence[float]) -> tuple[int, ...]:
    return tuple(round(value) for value in values)
