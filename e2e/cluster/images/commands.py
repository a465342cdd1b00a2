"""The subcommand `build-image`."""

from __future__ import annotations

import argparse
from pathlib import Path

from e2e.cluster.cache import print_report
from e2e.cluster.images.build import build_image
from e2e.cluster.node.host import ensure_packages, require_root

__all__ = ["add_parser"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    text = "build a Dockerfile on the local base and print the path of the image's archive (needs root)"
    parser = subparsers.add_parser("build-image", help=text, description=text)
    parser.add_argument("tag", help="name of the image, for example heterollm/operator:0.1.0")
    parser.add_argument("context", type=Path, help="folder of the files that the Dockerfile copies")
    parser.add_argument("--file", "-f", type=Path, help="default: the Dockerfile in the context")
    parser.add_argument("--build-arg", action="append", default=[], type=_argument, metavar="NAME=VALUE")
    parser.set_defaults(run=_main)


def _argument(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"want NAME=VALUE, not {text}")
    return name, value


def _main(arguments: argparse.Namespace) -> int:
    require_root()
    ensure_packages(print_report)
    dockerfile = arguments.file or arguments.context / "Dockerfile"
    print(build_image(arguments.tag, dockerfile, arguments.context, dict(arguments.build_arg)))
    return 0
