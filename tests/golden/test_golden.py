"""What users and routers get is what the golden files say. `make golden` records it anew, for review as a diff."""

from __future__ import annotations

import pytest

from tests.golden.cases import CASES, EXPECTED


@pytest.mark.parametrize("name", CASES)
def test_as_recorded(name: str) -> None:
    recorded = EXPECTED / name
    assert recorded.exists(), "make golden"
    assert CASES[name]() == recorded.read_text(), "make golden, then read the diff"


def test_no_file_is_left_over() -> None:
    assert {str(path.relative_to(EXPECTED)) for path in EXPECTED.rglob("*") if path.is_file()} == set(CASES)
