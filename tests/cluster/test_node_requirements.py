"""What the full mode asks of the machine is said in words, and processes are never taken for others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from e2e.cluster.node import host
from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.process import ProcessId


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NodeError, match="needs root"):
        host.require_root()


def test_elsewhere_than_on_linux_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NodeError, match="needs Linux, this is darwin"):
        host.require_root()


def test_missing_packages_are_named_where_nothing_can_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(NodeError, match=r"please install .*containerd.*runc"):
        host.ensure_packages(print)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_known_by_its_start_time() -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert me.running
    assert ProcessId.parse(str(me)) == me
    assert not replace(me, start_time=me.start_time - 1).running


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_zombie_does_not_run() -> None:
    with subprocess.Popen(["true"]) as child:
        # Ended, but not yet waited for.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert ProcessId.of(child.pid) is None
