"""What goes into an image: the files of a build context, their hash, and a clean copy of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["content_key", "context_files", "stage"]


def context_files(context: Path) -> list[Path]:
    """Return the files of a context, relative to it: what neither git nor the context's .dockerignore leaves out."""
    listed = subprocess.run(
        ["git", "-C", str(context), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = (Path(name) for name in listed.stdout.split("\0") if name)
    else:
        names = (path.relative_to(context) for path in context.rglob("*"))
    patterns = _dockerignore(context)
    return sorted(name for name in names if _is_content(context / name) and not _is_ignored(name, patterns))


def _dockerignore(context: Path) -> list[str]:
    file = context / ".dockerignore"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _is_ignored(name: Path, patterns: list[str]) -> bool:
    """Apply the patterns in order: the last that matches the file or a folder above it decides."""
    ignored = False
    for pattern in patterns:
        glob = pattern.removeprefix("!").strip("/")
        if any(path.match(glob) for path in (name, *name.parents[:-1])):
            ignored = not pattern.startswith("!")
    return ignored


def _is_content(path: Path) -> bool:
    """Tell files and links from folders, and from what git still lists though it has been deleted."""
    return path.is_symlink() or path.is_file()


def content_key(context: Path, files: list[Path], dockerfile: Path, arguments: Mapping[str, str]) -> str:
    """Return the hash of everything that a build depends on."""
    digest = hashlib.sha256(dockerfile.read_bytes())
    for name, value in sorted(arguments.items()):
        digest.update(f"\0arg {name}={value}".encode())
    for file in files:
        path = context / file
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        digest.update(f"\0file {file} {_mode(path):o} ".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def stage(context: Path, files: list[Path], target: Path) -> None:
    """Copy the files with fixed times and modes, so that equal contents give equal image layers."""
    for file in files:
        copy = target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(context / file, copy, follow_symlinks=False)
        if not copy.is_symlink():
            copy.chmod(_mode(context / file))
        os.utime(copy, (0, 0), follow_symlinks=False)


def _mode(path: Path) -> int:
    """Return a file's mode as git knows it: executable or not. The umask of a checkout is no content."""
    return 0o755 if path.lstat().st_mode & 0o100 else 0o644
