"""Grouping arguments into flags with their values, as Python's argparse (and so SGLang) does it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heterollm_controllers.sglang.flags.catalogue import Catalogue, Flag, Nargs
from heterollm_controllers.sglang.flags.training import SUBJECTS
from heterollm_controllers.sglang.flags.translations import TRANSLATIONS

__all__ = ["Given", "read"]

_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")
"""What argparse takes for a number and not for a flag."""


@dataclass(frozen=True)
class Given:
    """One flag as it was given."""

    spelling: str
    """In full where the user abbreviated it."""
    values: tuple[str, ...]
    joined: bool = False
    """Written --flag=value."""
    origin: str | None = None
    """The flag that the user wrote, where this one was put in its place."""

    @property
    def label(self) -> str:
        """The flag as messages name it."""
        return self.spelling if self.origin is None else f"{self.spelling} (for {self.origin})"

    @property
    def words(self) -> tuple[str, ...]:
        """As arguments again."""
        if self.joined:
            return (f"{self.spelling}={self.values[0]}",)
        return (self.spelling, *self.values)


def read(args: Sequence[str], known: Catalogue) -> tuple[list[Given], list[str]]:
    """The flags in the order given, and what stands where no value belongs."""
    given: list[Given] = []
    errors: list[str] = []
    for word in args:
        if _is_flag(word, known):
            given.append(_begin(word, known))
        elif given and _takes_more(given[-1], known):
            given[-1] = replace(given[-1], values=(*given[-1].values, word))
        else:
            errors.append(_stray(word, given[-1] if given else None))
    return given, errors


def _begin(word: str, known: Catalogue) -> Given:
    name, joined, value = word.partition("=")
    if word in known.spellings:
        name, joined, value = word, "", ""
    whole = None if name in known.spellings or _has_a_meaning(name) else known.in_full(name)
    return Given(whole or name, (value,) if joined else (), joined=bool(joined))


def _has_a_meaning(name: str) -> bool:
    """Whether a name that the release lacks says more than an abbreviation would."""
    return name in TRANSLATIONS or name in SUBJECTS


def _is_flag(word: str, known: Catalogue) -> bool:
    if not word.startswith("-") or word == "-":
        return False
    name = word.partition("=")[0]
    if name in known.spellings or known.in_full(name) is not None:
        return True
    return not _NEGATIVE.fullmatch(word) and " " not in name


def _takes_more(given: Given, known: Catalogue) -> bool:
    if given.joined:
        return False
    nargs = _nargs(given.spelling, known)
    if nargs is None or nargs == "?":
        return not given.values
    return nargs in ("*", "+") or len(given.values) < int(nargs)


def _nargs(spelling: str, known: Catalogue) -> Nargs:
    flag: Flag | None = known.spellings.get(spelling)
    if flag is not None:
        return flag.nargs
    row = TRANSLATIONS.get(spelling)
    return "*" if row is None else row.takes


def _stray(word: str, before: Given | None) -> str:
    name, _, value = word.partition(" ")
    if word.startswith("--") and value:
        return f"'{word}' holds a flag and its value in one item: write two items, or {name}={value.strip()}"
    if before is None:
        return f"'{word}' stands where a flag is expected"
    if not before.values:
        return f"'{word}' stands after {before.spelling}, which takes no value"
    return f"'{word}' stands after {before.spelling}, which has its value already"
