"""The subcommands of the full mode: up, down, status, exec, forward, load-image."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TypeAlias

from e2e.cluster.cache import print_report
from e2e.cluster.node.cgroups import CgroupTree
from e2e.cluster.node.daemons import Daemons
from e2e.cluster.node.down import down
from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.forward import ensure_forward
from e2e.cluster.node.host import require_root
from e2e.cluster.node.layout import DEFAULT_NAME, Layout
from e2e.cluster.node.load import load_archive
from e2e.cluster.node.namespaces import Namespaces, inner_environment
from e2e.cluster.node.status import status_lines
from e2e.cluster.node.up import Devices, up

__all__ = ["add_parser", "running_cluster"]

_Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def running_cluster(layout: Layout) -> Daemons:
    """Return the means to work inside a running cluster."""
    require_root()
    namespaces = Namespaces.find(layout)
    if namespaces is None:
        raise NodeError(f"the cluster {layout.name} does not run: start it with `python -m e2e.cluster up`")
    return Daemons(layout, CgroupTree(layout.cgroup), namespaces)


def add_parser(subparsers: _Subparsers) -> None:
    """Add the subcommands."""
    parser = _add(subparsers, "up", "start a cluster with a real node (needs root)", _up)
    parser.add_argument("--gpus", type=int, default=8, help="GPUs advertised by each node (default: %(default)s)")
    parser.add_argument("--fake-nodes", type=int, default=0, help="further nodes without a machine (default: 0)")
    parser = _add(subparsers, "down", "stop the cluster and remove all traces of it", _down)
    parser.add_argument("--purge", action="store_true", help="also remove the images loaded, kept for the next start")
    _add(subparsers, "status", "say what runs", _status)
    parser = _add(subparsers, "exec", "run a command in the cluster's network, with its DNS", _exec)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    parser = _add(subparsers, "forward", "make a Service reachable at a port of 127.0.0.1 until `down`", _forward)
    parser.add_argument("target", help="for example routing.default.svc.cluster.local:80")
    parser.add_argument("--port", type=int, default=0, help="local port (default: a free one)")
    parser = _add(subparsers, "load-image", "import docker archives into the node", _load)
    parser.add_argument("archive", nargs="+", type=Path)


def _add(subparsers: _Subparsers, name: str, help_text: str, run: object) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=help_text, description=help_text)
    parser.add_argument("--name", default=DEFAULT_NAME, help="name of the cluster (default: %(default)s)")
    parser.set_defaults(run=run)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    layout = Layout(arguments.name)
    if not up(layout, Devices(arguments.gpus, arguments.fake_nodes), print_report):
        print(f"the cluster {layout.name} runs already")
    print(f"export KUBECONFIG={layout.kubeconfig}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    removed = down(Layout(arguments.name), print_report, purge=arguments.purge)
    print(f"cluster {arguments.name}: {'removed' if removed else 'nothing to remove'}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    require_root()
    complete, lines = status_lines(Layout(arguments.name))
    print("\n".join(lines))
    return 0 if complete else 1


def _exec(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise NodeError("which command? For example: exec -- curl http://routing.default.svc.cluster.local/")
    inside = running_cluster(Layout(arguments.name))
    # In the cluster's cgroup, so that `down` ends it too.
    inside.cgroup.join()
    enter = inside.namespaces.command(command)
    os.execvpe(enter[0], enter, inner_environment())


def _forward(arguments: argparse.Namespace) -> int:
    address, _, port = arguments.target.rpartition(":")
    if not address or not port.isdigit():
        raise NodeError(f"want NAME:PORT, not {arguments.target}")
    local = ensure_forward(running_cluster(Layout(arguments.name)), address, int(port), arguments.port)
    print(f"127.0.0.1:{local}")
    return 0


def _load(arguments: argparse.Namespace) -> int:
    inside = running_cluster(Layout(arguments.name))
    for archive in arguments.archive:
        print(f"{archive}: {'loaded' if load_archive(inside, archive) else 'there already'}")
    return 0
