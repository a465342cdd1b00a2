"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from heterollm_cli.reporting.document import Document

__all__ = ["page"]


def page(document: Document) -> str:
    """The document; whatever comes from the cluster is escaped, as it is in the chart already."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    chart = Markup(document.chart)
    return environment.get_template("page.html.j2").render(document=document, chart=chart)
