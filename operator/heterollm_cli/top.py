"""`heterollm top`: clusters as they are now, in a terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from heterollm_cli.connection import Unavailable, add_options, connected, namespace_of, prometheus_of
from heterollm_cli.top_text import cluster_lines, fleet_lines

__all__ = ["add_parser", "run"]

_EVERY = 5.0
"""Seconds from one refresh to the next."""
_REQUEST_SECONDS = 10.0
_PAGE = 100
"""Clusters that are asked for at a time."""
_ENTER, _LEAVE, _CLEAR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H\x1b[J"
"""The terminal's other screen, which leaves what was there before as it was."""


@dataclass(frozen=True)
class _Snapshot:
    """What was found: views of clusters, and why figures are missing."""

    views: list[Any]
    note: str


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "top",
        help="show clusters as they are now",
        description="Show HeteroLLMClusters as they are now: state, tiers, engines, fallback; with an address of"
        " Prometheus also requests, latency, dollars and the saving. With a name, everything about that one. In a"
        " terminal it goes on until Ctrl-C.",
    )
    parser.add_argument("name", nargs="?", help="one cluster; all of the namespace if absent")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-n", "--namespace", help="namespace (default: that of the kubeconfig's context)")
    where.add_argument("-A", "--all-namespaces", action="store_true", help="clusters of all namespaces")
    parser.add_argument("--once", action="store_true", help="print once and end, as without a terminal")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="json is printed once")
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    if options.name and options.all_namespaces:
        print("heterollm top: a name goes with one namespace, not with -A", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_top(options))
    except KeyboardInterrupt:
        return 0
    except Unavailable as error:
        print(f"heterollm top: {error}", file=sys.stderr)
        return 1


async def _top(options: argparse.Namespace) -> int:
    api = await connected(options)
    try:
        source = prometheus_of(options)
        if options.output == "json" or options.once or not sys.stdout.isatty():
            _print(await _observe(api, source, options), options)
        else:
            await _keep_observing(api, source, options)
    finally:
        await api.close()
    return 0


async def _observe(api: Any, source: Any, options: argparse.Namespace) -> _Snapshot:
    """Everything once. Raises Unavailable."""
    from heterollm_controllers.view.cluster_view import cluster_view, urgent_first
    from heterollm_operator.kube.store import Key
    from heterollm_operator.prometheus.seen_figures import Seen, figures_now, last_hour

    namespace = None if options.all_namespaces else namespace_of(options)
    clusters = await _clusters(api, namespace, options.name)
    keys = [Key(item["metadata"]["namespace"], item["metadata"]["name"]) for item in clusters]
    seen = Seen({}, problem="no address of Prometheus (--prometheus): no figures")
    if source is not None and options.name:
        seen = await asyncio.to_thread(last_hour, source, keys[0], datetime.now(UTC))
    elif source is not None:
        seen = await asyncio.to_thread(figures_now, source, () if namespace is None else (namespace,), keys)
    note = seen.problem
    if source is not None and note:
        note = f"Prometheus gives no figures: {note}"
    views = [cluster_view(item, seen.figures.get(key), seen.charts) for item, key in zip(clusters, keys, strict=True)]
    return _Snapshot(sorted(views, key=urgent_first), note)


async def _clusters(api: Any, namespace: str | None, name: str | None) -> list[dict[str, Any]]:
    from heterollm_operator.kube.client import ApiError
    from heterollm_operator.kube.kinds import CLUSTER

    path = CLUSTER.path(namespace, name)
    try:
        if name:
            return [await api.request("GET", path, limit=_REQUEST_SECONDS)]
        found: list[dict[str, Any]] = []
        query: dict[str, str | int] = {"limit": _PAGE}
        while True:
            page = await api.request("GET", path, query=query, limit=_REQUEST_SECONDS)
            found += page["items"]
            if not page["metadata"].get("continue"):
                return found
            query["continue"] = page["metadata"]["continue"]
    except ApiError as error:
        if error.status != 404:
            raise Unavailable(str(error)) from error
        kind = "the API server knows no HeteroLLMClusters: is their CRD installed?"
        named = f"there is no HeteroLLMCluster {name} in namespace {namespace}"
        raise Unavailable(named if name and await _is_served(api) else kind) from error


async def _is_served(api: Any) -> bool:
    from heterollm_operator.kube.client import ApiError
    from heterollm_operator.kube.kinds import CLUSTER, version_path

    try:
        await api.request("GET", version_path(CLUSTER.api_version), limit=_REQUEST_SECONDS)
    except ApiError as error:
        return error.status != 404
    return True


async def _keep_observing(api: Any, source: Any, options: argparse.Namespace) -> None:
    sys.stdout.write(_ENTER)
    shown: list[str] = []
    try:
        while True:
            size = shutil.get_terminal_size()
            try:
                shown = _lines(await _observe(api, source, options), options, size.columns)
                screen = shown
            except Unavailable as error:
                # What was last seen stays, under the reason why it is no newer.
                screen = [f"heterollm top: {error}", "", *shown]
            if len(screen) >= size.lines:
                screen = [*screen[: size.lines - 2], f"... and {len(screen) - size.lines + 2} lines more"]
            sys.stdout.write(_CLEAR + "\r\n".join(screen))
            sys.stdout.flush()
            await asyncio.sleep(_EVERY)
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()


def _print(snapshot: _Snapshot, options: argparse.Namespace) -> None:
    if options.output == "json":
        views = [view.model_dump(mode="json", by_alias=True) for view in snapshot.views]
        data = views[0] if options.name else {"clusters": views}
        print(json.dumps({**data, "note": snapshot.note}, indent=2))
    else:
        # Into a file or a pipe go whole names, however long.
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(_lines(snapshot, options, width)))


def _lines(snapshot: _Snapshot, options: argparse.Namespace, width: int | None) -> list[str]:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    now = datetime.now(UTC)
    if options.name:
        lines = cluster_lines(snapshot.views[0], now, width, colour)
    else:
        lines = fleet_lines(snapshot.views, width, colour, with_namespaces=options.all_namespaces)
    return [*lines, "", snapshot.note] if snapshot.note else lines
