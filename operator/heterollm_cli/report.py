"""`heterollm report`: what a cluster did in a time, what it cost, and where its migration stands."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from heterollm_cli.connection import Unavailable, add_options, connected, namespace_of, prometheus_of
from heterollm_cli.input_files import Unusable
from heterollm_cli.reporting.charts import picture
from heterollm_cli.reporting.content import Subject, sections
from heterollm_cli.reporting.document import Document
from heterollm_cli.reporting.figures import Figures, Lines, figures_of, lines_of
from heterollm_cli.reporting.markdown import markdown
from heterollm_cli.reporting.page import page
from heterollm_cli.reporting.queries import Scope, over_time, totals
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus

if TYPE_CHECKING:
    from heterollm_operator.prometheus.client import Prometheus

__all__ = ["add_parser", "run"]

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SHORTEST, _LONGEST = 300, 31 * 86_400
"""Seconds: rates need some scrapes; and beyond, one query asks a Prometheus for too much."""
_POINTS = 240
_CLOSEST = 15
"""Seconds between points: how often most Prometheus scrape."""
_API_SECONDS, _QUERY_SECONDS = 30.0, 60.0
_LABELS = {"share": "wanted_tier", "failed": "diverted", "dollars": "tier"}


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "report",
        help="what a cluster did, what it cost, and where its migration stands",
        description="Write a report of a HeteroLLMCluster, from its status and from Prometheus: who answered what, and"
        " how fast; what would go where while a migration observes; cost and saving; suggested threshold and sizes;"
        " and each step of a migration with its reason. Exits with 2 when the cluster or Prometheus cannot be asked.",
    )
    parser.add_argument("cluster", metavar="CLUSTER", help="name of the HeteroLLMCluster")
    parser.add_argument("-n", "--namespace", help="its namespace (default: that of the kubeconfig's context)")
    parser.add_argument("--since", type=_seconds, default="24h", help="how far back: 30m, 24h, 7d, 2w (%(default)s)")
    parser.add_argument(
        "-o",
        "--output",
        type=_file,
        metavar="FILE",
        help="FILE.html, self-contained; or FILE.md, with its chart beside it as FILE.svg."
        " Markdown on standard output without a chart if absent",
    )
    parser.add_argument("--title", default="", help="what stands above it (the cluster's name)")
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        _write(_document(options, datetime.now(UTC)), options.output)
    except (Unavailable, Unusable) as error:
        print(f"heterollm report: {error}", file=sys.stderr)
        return 2
    return 0


def _document(options: argparse.Namespace, now: datetime) -> Document:
    namespace, manifest = asyncio.run(_cluster(options))
    spec, status = _parsed(manifest)
    begin, title = now - timedelta(seconds=options.since), options.title or f"{namespace}/{options.cluster}"
    figures, chart = None, ""
    if prometheus := prometheus_of(options):
        scope = Scope(namespace, options.cluster, options.since)
        figures, found, times = _asked(options.prometheus, prometheus, scope, begin, now)
        chart = picture(found, [tier.name for tier in spec.tiers], times, status.decisions, title)
    subject = Subject(options.cluster, namespace, spec, status, begin, now, figures)
    return Document(title, sections(subject), chart)


async def _cluster(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Its namespace, and the cluster."""
    from heterollm_operator.kube.client import ApiError
    from heterollm_operator.kube.kinds import CLUSTER

    api = await connected(options)
    try:
        namespace = namespace_of(options)
        return namespace, await api.request("GET", CLUSTER.path(namespace, options.cluster), limit=_API_SECONDS)
    except ApiError as error:
        raise Unavailable(f"cluster {options.cluster} of namespace {namespace}: {error}") from None
    finally:
        await api.close()


def _parsed(manifest: dict[str, Any]) -> tuple[HeteroLLMClusterSpec, HeteroLLMClusterStatus]:
    try:
        spec = HeteroLLMClusterSpec.model_validate(manifest["spec"])
        return spec, HeteroLLMClusterStatus.model_validate(manifest.get("status") or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Unusable(f"the cluster is not of this version of heterollm: {place}: {first['msg']}") from None


def _asked(
    address: str, prometheus: Prometheus, scope: Scope, begin: datetime, end: datetime
) -> tuple[Figures, dict[str, Lines], list[float]]:
    """What Prometheus knows: totals, figures over time, and the times of their points."""
    from heterollm_operator.prometheus.client import Unanswered

    step = max(_CLOSEST, -(-scope.seconds // _POINTS))
    times = [begin.timestamp() + step * number for number in range(scope.seconds // step + 1)]
    try:
        rows = {name: prometheus.ask(text, _QUERY_SECONDS, list) for name, text in totals(scope).items()}
        found = {
            name: lines_of(
                prometheus.ask_minutes(text, begin, end, _QUERY_SECONDS, list, every=step),
                _LABELS.get(name, "heterollm_tier"),
                times,
            )
            for name, text in over_time(scope, step).items()
        }
    except Unanswered as error:
        raise Unavailable(f"Prometheus at {address}: {error}") from None
    return figures_of(rows), found, times


def _write(document: Document, output: Path | None) -> None:
    try:
        if output is None:
            sys.stdout.write(markdown(document))
        elif output.suffix == ".html":
            output.write_text(page(document), encoding="utf-8")
        else:
            chart = output.with_suffix(".svg")
            output.write_text(markdown(document, chart.name), encoding="utf-8")
            if document.chart:
                chart.write_text(document.chart, encoding="utf-8")
    except OSError as error:
        raise Unusable(str(error)) from None


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r}: a number and m, h, d or w, from 5m to 31d")
    return seconds


def _file(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".html", ".md"):
        raise argparse.ArgumentTypeError(f"{text!r}: the name of the file must end with .html or .md")
    return path
