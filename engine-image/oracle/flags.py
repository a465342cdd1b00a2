"""Write the catalogue of server flags of the SGLang release that this Python imports: flags.py RELEASE > FILE.

Only facts that a program needs are taken (spelling, type, choices, default, successor), no help texts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from importlib.metadata import version
from typing import Any

SWITCHES = (argparse._StoreTrueAction, argparse._StoreFalseAction, argparse._StoreConstAction)
OLD_TEXT = re.compile(r"^\W*\(?\[?deprecated", re.IGNORECASE)
SUCCESSOR = re.compile(r"(?:use|alias for) (--[a-z][a-z0-9-]*)(?:=([a-z_]+)| ([a-z_]+)\.$)?", re.IGNORECASE)
BOTH_PHASES = "{decode,prefill}"


def parser() -> argparse.ArgumentParser:
    """SGLang's own argument parser with every server flag."""
    from sglang.srt.server_args import ServerArgs

    made = argparse.ArgumentParser(add_help=False)
    ServerArgs.add_cli_args(made)
    return made


def entry(action: argparse.Action, choices: dict[str, set[str]]) -> dict[str, Any]:
    """One flag, without its main spelling; `choices` are those of every flag."""
    kind = type_of(action)
    found: dict[str, Any] = {
        "aliases": sorted(set(action.option_strings) - {main_spelling(action)}),
        "type": kind,
        "nargs": None if kind in ("bool", "optional-bool") else action.nargs,
        "choices": sorted(action.choices, key=str) if action.choices is not None else None,
        "default": plain(action.default),
        "deprecated": successors(action, choices),
    }
    return found | ({"required": True} if action.required else {})


def main_spelling(action: argparse.Action) -> str:
    """The spelling that SGLang's field name gives, else the first one."""
    by_field = "--" + action.dest.replace("_", "-")
    return by_field if by_field in action.option_strings else action.option_strings[0]


def type_of(action: argparse.Action) -> str:
    """bool for a switch, else what the value is read as."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "optional-bool"
    if isinstance(action, SWITCHES) or action.nargs == 0:
        return "bool"
    read: Any = action.type
    if read in (int, float, str):
        return str(read.__name__)
    if read is None:
        return "str"
    if read.__name__ == "human_readable_int":
        return "human-int"
    name: str = read.__name__
    return "json" if name == "loads" or name.startswith("json_") or name == "parse_cuda_graph_config_arg" else "str"


def plain(value: Any) -> Any:
    """A default as JSON holds it; what cannot be written is worked out by SGLang itself and so is null."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) and value is not argparse.SUPPRESS else None


def successors(action: argparse.Action, choices: dict[str, set[str]]) -> list[str] | None:
    """What replaces a deprecated flag; None for a flag that is not deprecated, [] for one that does nothing now."""
    named = getattr(action, "new_flag", None)
    if named is None and "Deprecated" not in type(action).__name__ and not OLD_TEXT.match(action.help or ""):
        return None
    if named is None:
        return ["=".join(filter(None, found)) for found in SUCCESSOR.findall(action.help or "")[:1]]
    if BOTH_PHASES in named:
        return [named.replace(BOTH_PHASES, phase) for phase in ("decode", "prefill")]
    translated = action.choices and choices.get(named) and not choices[named].issuperset(action.choices)
    return [f"{named} <value>" if translated else named]


def text(catalogue: dict[str, Any]) -> str:
    """The catalogue, one flag a line, sorted."""

    def lines(members: dict[str, Any]) -> str:
        return ",\n".join(f"{json.dumps(name)}:{compact(members[name])}" for name in sorted(members))

    return f'{{"release":{json.dumps(catalogue["release"])},\n"flags":{{\n{lines(catalogue["flags"])}\n}}}}\n'


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def main() -> None:
    """Command line."""
    release = sys.argv[1]
    import sglang

    # An older release runs from its source beside the newer one's metadata, so ask the package first.
    found = getattr(sglang, "__version__", None) or version("sglang")
    if found != release:
        sys.exit(f"this Python imports SGLang {found}, not {release}")
    # A flag with an error message stops the launch: SGLang knows it only to say so.
    accepted = [action for action in parser()._actions if getattr(action, "error_message", None) is None]
    choices = {spelling: set(action.choices or ()) for action in accepted for spelling in action.option_strings}
    flags = {main_spelling(action): entry(action, choices) for action in accepted}
    sys.stdout.write(text({"release": release, "flags": flags}))


if __name__ == "__main__":
    main()
