"""What holds for every test run."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips."""
    return _failed_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips."""
    return _failed_in_ci((yield))


_TOGETHER = {
    "the node": ("e2e/", "tests/cluster/test_node.py", "tests/cluster/test_image_build.py"),
    "a control plane": ("tests/apiserver/",),
    "a control plane for what is cluster-wide": ("tests/install/",),
}
"""What tests share that there is only once, and where these tests are. Those that wait most are first."""


def _group(nodeid: str) -> str:
    """Tests of a group follow each other in one worker (`-n`). By default a file is one: it shares its fixtures."""
    file = nodeid.partition("::")[0]
    return next((what for what, places in _TOGETHER.items() if file.startswith(places)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    order = [*_TOGETHER]
    for item in items:
        if item.get_closest_marker("node") and _group(item.nodeid) != order[0]:
            raise RuntimeError(f"{item.nodeid} needs the node: add its place to _TOGETHER in conftest.py")
    items.sort(key=lambda item: order.index(group) if (group := _group(item.nodeid)) in order else len(order))


class _Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker that is done the next group. (xdist_group marks have no effect with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Groups:
    """For `-n`."""
    return _Groups(config, log)


def _failed_in_ci(report: _Report) -> _Report:
    """In CI a skip is a failure: whatever a test needs, the command that runs it must bring."""
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not take: {report.longrepr}"
    return report
