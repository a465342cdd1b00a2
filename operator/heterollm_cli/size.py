"""`heterollm size`: what engines a cluster's tiers would get, and why, without a Kubernetes cluster."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any

import yaml

from heterollm_cli.common_options import add_file_option, add_release_option
from heterollm_cli.input_files import Files, Unusable, read_files
from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.external import ExternalTier
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.sizing import ConfigMaps, size
from heterollm_controllers.sizing.accelerators import accelerator_names
from heterollm_controllers.sizing.table import amount, columns, tier_table

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "size",
        help="work out the engines of a cluster's tiers, and say why",
        description="Work out the engine of every tier of the HeteroLLMClusters in some files: GPUs, parallel sizes,"
        " memory, KV cache, estimated speed and cost, each value with its reason. The structure of the JSON and YAML"
        " is the one of status.tiers[].sizing. Exits with 1 when a tier cannot be carried out.",
    )
    add_file_option(parser)
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table", help="form of the output")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="the same tiers on every accelerator of the catalogue, cheapest per request first",
    )
    add_release_option(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        files = read_files(options.filename)
    except Unusable as error:
        print(f"heterollm size: {error}", file=sys.stderr)
        return 2
    work = _compared if options.compare else _sized
    results = [work(manifest, spec, _config_maps(files), options) for manifest, spec in files.clusters]
    if options.output != "table":
        _print_data([data for data, _, _ in results], options.output)
    else:
        print("\n\n".join(text for _, text, _ in results))
    return 1 if any(failed for _, _, failed in results) else 0


def _config_maps(files: Files) -> ConfigMaps:
    return {item["metadata"]["name"]: item.get("data") or {} for item in files.config_maps}


_Result = tuple[dict[str, Any], str, bool]
"""Structure for machines, text for people, and whether something could not be carried out."""


def _sized(
    manifest: dict[str, Any], spec: HeteroLLMClusterSpec, config_maps: ConfigMaps, options: argparse.Namespace
) -> _Result:
    tiers: list[dict[str, Any]] = []
    texts = [f"cluster {manifest['metadata']['name']}"]
    for tier in spec.tiers:
        if isinstance(tier, ExternalTier):
            tiers.append({"name": tier.name, "external": tier.external.url})
            texts.append(_external(tier))
            continue
        try:
            sizing = size(tier, config_maps, options.sglang_version)
        except Impossible as refusal:
            tiers.append({"name": tier.name, "refused": {"reason": refusal.reason, "message": refusal.message}})
            texts.append(f"{refusal.message}\n  ({refusal.reason})")
        else:
            tiers.append({"name": tier.name, "sizing": _wire(sizing)})
            texts.append(tier_table(tier, sizing))
    failed = any("refused" in item for item in tiers)
    return {"name": manifest["metadata"]["name"], "tiers": tiers}, "\n\n".join(texts), failed


def _compared(
    manifest: dict[str, Any], spec: HeteroLLMClusterSpec, config_maps: ConfigMaps, options: argparse.Namespace
) -> _Result:
    tiers: list[dict[str, Any]] = []
    texts = [f"cluster {manifest['metadata']['name']}"]
    for tier in spec.engine_tiers:
        found = [(name, _on(tier, name, config_maps, options.sglang_version)) for name in accelerator_names()]
        fitting = [(name, sizing) for name, sizing in found if isinstance(sizing, Sizing) and sizing.performance]
        fitting.sort(key=lambda item: _cost(item[1]))
        refused = [(name, str(why)) for name, why in found if not isinstance(why, Sizing)]
        tiers.append(
            {
                "name": tier.name,
                "accelerators": [{"type": name, "sizing": _wire(sizing)} for name, sizing in fitting],
                "refused": [{"type": name, "message": why} for name, why in refused],
            }
        )
        texts.append(_comparison(tier, fitting, refused))
    texts += [_external(tier) for tier in spec.external_tiers]
    return {"name": manifest["metadata"]["name"], "tiers": tiers}, "\n\n".join(texts), False


def _external(tier: ExternalTier) -> str:
    return f"tier {tier.name}: {tier.external.model} at {tier.external.url}; it has no engines to size"


def _on(tier: Tier, accelerator: str, config_maps: ConfigMaps, release: str) -> Sizing | str:
    """The tier on another accelerator of the catalogue, or why it cannot be."""
    other = tier.accelerator.model_copy(update={"type": accelerator, "memory_gib": None, "dollars_per_hour": None})
    try:
        return size(tier.model_copy(update={"accelerator": other}), config_maps, release)
    except Impossible as refusal:
        return refusal.message


def _comparison(tier: Tier, fitting: list[tuple[str, Sizing]], refused: list[tuple[str, str]]) -> str:
    head = ("accelerator", "GPUs", "KV tokens", "first token, ms", "requests/s", "$ per 1,000")
    rows = [
        (
            name,
            str(sizing.gpus_per_engine),
            f"{sizing.kv_cache_tokens:,}",
            sizing.performance.time_to_first_token_ms.text,
            sizing.performance.requests_per_second.text,
            amount(sizing.performance.cost_per_1000_requests),
        )
        for name, sizing in fitting
        if sizing.performance is not None
    ]
    lines = [f"tier {tier.name}: {tier.model.id}, estimated", *(f"  {line}" for line in columns([head, *rows]))]
    return "\n".join(lines + [f"  not on {name}: {why.removeprefix(f'tier {tier.name}: ')}" for name, why in refused])


def _cost(sizing: Sizing) -> float:
    known = sizing.performance.cost_per_1000_requests if sizing.performance else None
    # Without a price: after all others.
    return math.inf if known is None else known


def _wire(sizing: Sizing) -> dict[str, Any]:
    return sizing.model_dump(mode="json", by_alias=True, exclude_none=True)


def _print_data(clusters: list[dict[str, Any]], form: str) -> None:
    """One cluster is printed as itself, several as a list of clusters."""
    data: Any = clusters[0] if len(clusters) == 1 else {"clusters": clusters}
    if form == "json":
        print(json.dumps(data, indent=2))
    else:
        yaml.safe_dump(data, sys.stdout, sort_keys=False, allow_unicode=True, width=120)
