"""`python -m e2e.cluster`: build and run the embedded Kubernetes."""

from __future__ import annotations

import argparse
import sys

from e2e.cluster import build, controlplane
from e2e.cluster.build import BuildError
from e2e.cluster.controlplane import ControlPlaneError
from e2e.cluster.images import commands as image_commands
from e2e.cluster.images.buildah import ImageError
from e2e.cluster.node import commands as node_commands
from e2e.cluster.node.errors import NodeError
from e2e.cluster.toolchain import ToolchainError

# Each adds its subcommands, which set `run`: a function of the parsed arguments that returns the exit status.
_MODULES = (build, controlplane, node_commands, image_commands)
# Failures whose message tells the user all there is to know.
_EXPECTED_ERRORS = (BuildError, ControlPlaneError, ImageError, NodeError, ToolchainError)


def main() -> int:
    """Run a subcommand."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in _MODULES:
        module.add_parser(subparsers)
    arguments = parser.parse_args()
    try:
        status: int = arguments.run(arguments)
    except _EXPECTED_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
