"""An argparse parser with the flags of a catalogue, as SGLang builds its own: what `check` is held against."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

from heterollm_controllers.sglang.flags.catalogue import Flag, catalogue
from heterollm_controllers.sglang.flags.typed import human_int

__all__ = ["Refused", "parse"]

READERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "human-int": human_int,
    "float": float,
    "str": str,
    "json": json.loads,
}


class Refused(Exception):
    """argparse does not take the arguments."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(message)


def parse(args: Sequence[str], release: str) -> dict[str, Any]:
    """What argparse reads, without the flags that were not given.

    Raises:
        Refused: it takes them not.
    """
    return vars(_parser(release).parse_args(list(args)))


@cache
def _parser(release: str) -> Parser:
    parser = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    for flag in catalogue(release).flags.values():
        parser.add_argument(*_spellings(flag), dest=flag.name, **_options(flag))
    return parser


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("not an object")
    return found


def _spellings(flag: Flag) -> list[str]:
    # BooleanOptionalAction makes the --no- forms itself.
    return [s for s in (flag.name, *flag.aliases) if flag.kind != "optional-bool" or not s.startswith("--no-")]


def _options(flag: Flag) -> dict[str, Any]:
    if flag.kind == "bool":
        return {"action": "store_true"}
    if flag.kind == "optional-bool":
        return {"action": argparse.BooleanOptionalAction}
    read = _object if flag.name == "--cuda-graph-config" else READERS[flag.kind]
    options: dict[str, Any] = {"type": read, "nargs": flag.nargs}
    if flag.choices is not None:
        options["choices"] = [read(choice) for choice in flag.choices]
    return options | ({"const": True} if flag.nargs == "?" else {})
