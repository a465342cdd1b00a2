"""The old way to ask for attention data parallelism, `--dp-size N --enable-dp-attention`, in today's words."""

from __future__ import annotations

from heterollm_controllers.sglang.flags.catalogue import Catalogue
from heterollm_controllers.sglang.flags.reading import Given

__all__ = ["attention_dp_flags", "translate_dp_attention"]

_SWITCH, _OLD, _NEW = "--enable-dp-attention", "--dp-size", "--attn-dp-size"


def translate_dp_attention(given: list[Given], known: Catalogue) -> tuple[list[Given], list[str]]:
    """The flags with `--attn-dp-size N` instead of the pair, and what to tell the user.

    A release that has no `--attn-dp-size` still means the pair, and keeps it. Beside `--attn-dp-size` the switch adds
    nothing, and `--dp-size` counts whole copies of the model, as it does alone.
    """
    names = [_main(flag, known) for flag in given]
    switches = [flag for flag, name in zip(given, names, strict=True) if name == _SWITCH]
    if _NEW not in known.flags or not switches or any(flag.joined for flag in switches):
        return given, []
    rest = [flag for flag, name in zip(given, names, strict=True) if name != _SWITCH]
    if _NEW in names:
        return rest, [f"{_SWITCH} is deprecated and left out: {_NEW} says it all"]
    if _OLD not in names:
        return rest, [f"{_SWITCH} is deprecated and left out: without {_OLD} it has no effect; use {_NEW}"]
    last = [flag for flag in rest if _main(flag, known) == _OLD][-1]
    moved = Given(_NEW, last.values, joined=last.joined, origin=last.spelling)
    kept = [moved if flag is last else flag for flag in rest if flag is last or _main(flag, known) != _OLD]
    size = " ".join(last.values)
    return kept, [f"{_SWITCH} with {last.spelling} is deprecated: {_NEW} {size} is used instead"]


def attention_dp_flags(ranks: int, known: Catalogue) -> list[tuple[str, str | None]]:
    """Attention data parallelism over so many ranks, as a release spells it."""
    if _NEW in known.flags:
        return [(_NEW, str(ranks))]
    return [(_OLD, str(ranks)), (_SWITCH, None)]


def _main(flag: Given, known: Catalogue) -> str:
    found = known.spellings.get(flag.spelling)
    return flag.spelling if found is None else found.name
