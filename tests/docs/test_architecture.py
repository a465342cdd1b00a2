"""docs/architecture.md and its picture show the rooms that there are."""

from __future__ import annotations

import re

from tests.docs.repository import ROOT

_PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_PICTURE = (ROOT / "docs" / "house.svg").read_text(encoding="utf-8")
_CORE = ROOT / "controllers" / "heterollm_controllers"
_SHELL = ROOT / "operator" / "heterollm_operator"


def _rooms(package: str) -> set[str]:
    return {file.parent.name for file in (ROOT / package).glob("*/__init__.py")}


def test_every_room_of_the_core_has_a_line() -> None:
    table = _PAGE.partition("| room of")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) == _rooms("controllers/heterollm_controllers")


def test_every_room_is_in_the_picture() -> None:
    shown = set(re.findall(r'font-weight="bold"[^>]*>([a-z_]+)</text>', _PICTURE))
    rooms = _rooms("controllers/heterollm_controllers") | _rooms("operator/heterollm_operator") | {"heterollm_cli"}
    assert shown == rooms


def test_every_folder_and_file_named_exists() -> None:
    named = re.findall(r"`([a-z][\w-]+/[\w/.-]*)`", _PAGE)
    assert len(named) > 15
    # A file of a room is named as seen from the core, the shell or the module.
    places = (ROOT, _CORE, _SHELL, ROOT / "router-image" / "module" / "src")
    assert [path for path in named if not any((place / path).exists() for place in places)] == []
