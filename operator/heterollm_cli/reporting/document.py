"""A report as its readers get it, whatever the form."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Document", "Section", "Table"]


@dataclass(frozen=True)
class Table:
    """Cells as text."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """Sentences, then perhaps a table, then what is to be known of it."""

    title: str
    sentences: tuple[str, ...] = ()
    table: Table | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """The whole report; `chart` is an SVG document, or empty."""

    title: str
    sections: tuple[Section, ...]
    chart: str = ""
