"""`heterollm import-slime`: a SLIME launch script as a tier of a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heterollm_controllers.api import names

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_parser", "run"]

_UNREADABLE = 2


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "import-slime",
        help="turn a SLIME launch script into a tier spec",
        description="Read a SLIME launch script, without running it, and print a cluster of one tier of engines "
        "like those of its rollout. What was carried over, what was left out and why goes to stderr.",
    )
    parser.add_argument("script", metavar="SCRIPT", help="the launch script, a bash file; - reads stdin")
    parser.add_argument("--name", default="small", help="name of the tier (default: %(default)s)")
    parser.add_argument("--accelerator", help="kind of GPU, which a script does not say (default: A100-80GB)")
    parser.add_argument("--cluster", default="imported", help="name of the cluster (default: %(default)s)")
    parser.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Print a cluster of one tier; 2 if none can be made of the script."""
    from heterollm_cli.slime.launch_script import UnreadableScript, read_script
    from heterollm_cli.slime.tier import to_tier
    from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE
    from heterollm_controllers.sizing.models import model_ids

    try:
        launch = read_script(_text(options.script))
        imported = to_tier(launch, options.name, options.accelerator, DEFAULT_RELEASE, model_ids())
    except (OSError, UnicodeDecodeError, UnreadableScript) as error:
        print(f"heterollm import-slime: {options.script}: {_reason(error)}", file=sys.stderr)
        return _UNREADABLE
    for remark in imported.remarks:
        print(f"- {remark}", file=sys.stderr)
    cluster: dict[str, object] = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": options.cluster},
        "spec": {"tiers": [imported.tier]},
    }
    _print(cluster, options.output)
    return 0


def _text(script: str) -> str:
    return sys.stdin.read() if script == "-" else Path(script).read_text(encoding="utf-8")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "this is not a text file"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _print(cluster: dict[str, object], output: str) -> None:
    import yaml

    if output == "json":
        print(json.dumps(cluster, indent=2, ensure_ascii=False))
    else:
        yaml.safe_dump(cluster, sys.stdout, sort_keys=False, allow_unicode=True, width=120)
