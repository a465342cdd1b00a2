"""What was measured, as a table and as JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from statistics import median

from e2e.bench.router.cases import Case
from e2e.bench.router.measure import Figures

__all__ = ["Results", "as_json", "show"]

Results = Mapping[str, Mapping[Case, Sequence[Figures]]]
"""Side -> case -> one measurement for each repeat."""

_BARS = (
    ("bar", "ours / envoy, CPU per request", "envoy", 2.0),
    ("bar", "ours / smg, CPU per request", "smg", 1.0),
    ("stretch", "ours / envoy, CPU per request", "envoy", 1.5),
    ("stretch", "ours / sglang-router, CPU per request", "sglang-router", 1.0),
)


def show(results: Results, absent: Mapping[str, str]) -> None:
    """Print everything for people."""
    for case in next(iter(results.values()), ()):
        _show_case(case, {side: _middle(found[case]) for side, found in results.items()})
    for side, reason in absent.items():
        print(f"absent: {side}: {reason}")
    for kind, what, other, limit in _BARS:
        ratios = _ratios(results, "ours", other)
        if ratios:
            worst = max(ratios.values())
            print(f"{kind}: {what}: worst {worst:.2f}, at most {limit:g}: {'met' if worst <= limit else 'MISSED'}")


def as_json(results: Results, absent: Mapping[str, str]) -> dict[str, object]:
    """The same figures, and all the single measurements' medians."""
    return {
        "bench": "router",
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "medians": {
            side: {
                case.name: {key: round(value, 3) for key, value in asdict(_middle(figures)).items()}
                for case, figures in found.items()
            }
            for side, found in results.items()
        },
        "cpu_ratio_to_envoy": {side: _ratios(results, side, "envoy") for side in results},
        "absent": dict(absent),
    }


def _middle(figures: Sequence[Figures]) -> Figures:
    """The median of each figure by itself."""
    return Figures(**{each.name: median(getattr(one, each.name) for one in figures) for each in fields(Figures)})


def _ratios(results: Results, side: str, other: str) -> dict[str, float]:
    """CPU per request of one side to another's, for each case; empty where one of them was not measured."""
    if side not in results or other not in results or other == "direct":
        return {}
    return {
        case.name: round(_middle(figures).cpu_us / _middle(results[other][case]).cpu_us, 3)
        for case, figures in results[side].items()
    }


def _show_case(case: Case, rows: Mapping[str, Figures]) -> None:
    print(
        f"{case.name:34}{'CPU us':>9}{'x envoy':>9}{'req/s':>9}{'p50 ms':>9}{'added':>9}{'p99 ms':>9}"
        f"{'event p50':>11}{'p99':>8}{'RSS MiB':>9}"
    )
    plain, direct = rows.get("envoy"), rows.get("direct")
    for side, row in rows.items():
        ratio = f"{row.cpu_us / plain.cpu_us:.2f}" if plain else ""
        added = f"{row.p50_ms - direct.p50_ms:.3f}" if direct else ""
        events = f"{row.event_p50_ms:>11.2f}{row.event_p99_ms:>8.2f}" if case.stream else " " * 19
        print(
            f"  {side:32}{row.cpu_us:>9.0f}{ratio:>9}{row.per_second:>9.0f}{row.p50_ms:>9.3f}{added:>9}"
            f"{row.p99_ms:>9.2f}{events}{row.resident_mib:>9.0f}"
        )
    print()
