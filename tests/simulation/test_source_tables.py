"""The source's metrics follow from its metrics per request, with the mixes stated."""

from __future__ import annotations

import pytest

from heterollm_controllers.simulation.source_tables import Row, capacity, source_rows

ROWS = source_rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_reckoned_and_emulated_are_near_the_source(row: Row) -> None:
    assert row.reckoned == pytest.approx(row.source, rel=0.03)
    assert row.emulated == pytest.approx(row.reckoned, rel=0.03)


def test_capacity_is_that_of_the_tier_that_is_full_first() -> None:
    assert capacity(1, 12, 0.0) == 180 * 12
    assert capacity(4, 0, 1.0) == 72
    assert capacity(1, 12, 0.5) == 36
    assert capacity(10, 1, 0.1) == 200


def test_the_two_clusters_of_the_source_have_different_mixes() -> None:
    mixes = {row.source: row.mix for row in ROWS if row.what.startswith("capacity")}
    assert mixes == {72.0: "f = 100.0 %", 185.0: "f = 9.7 %", 142.0: "f = 25.4 %"}
    # At the mix of the one, the other cluster's figure is not what the source says.
    assert capacity(2, 8, 18 / 185) > 300
