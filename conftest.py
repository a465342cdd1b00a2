"""What holds for every test run."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips."""
    return _failed_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips."""
    return _failed_in_ci((yield))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Divide the tests among workers (`-n`), and begin with what takes longest.

    There is one node, so its tests follow each other; and tests of one folder share a control plane. Both wait most
    of the time, and meanwhile others run. Of those a file stays whole: its tests share what a module starts.
    """
    items.sort(key=lambda item: _FIRST.index(_lane(item)))
    for item in items:
        file = item.nodeid.partition("::")[0]
        group = {"node": "node", "apiserver": file.rpartition("/")[0]}.get(_lane(item), file)
        item.add_marker(pytest.mark.xdist_group(group))


_FIRST = ("node", "apiserver", "others")


def _lane(item: pytest.Item) -> str:
    return next((lane for lane in _FIRST if item.get_closest_marker(lane)), "others")


def _failed_in_ci(report: _Report) -> _Report:
    """In CI a skip is a failure: whatever a test needs, the command that runs it must bring."""
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not take: {report.longrepr}"
    return report
