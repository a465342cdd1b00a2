"""What `heterollm simulate` reads from its options: traffic, faults, and times as people write them."""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path

from heterollm_cli.input_files import Unusable
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.simulation.engine_model import EngineModel
from heterollm_controllers.simulation.faults import OF_A_TIER, Fault, FaultKind
from heterollm_controllers.simulation.traffic import Bursts, Load, Ramp, Recorded, Spike, Steady, Traffic, Wave

__all__ = ["TRAFFIC", "cold_start", "fault", "traffic_of"]

TRAFFIC = ("wave", "spike", "poisson", "bursts", "ramp")
_USUAL_USE = 0.45
"""Share of what the largest cluster can do that is the default rate: the wave's peak is 1.8 times as high."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_FAULT = re.compile(r"(?P<what>[^@]+)@(?P<start>[^+]+)(?:\+(?P<length>.+))?")
_AMOUNTS = {
    FaultKind.FAIL: (100.0, "per cent", 0.0, 100.0),
    FaultKind.SLOW: (4.0, "a factor", 1.0, 1e6),
    FaultKind.KILL: (1.0, "a number of engines", 1.0, 256.0),
}
"""What is meant if none is given, in words, and its bounds."""
_LENGTH = 600.0
"""Seconds that a fault lasts if nothing else is said."""


def traffic_of(wanted: argparse.Namespace, spec: HeteroLLMClusterSpec, models: Mapping[str, EngineModel]) -> Traffic:
    """The traffic that the options ask for.

    Raises:
        Unusable: an unknown kind, or a recording that cannot be read.
    """
    rate = wanted.rate if wanted.rate is not None else _usual_rate(spec, models, wanted.large_share)
    load = Load(rate, wanted.large_share)
    kinds: dict[str, Traffic] = {
        "wave": Wave(load),
        "spike": Spike(load, wanted.factor),
        "poisson": Steady(load),
        "bursts": Bursts(load, wanted.factor),
        "ramp": Ramp(load, wanted.factor),
    }
    if wanted.traffic in kinds:
        return kinds[wanted.traffic]
    if not wanted.traffic.endswith(".csv"):
        raise Unusable(f"--traffic {wanted.traffic}: give one of {', '.join(TRAFFIC)}, or a file that ends with .csv")
    return Recorded(_recording(Path(wanted.traffic), wanted.large_share))


def _usual_rate(spec: HeteroLLMClusterSpec, models: Mapping[str, EngineModel], large_share: float) -> float:
    """Requests per second that use the largest cluster well."""
    first, last = spec.engine_tiers[0], spec.engine_tiers[-1]
    shares = {first.name: 1 - large_share, last.name: large_share} if first is not last else {first.name: 1.0}
    limits = [
        models[tier.name].rate * tier.replicas.bounds.most / shares[tier.name]
        for tier in {first, last}
        if shares[tier.name] > 0
    ]
    return _USUAL_USE * min(limits)


def _recording(path: Path, large_share: float) -> list[tuple[float, Load]]:
    """Rows of second, rate and large_share; the last column may be missing."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Unusable(f"--traffic {path}: {error}") from None
    loads: list[tuple[float, Load]] = []
    for number, row in enumerate(rows, 2):
        loads.append(_row(f"--traffic {path}, line {number}", row, large_share))
        if len(loads) > 1 and loads[-1][0] <= loads[-2][0]:
            raise Unusable(f"--traffic {path}, line {number}: seconds must grow from line to line")
    if not loads:
        raise Unusable(f"--traffic {path}: no rows; the first line names the columns second, rate and large_share")
    return loads


def _row(where: str, row: Mapping[str, str | None], large_share: float) -> tuple[float, Load]:
    second, rate = _number(where, row, "second"), _number(where, row, "rate")
    share = _number(where, row, "large_share") if row.get("large_share") else large_share
    if second < 0 or rate < 0 or not 0 <= share <= 1:
        raise Unusable(f"{where}: second and rate must not be negative, and large_share must be from 0 to 1")
    return second, Load(rate, share)


def _number(where: str, row: Mapping[str, str | None], column: str) -> float:
    text = row.get(column)
    try:
        value = float(text or "")
    except ValueError:
        raise Unusable(f"{where}: {column} is {text!r}, and must be a number") from None
    if not math.isfinite(value):
        raise Unusable(f"{where}: {column} is {text}, and must be finite")
    return value


def cold_start(text: str) -> tuple[str, float]:
    """TIER=SECONDS."""
    tier, _, seconds = text.partition("=")
    if not tier or not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not TIER=SECONDS")
    return tier, _seconds(seconds)


def fault(text: str) -> Fault:
    """KIND[:TIER[:AMOUNT]]@START[+LENGTH]."""
    found = _FAULT.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND[:TIER[:AMOUNT]]@START[+LENGTH]")
    name, *more = found["what"].split(":")
    kinds = [str(kind) for kind in FaultKind]
    if name not in kinds:
        raise argparse.ArgumentTypeError(f"{name!r} is no kind of fault; there are {', '.join(kinds)}")
    kind = FaultKind(name)
    tier = more[0] if more else ""
    if kind in OF_A_TIER and not tier:
        raise argparse.ArgumentTypeError(f"{text!r} must say of which tier: {name}:TIER")
    if len(more) > (2 if kind in _AMOUNTS else 1 if kind in OF_A_TIER else 0):
        raise argparse.ArgumentTypeError(f"{text!r} says too much: {name} takes no {more[-1]!r}")
    length = _seconds(found["length"]) if found["length"] else _LENGTH
    return Fault(kind, _seconds(found["start"]), length, tier, _amount(kind, more[1] if len(more) > 1 else ""))


def _amount(kind: FaultKind, text: str) -> float:
    if kind not in _AMOUNTS:
        return 0.0
    usual, words, least, most = _AMOUNTS[kind]
    if not text:
        return usual
    try:
        amount = float(text.removesuffix("%"))
    except ValueError:
        amount = math.nan
    if not least <= amount <= most:
        raise argparse.ArgumentTypeError(f"{text!r} must be {words} from {least:g} to {most:g}")
    return amount


def _seconds(text: str) -> float:
    """90, 90s, 10m or 2h."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, such as 90s, 10m or 2h")
    return float(found[1]) * _UNITS[found[2] or "s"]
