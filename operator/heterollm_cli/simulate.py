"""`heterollm simulate`: how a cluster would steer itself, on a virtual clock."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heterollm_cli.common_options import add_file_option, add_release_option
from heterollm_cli.input_files import Files, Unusable, read_files
from heterollm_cli.simulate_options import TRAFFIC, cold_start, fault, traffic_of
from heterollm_cli.simulate_report import (
    comparison,
    decision_lines,
    model_lines,
    summary_lines,
    table_lines,
)
from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.simulation.chart import timeline
from heterollm_controllers.simulation.engine_model import EngineModel, engine_model
from heterollm_controllers.simulation.hpa import HorizontalRule
from heterollm_controllers.simulation.policy_under_test import Decider, Operator
from heterollm_controllers.simulation.run import Scenario, Simulation
from heterollm_controllers.simulation.source_tables import source_rows
from heterollm_controllers.simulation.summary import Summary, summarised
from heterollm_controllers.sizing import size
from heterollm_controllers.sizing.table import columns

__all__ = ["add_parser", "run"]

_SHOW_PROGRESS_AFTER = 2.0
"""Seconds."""


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "simulate",
        help="how a cluster would scale and fall back, on a virtual clock",
        description="Simulate a HeteroLLMCluster: the operator's own steering, against modelled engines, routers and"
        " Prometheus. Prints its decisions and what they came to. Everything is a model's answer; docs/simulate.md says"
        " what is modelled and what is not.",
    )
    add_file_option(parser, required=False)
    parser.add_argument(
        "--traffic",
        default="wave",
        metavar="KIND|FILE.csv",
        help=f"{', '.join(TRAFFIC)}, or a recording with the columns second, rate and large_share (wave)",
    )
    parser.add_argument("--rate", type=float, help="requests per second: of the wave's mean, or outside of spikes")
    parser.add_argument("--factor", type=float, default=4.0, help="how many times as high spikes, bursts and ramps are")
    parser.add_argument("--large-share", type=float, default=0.1, help="share of requests for the last tier, 0 to 1")
    parser.add_argument("--hours", type=float, default=24.0, help="how long")
    parser.add_argument(
        "--fault",
        type=fault,
        action="append",
        default=[],
        metavar="KIND[:TIER[:AMOUNT]]@START[+LENGTH]",
        help="what goes wrong, such as fail:small:80@20m+10m (per cent), slow:large:4@1h+10m (times), kill:small:2@20m"
        " (engines), nonodes:small@1h+30m, prometheus-down@1h+10m (also -slow, -garbage, -empty, -nan, -old),"
        " scorer@1h+5m, policy@1h+5m, restart@1h+20s (repeatable)",
    )
    parser.add_argument(
        "--cold-start",
        type=cold_start,
        action="append",
        default=[],
        metavar="TIER=SECONDS",
        help="how long engines take to start; 300 for the last tier and 60 for others (repeatable)",
    )
    parser.add_argument("--objective", type=float, default=200.0, help="first tokens should come in so many ms")
    parser.add_argument("--r9", action="store_true", help="engines as fast as in requirement R9, whatever sizing says")
    parser.add_argument("--seed", type=int, default=1, help="of the randomness of arrivals")
    parser.add_argument("--against", choices=("hpa", "hpa-queue"), help="compare with a plain HPA, by load or by queue")
    parser.add_argument("--chart", metavar="FILE.svg", help="draw the timeline")
    parser.add_argument("--tables", action="store_true", help="emulate the benchmarks of the source analysis instead")
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    add_release_option(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        if options.tables:
            return _tables(options)
        return _simulate(options)
    except (Unusable, Impossible) as error:
        print(f"heterollm simulate: {error}", file=sys.stderr)
        return 2


def _tables(options: argparse.Namespace) -> int:
    rows = source_rows(options.seed)
    print(json.dumps([row.__dict__ for row in rows], indent=2) if options.json else "\n".join(table_lines(rows)))
    return 0


def _simulate(options: argparse.Namespace) -> int:
    _check(options)
    spec, name, models = _read(options)
    scenario = Scenario(
        spec,
        models,
        traffic_of(options, spec, models),
        round(options.hours * 3600),
        tuple(options.fault),
        objective=options.objective / 1000,
        seed=options.seed,
    )
    ours = _ran(scenario, Operator(spec), "")
    summaries = {"HeteroLLM": summarised(ours)}
    if options.against:
        rule = HorizontalRule(spec, "queue" if options.against == "hpa-queue" else "concurrency")
        summaries[options.against] = summarised(_ran(scenario, rule, f"{options.against}: "))
    if options.chart:
        _draw(ours, f"{name}, simulated: {options.traffic}, seed {options.seed}", options.chart)
    if options.json:
        print(json.dumps(_data(name, ours, models, summaries), indent=2))
    else:
        _print(name, ours, models, summaries)
    return 0


def _check(options: argparse.Namespace) -> None:
    if not options.filename:
        raise Unusable("name the cluster's file with -f, or ask for --tables")
    if not 0 < options.hours <= 24 * 31:
        raise Unusable("--hours must be above 0 and at most 744")
    if not 0 <= options.large_share <= 1:
        raise Unusable("--large-share must be from 0 to 1")
    if options.rate is not None and not 0 <= options.rate <= 1e6:
        raise Unusable("--rate must be from 0 to 1000000 requests per second")
    if options.factor <= 0 or options.objective <= 0:
        raise Unusable("--factor and --objective must be above 0")
    if options.chart and not options.chart.endswith(".svg"):
        raise Unusable(f"--chart {options.chart}: charts are SVG; name a file that ends with .svg")


def _read(options: argparse.Namespace) -> tuple[HeteroLLMClusterSpec, str, dict[str, EngineModel]]:
    """The one cluster of the files: its spec, its name, and the models of its engines."""
    files: Files = read_files(options.filename)
    if len(files.clusters) > 1:
        names = ", ".join(manifest["metadata"]["name"] for manifest, _ in files.clusters)
        raise Unusable(f"one cluster at a time, please; there are {names}")
    manifest, spec = files.clusters[0]
    if spec.external_tiers:
        named = ", ".join(tier.name for tier in spec.external_tiers)
        raise Unusable(f"only engines can be simulated; a service outside of the cluster answers for tier {named}")
    config_maps = {item["metadata"]["name"]: item.get("data") or {} for item in files.config_maps}
    starts = dict(options.cold_start)
    tiers = [tier.name for tier in spec.engine_tiers]
    for named in [*starts, *(one.tier for one in options.fault if one.tier)]:
        if named not in tiers:
            raise Unusable(f"there is no tier {named}; there are {', '.join(tiers)}")
    models = {}
    for tier in spec.engine_tiers:
        sizing = size(tier, config_maps, options.sglang_version)
        models[tier.name] = engine_model(
            tier,
            sizing,
            last=tier is spec.engine_tiers[-1],
            cold_start=starts.get(tier.name),
            reference_speed=options.r9,
        )
    return spec, manifest["metadata"]["name"], models


def _ran(scenario: Scenario, decider: Decider, label: str) -> Simulation:
    simulation = Simulation(scenario, decider)
    simulation.run(progress=_progress(scenario.seconds, label))
    return simulation


def _progress(seconds: int, label: str) -> Callable[[int], None]:
    """Says how far it is, once a run takes long, where somebody watches."""
    began = time.monotonic()

    def tell(second: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - began > _SHOW_PROGRESS_AFTER:
            end = "\n" if second + 3600 >= seconds else "\r"
            print(f"{label}{second // 3600} of {seconds / 3600:g} h", end=end, file=sys.stderr, flush=True)

    return tell


def _draw(simulation: Simulation, title: str, path: str) -> None:
    try:
        Path(path).write_text(timeline(simulation.moments, simulation.cluster.names, title), encoding="utf-8")
    except OSError as error:
        raise Unusable(f"--chart {path}: {error}") from None


def _print(name: str, ours: Simulation, models: dict[str, EngineModel], summaries: dict[str, Summary]) -> None:
    print(f"cluster {name}, SIMULATED for {ours.scenario.seconds / 3600:g} h")
    print("\n".join(model_lines(models)))
    print("\ndecisions")
    print("\n".join(decision_lines(ours.decisions)))
    print()
    print("\n".join(summary_lines(summaries["HeteroLLM"])))
    if len(summaries) > 1:
        print("\nside by side, on the same traffic")
        print("\n".join(f"  {line}" for line in columns(comparison(summaries))))


def _data(name: str, ours: Simulation, models: dict[str, EngineModel], summaries: dict[str, Summary]) -> dict[str, Any]:
    return {
        "name": name,
        "simulated": True,
        "engines": {tier: model.__dict__ for tier, model in models.items()},
        "decisions": [item.model_dump(mode="json", by_alias=True) for item in ours.decisions],
        "summaries": {label: summary.as_data() for label, summary in summaries.items()},
    }
