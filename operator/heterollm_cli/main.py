"""The `heterollm` command."""

from __future__ import annotations

import argparse
import asyncio
import sys
from importlib.metadata import version

from heterollm_cli import import_slime, render, report, simulate, size, top
from heterollm_operator.process import config

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script; exits with the command's status."""
    options = _parser().parse_args(arguments)
    commands = {
        "operator": _operator,
        "size": size.run,
        "render": render.run,
        "simulate": simulate.run,
        "report": report.run,
        "import-slime": import_slime.run,
        "top": top.run,
        "crd": _crd,
        "version": _version,
    }
    sys.exit(commands[options.command](options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="heterollm", description="Heterogeneous LLM clusters on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    operator = commands.add_parser(
        "operator",
        help="run the operator",
        description="Run the operator. Several replicas may run: one leads, the others stand by. "
        "Every option can be set by the environment variable in brackets; the option wins.",
    )
    config.add_options(operator)
    size.add_parser(commands)
    render.add_parser(commands)
    simulate.add_parser(commands)
    report.add_parser(commands)
    import_slime.add_parser(commands)
    top.add_parser(commands)
    commands.add_parser("crd", help="print the CustomResourceDefinition as YAML")
    commands.add_parser("version", help="print the version")
    return parser


# What a command needs is imported by the command: `heterollm crd` must not wait for Kopf and the Kubernetes client.


def _operator(options: argparse.Namespace) -> int:
    from heterollm_controllers.reconcile.pipeline import reconcile
    from heterollm_controllers.render.diff import digest
    from heterollm_operator.process.main import operate
    from heterollm_operator.process.worker import Core
    from heterollm_operator.runtime import logs

    settings = config.from_options(options)
    logs.configure(settings.log_level)
    return asyncio.run(operate(settings, Core(reconcile, digest, settings.core)))


def _crd(_: argparse.Namespace) -> int:
    import yaml

    from heterollm_controllers.api.crd import custom_resource_definition

    yaml.safe_dump(custom_resource_definition(), sys.stdout, sort_keys=False, allow_unicode=True, width=120)
    return 0


def _version(_: argparse.Namespace) -> int:
    print(version("heterollm"))
    return 0


if __name__ == "__main__":
    main()
