"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heterollm_cli.reporting.document import Document, Section, Table

__all__ = ["markdown"]


def markdown(document: Document, chart_file: str = "") -> str:
    """The text; `chart_file`: where its chart is, as a reader of the text finds it."""
    lines = [f"# {_escaped(document.title)}", ""]
    if document.chart and chart_file:
        lines += [f"![Figures over time]({chart_file})", ""]
    for section in document.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield from (f"## {section.title}", "")
    for sentence in section.sentences:
        yield from (
            (f"- {_escaped(sentence)}", "") if sentence == section.sentences[-1] else (f"- {_escaped(sentence)}",)
        )
    if section.table is not None and section.table.rows:
        yield from (*_table(section.table), "")
    elif section.table is not None:
        yield from ("None.", "")
    for note in section.notes:
        yield from (_escaped(note), "")


def _table(table: Table) -> Iterator[str]:
    yield _row(table.head)
    yield "|---" * len(table.head) + "|"
    yield from (_row(row) for row in table.rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell).replace("|", "\\|") for cell in cells) + " |"


def _escaped(text: str) -> str:
    """On one line, and no HTML."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
