"""Reading SLIME launch scripts: the flags that one would give, without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from heterollm_cli.slime.bash_script import Argument, Script, read_bash
from heterollm_cli.slime.bash_words import UnreadableScript

__all__ = ["SlimeFlag", "SlimeLaunch", "UnreadableScript", "read_script"]

_TRAINER = re.compile(r"(.*/)?train(_\w+)?\.py")
_FLAG = re.compile(r"--[A-Za-z]")


@dataclass(frozen=True)
class SlimeFlag:
    """One flag of the launch, the last where it is repeated."""

    values: tuple[str, ...]
    unknown: tuple[str, ...]
    """Why its values are not known."""


@dataclass(frozen=True)
class SlimeLaunch:
    """What the script would give SLIME."""

    flags: Mapping[str, SlimeFlag]
    """By name, with the two dashes."""
    remarks: tuple[str, ...]
    """What could not be read, and what was assumed."""


def read_script(text: str) -> SlimeLaunch:
    """Read a launch script without running it.

    Raises:
        UnreadableScript: bash would not read it, or it does not launch SLIME.
    """
    script = read_bash(text)
    launches = list(_launches(script))
    remarks: list[str] = []
    if launches:
        arguments = launches[-1]
    else:
        arguments = tuple(argument for array in _flag_arrays(script) for argument in array)
        remarks.append("the script calls no train.py: the flags of all its arrays were read")
    if not arguments:
        raise UnreadableScript("this is no SLIME launch script: it calls no train.py and has no arrays of flags")
    if len(launches) > 1:
        remarks.append(f"the script launches SLIME {len(launches)} times: the last launch was read")
    flags, unread = _grouped(arguments)
    remarks += [_unread(argument, script) for argument in unread]
    remarks += sorted({doubt for argument in arguments for doubt in argument.doubts})
    return SlimeLaunch(MappingProxyType(flags), tuple(remarks))


def _launches(script: Script) -> Iterable[tuple[Argument, ...]]:
    """What follows train.py, wherever it is called."""
    for call in script.calls:
        arguments = [piece for argument in call.arguments for piece in _inner(argument)]
        at = next((at for at, argument in enumerate(arguments) if _TRAINER.fullmatch(argument.text)), None)
        if at is not None:
            yield tuple(arguments[at + 1 :])


def _inner(argument: Argument) -> list[Argument]:
    """The words of a command that is given in one argument, as to `bash -c`; else the argument itself."""
    if not any(map(_TRAINER.fullmatch, argument.text.split()[1:])):
        return [argument]
    try:
        words = shlex.split(argument.text)
    except ValueError:
        return [argument]
    nothing: frozenset[str] = frozenset()
    return [Argument(word, argument.unknown if "$" in word else nothing, argument.doubts) for word in words]


def _flag_arrays(script: Script) -> list[tuple[Argument, ...]]:
    return [array for array in script.arrays.values() if array and _FLAG.match(array[0].text)]


def _grouped(arguments: Iterable[Argument]) -> tuple[dict[str, SlimeFlag], list[Argument]]:
    """Flags with their values, and arguments that may be anything."""
    flags: dict[str, SlimeFlag] = {}
    unread: list[Argument] = []
    name = ""
    for argument in arguments:
        if _FLAG.match(argument.text):
            name, joined, value = argument.text.partition("=")
            unknown = tuple(sorted(argument.unknown)) if joined else ()
            flags[name] = SlimeFlag((value,) if joined else (), unknown)
        elif argument.unknown and (not name or flags[name].values or "[@]" in argument.text):
            unread.append(argument)
        elif name:
            known = flags[name]
            flags[name] = SlimeFlag((*known.values, argument.text), (*known.unknown, *sorted(argument.unknown)))
    return flags, unread


def _unread(argument: Argument, script: Script) -> str:
    why = "; ".join(sorted(argument.unknown))
    files = ", ".join(path.rpartition("/")[2] for path in script.sourced)
    sourced = f" (it reads {files}, which was not followed)" if files else ""
    return f"{argument.text} could not be read: {why}{sourced}"
