"""docs/flags.md lists what the code does: every translation and every flag of the operator."""

from __future__ import annotations

from pathlib import Path

from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE, catalogue, releases
from heterollm_controllers.sglang.flags.owned import OWNED
from heterollm_controllers.sglang.flags.translations import (
    TENSOR_PARALLEL,
    TRANSLATIONS,
    VALUE,
    Translation,
)

PAGE = (Path(__file__).parents[2] / "docs" / "flags.md").read_text(encoding="utf-8")


def line(row: Translation) -> str:
    words = " ".join(row.replacement(catalogue(DEFAULT_RELEASE)))
    outcome = "**refused**" if row.refused else f"`{words.replace(VALUE, '…')}`" if words else "left out"
    outcome = outcome.replace(TENSOR_PARALLEL, "<TP>")
    return f"| `{row.old}` | {row.by or 'deprecated'} | {outcome}{f': {row.why}' if row.why else ''} |"


def test_every_translation_stands_in_the_table() -> None:
    _, _, table = PAGE.partition("| flag | gone by | instead |\n|---|---|---|\n")
    written = table.splitlines()
    assert written == [line(row) for row in TRANSLATIONS.values()]


def test_every_flag_of_the_operator_is_named() -> None:
    assert [flag for flag in OWNED if f"`{flag}`" not in PAGE] == []


def test_the_releases_are_named() -> None:
    assert [release for release in releases() if release not in PAGE] == []
