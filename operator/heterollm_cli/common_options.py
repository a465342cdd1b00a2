"""Options that the commands have in common that work without a Kubernetes cluster."""

from __future__ import annotations

import argparse

from heterollm_controllers.api.installation import Config

__all__ = ["add_file_option", "add_release_option"]


def add_file_option(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The option that names the input."""
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=required,
        metavar="FILE",
        help='YAML or JSON with a HeteroLLMCluster, and ConfigMaps it refers to; "-" is standard input (repeatable)',
    )


def add_release_option(parser: argparse.ArgumentParser) -> None:
    """The option that names the SGLang release of the installation."""
    release = Config().sglang_version
    parser.add_argument("--sglang-version", default=release, help="release to check engine.args by (%(default)s)")
