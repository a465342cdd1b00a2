"""Read from a Dockerfile which paths of its context it copies."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

__all__ = ["copied_paths", "is_copied"]

_CONTINUATION = re.compile(r"\\\n(\s*#.*\n)*")
_COPY = re.compile(r"^\s*(?:COPY|ADD)\s+(.*)$", re.IGNORECASE | re.MULTILINE)
# Patterns, variables and the JSON form are left to the builder: the whole context counts then.
_NOT_PLAIN = re.compile(r"[*?\[\]$\"']")


def copied_paths(dockerfile: Path) -> list[PurePath]:
    """Return the files and folders of the context that the image depends on; "." stands for all of it."""
    found: list[PurePath] = []
    for match in _COPY.finditer(_CONTINUATION.sub(" ", dockerfile.read_text())):
        words = match.group(1).split()
        if any(word.startswith("--from=") for word in words):
            continue
        if _NOT_PLAIN.search(match.group(1)):
            return [PurePath()]
        sources = [word for word in words if not word.startswith("--")][:-1]
        # A leading slash means the root of the context.
        found += [PurePath(source.lstrip("/")) for source in sources]
    return found


def is_copied(file: PurePath, paths: list[PurePath]) -> bool:
    """Tell whether a file of the context goes into the image, or decides what does."""
    return file.name == ".dockerignore" or any(file.is_relative_to(path) for path in paths)
