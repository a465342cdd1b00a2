"""The directory Envoy watches: files replaced as a whole, and a note of what was applied last."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Applied", "PolicyDirectory"]

_NOTE = "applied.json"


@dataclass(frozen=True)
class Applied:
    """The last policy that was applied as a whole."""

    version: int
    uid: str | None


class PolicyDirectory:
    """Reads and writes the directory; knows nothing of what the files mean."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def applied(self) -> Applied | None:
        """None after the pod's start, or when the note cannot be read."""
        try:
            note = json.loads((self._path / _NOTE).read_text(encoding="utf-8"))
            return Applied(int(note["version"]), note["uid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, applied: Applied) -> None:
        """Remember what was applied, over restarts of this process."""
        self.write(_NOTE, json.dumps({"version": applied.version, "uid": applied.uid}))

    def files(self) -> dict[str, str]:
        """The resource files as they are, name -> text."""
        paths = [path for path in self._path.glob("*.json") if path.name != _NOTE]
        return {path.name: path.read_text(encoding="utf-8") for path in paths}

    def write(self, name: str, text: str) -> bool:
        """Replace one file, if it changes; whether it did. Envoy sees the old one or the new one, never a part."""
        path = self._path / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        # Envoy reacts to a file that is moved into place; the leading dot keeps half-written ones out of files().
        fresh = self._path / f".{name}.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
        return True

    def remove(self, name: str) -> None:
        """Forget a file that the policy no longer has."""
        (self._path / name).unlink(missing_ok=True)
