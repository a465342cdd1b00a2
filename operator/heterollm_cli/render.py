"""`heterollm render`: the objects that a cluster would get, without a Kubernetes cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from heterollm_cli.common_options import add_file_option, add_release_option
from heterollm_cli.input_files import Unusable, read_files
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.vocabulary import ConditionType
from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_controllers.reconcile.pipeline import reconcile
from heterollm_controllers.render.diff import digest

__all__ = ["add_parser", "run"]

_UID = "00000000-0000-0000-0000-000000000000"
_CORE = Config()


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "render",
        help="print the objects that the operator would make of a cluster",
        description="Print every object that the operator would make of the HeteroLLMClusters in some files, for"
        " review. It is what the operator decides at its first reconcile, except that owner references, which need the"
        " cluster's uid, are left out. Exits with 1 when a spec cannot be carried out.",
    )
    add_file_option(parser)
    parser.add_argument("-n", "--namespace", default="default", help="namespace of clusters that name none")
    parser.add_argument("--engine-image", default=_CORE.engine_image, help="default image of engines")
    parser.add_argument("--router-image", default=_CORE.router_image, help="image of routers")
    parser.add_argument("--cluster-domain", default=_CORE.cluster_domain, help="DNS domain of the Kubernetes cluster")
    add_release_option(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        files = read_files(options.filename)
    except Unusable as error:
        print(f"heterollm render: {error}", file=sys.stderr)
        return 2
    config = Config(options.engine_image, options.router_image, options.cluster_domain, options.sglang_version)
    refused = False
    for manifest, _ in files.clusters:
        outcome = _first_reconcile(_applied(manifest, options.namespace), files.config_maps, config)
        message = _refusal(outcome)
        if message is not None:
            refused = True
            print(f"heterollm render: {manifest['metadata']['name']}: {message}", file=sys.stderr)
        else:
            yaml.safe_dump_all(
                map(_unowned, outcome.apply), sys.stdout, sort_keys=False, explicit_start=True, width=120
            )
    return 1 if refused else 0


def _applied(manifest: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The cluster as an API server would give it back."""
    metadata = {"namespace": namespace, **manifest["metadata"], "uid": _UID, "generation": 1}
    return {**manifest, "metadata": metadata}


def _first_reconcile(cluster: dict[str, Any], config_maps: Sequence[Manifest], config: Config) -> Outcome:
    """The first reconcile of a cluster that has nothing yet; every dry run that it asks for is taken to succeed."""
    now = datetime.now(UTC)
    children = tuple(config_maps)
    first = reconcile(Observed(cluster, children), config, now)
    dry_run_results = dict.fromkeys(map(digest, first.check))
    return reconcile(Observed(cluster, children, dry_run_results), config, now) if dry_run_results else first


def _refusal(outcome: Outcome) -> str | None:
    conditions = {item["type"]: item for item in outcome.status.get("conditions") or []}
    accepted = conditions.get(ConditionType.ACCEPTED, {})
    return None if accepted.get("status") == "True" else str(accepted.get("message", "not accepted"))


def _unowned(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
    return {**manifest, "metadata": metadata}
