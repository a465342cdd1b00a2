"""The repository's own files, and what its pages say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "anchors", "code_blocks", "files", "links", "pages", "prose"]

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_URL = re.compile(r"[a-z]+:")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


@cache
def files() -> tuple[Path, ...]:
    """Every file of the working tree that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return tuple(ROOT / name for name in listed if name and (ROOT / name).is_file())


def pages() -> list[Path]:
    """Every page that people read: Markdown, except templates of issues and pull requests."""
    return [path for path in files() if path.suffix == ".md" and ".github" not in path.parts]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of every link to something of ours."""
    for target in _LINK.findall(_CODE.sub("`", prose(page))):
        if _URL.match(target):
            continue
        path, _, anchor = target.partition("#")
        yield (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """What a link to the page may end with after `#`."""
    text = prose(page)
    headings = {_slug(heading) for heading in _HEADING.findall(text)}
    return headings | set(re.findall(r'<a id="([^"]+)"', text))


def _slug(heading: str) -> str:
    """As GitHub makes an anchor of a heading."""
    text = re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def code_blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of every code block."""
    yield from re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
