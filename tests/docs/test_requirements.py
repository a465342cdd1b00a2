"""Whoever meets an id such as R9 in the code finds what it asks for in docs/requirements.md."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.repository import ROOT, anchors, files

_PAGE = ROOT / "docs" / "requirements.md"
_READ = {".py", ".rs", ".md", ".j2", ".yaml", ".yml", ".go", ".sh", ".tpl"}
# Not the R1 of a model's name: DeepSeek-R1, V3/R1.
_ID = re.compile(r"(?<![\w/-])R\d{1,2}b?(?!\w)")


def _named() -> dict[str, list[str]]:
    """The files that name each id."""
    found: dict[str, list[str]] = {}
    for path in _texts():
        for identity in _ID.findall(path.read_text(encoding="utf-8", errors="ignore")):
            found.setdefault(identity, []).append(str(path.relative_to(ROOT)))
    return found


def _texts() -> list[Path]:
    return [path for path in files() if path.suffix in _READ and path != _PAGE and "golden" not in path.parts]


def test_every_requirement_that_is_named_is_explained() -> None:
    known = anchors(_PAGE)
    unexplained = {identity: where for identity, where in _named().items() if identity.lower() not in known}
    assert not unexplained


def test_ids_are_found_in_code_and_docs() -> None:
    # Otherwise the test above would pass by finding nothing.
    where = _named()["R9"]
    assert any(path.startswith("controllers/") for path in where)
    assert any(path.startswith("docs/") for path in where)


def test_an_id_has_one_line() -> None:
    ids = re.findall(r'<a id="([^"]+)"></a>(\S+)', _PAGE.read_text(encoding="utf-8"))
    assert [(anchor, text) for anchor, text in ids if anchor != text.lower()] == []
    assert len(ids) == len(set(ids))
