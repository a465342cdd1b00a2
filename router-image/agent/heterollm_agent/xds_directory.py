"""Reads and writes a directory that Envoy watches, and records which policy was applied last."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["AppliedPolicy", "XdsDirectory"]

_APPLIED = "applied.json"


@dataclass(frozen=True)
class AppliedPolicy:
    """The policy that was applied last, all of it."""

    version: int
    uid: str | None


class XdsDirectory:
    """Files of xDS resources, which Envoy loads whenever they are replaced. Methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def applied(self) -> AppliedPolicy | None:
        """Which policy was applied last; None in a new pod, or when the record cannot be read."""
        try:
            record = json.loads((self._path / _APPLIED).read_text(encoding="utf-8"))
            return AppliedPolicy(int(record["version"]), record["uid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def record_applied(self, applied: AppliedPolicy) -> None:
        """Record what was applied, for the next process of this pod."""
        self.write(_APPLIED, json.dumps({"version": applied.version, "uid": applied.uid}))

    def files(self) -> dict[str, str]:
        """Read the resource files, name -> text."""
        paths = [path for path in self._path.glob("*.json") if path.name != _APPLIED]
        return {path.name: path.read_text(encoding="utf-8") for path in paths}

    def write(self, name: str, text: str) -> bool:
        """Replace one file if its text differs, at once: Envoy never reads a part. Returns whether it differed."""
        path = self._path / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        # Envoy loads a file when it is moved into place; the leading dot hides half-written ones from files().
        fresh = self._path / f".{name}.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
        return True

    def remove(self, name: str) -> None:
        """Remove one file, if it is there."""
        (self._path / name).unlink(missing_ok=True)
