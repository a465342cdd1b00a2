"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

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
    environment.filters["coded"] = _coded
    chart = Markup(document.chart)
    return environment.get_template("page.html.j2").render(document=document, chart=chart)


def _coded(text: str) -> Markup:
    """With what is in backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))
