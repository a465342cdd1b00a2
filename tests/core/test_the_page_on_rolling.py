"""docs/rolling.md says of every field what the code does."""

from __future__ import annotations

from tests.core.rolling_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make generate`"
