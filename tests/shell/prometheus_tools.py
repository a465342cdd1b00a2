"""The programs of Prometheus, where they are installed or where the scenarios keep what they have fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.cluster.cache import cache_dir
from tests.ports import free_port

__all__ = ["needs", "prometheus", "tool"]

_FETCHED = cache_dir() / "monitoring" / "root" / "usr" / "bin"


def tool(name: str) -> str | None:
    """Path of a program; None where there is none."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), str(_FETCHED))))


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of the programs is missing."""
    missing = [name for name in names if tool(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@contextmanager
def prometheus(where: Path, written: str = "", config: str = "{}") -> Iterator[str]:
    """The address of a Prometheus that holds these series, in OpenMetrics, and scrapes as configured, until the end."""
    program, promtool = tool("prometheus"), tool("promtool")
    assert program is not None
    assert promtool is not None
    data, file = where / "data", where / "prometheus.yml"
    if written:
        series = where / "series.txt"
        series.write_text(written)
        made = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(series), str(data)]
        subprocess.run(made, check=True, capture_output=True)
    file.write_text(config)
    address = f"127.0.0.1:{free_port()}"
    flags = [f"--config.file={file}", f"--storage.tsdb.path={data}", f"--web.listen-address={address}"]
    with subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(f"http://{address}/-/ready")
            yield f"http://{address}"
        finally:
            process.terminate()


def _wait(url: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")
