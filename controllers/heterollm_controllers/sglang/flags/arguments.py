"""The user's arguments for SGLang's server: checked, and put into the words of the release that will read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from heterollm_controllers.sglang.flags.catalogue import Catalogue, Flag, catalogue, releases
from heterollm_controllers.sglang.flags.dp_attention import translate_dp_attention
from heterollm_controllers.sglang.flags.owned import OWNED
from heterollm_controllers.sglang.flags.reading import Given, read
from heterollm_controllers.sglang.flags.training import explain
from heterollm_controllers.sglang.flags.translations import (
    TENSOR_PARALLEL,
    TRANSLATIONS,
    VALUE,
    Translation,
)
from heterollm_controllers.sglang.flags.typed import expands, human_int, wrong_count, wrong_value

__all__ = ["SIMULATED", "Arguments", "Value", "check"]

SIMULATED = "--sim-"
"""Flags that begin so belong to the simulated engine and are passed on unread."""
_SLIME_PREFIX = "--sglang-"

Value = str | bool | tuple[str, ...]


@dataclass(frozen=True)
class Arguments:
    """What the user's arguments come to."""

    flags: tuple[tuple[str, tuple[str, ...]], ...]
    """The flags that are in order, in the user's order: main spelling, and the words to pass on."""
    values: Mapping[str, Value] = field(hash=False)
    """By main spelling: text, True or False for a switch, several texts for a flag that takes several."""
    warnings: tuple[str, ...]
    """What was changed, and why."""
    errors: tuple[str, ...]
    """All that is wrong; the arguments can be used only if there is nothing."""

    @property
    def args(self) -> tuple[str, ...]:
        """The arguments that are in order, in the release's own words."""
        return self.without(())

    def without(self, names: Collection[str]) -> tuple[str, ...]:
        """The arguments less the flags of these main spellings."""
        return tuple(word for name, words in self.flags if name not in names for word in words)

    def text(self, flag: str) -> str | None:
        """The value, if it is given and known here: the kubelet may still have to put it in."""
        value = self.values.get(flag)
        return value if isinstance(value, str) and not expands(value) else None

    def integer(self, flag: str) -> int | None:
        """The value as a whole number, if it is given and known here."""
        text = self.text(flag)
        return None if text is None else human_int(text)

    def number(self, flag: str) -> float | None:
        """The value as a number, if it is given and known here."""
        text = self.text(flag)
        return None if text is None else float(text)

    @property
    def attention_data_parallel(self) -> int | None:
        """Attention data-parallel ranks, however the release spells them."""
        if self.values.get("--enable-dp-attention") is True:
            return self.integer("--dp-size")
        return self.integer("--attn-dp-size")


def check(args: Sequence[str], release: str, tp: int | None = None) -> Arguments:
    """Read the user's arguments as SGLang would.

    Args:
        args: What the user gave.
        release: The SGLang release that will read them.
        tp: Tensor-parallel size of the engine where it is known; until then TENSOR_PARALLEL stands for it.

    Raises:
        UnknownRelease: there is no catalogue of that release.
    """
    known = catalogue(release)
    plain, warnings = _without_slime_prefix(args, known)
    given, errors = read(plain, known)
    current, translated, refused = _in_todays_words(given, known)
    warnings += translated
    errors += refused
    good: list[Given] = []
    for flag in current:
        wrong = _wrong(flag, known)
        errors += wrong
        good += [] if wrong else [flag]
    chosen, repeated = _last_of_each(good, known)
    chosen = _with_tp(chosen, known, tp)
    return Arguments(
        flags=tuple((_main(flag, known), flag.words) for flag in chosen),
        values=MappingProxyType(_values(chosen, known)),
        warnings=(*warnings, *repeated),
        errors=tuple(errors),
    )


def _in_todays_words(given: list[Given], known: Catalogue) -> tuple[list[Given], list[str], list[str]]:
    """The flags after translation, what was translated, and what has no translation."""
    paired, warnings = translate_dp_attention(given, known)
    current: list[Given] = []
    errors: list[str] = []
    for flag in paired:
        row = _row(flag.spelling, known)
        problem = _untranslatable(flag, row, known) if row is not None else None
        if row is None:
            current.append(flag)
        elif problem is not None:
            errors.append(problem)
        else:
            instead = _replacement(flag, row, known)
            current += instead
            warnings.append(_told(flag, row, instead, known))
    return current, warnings, errors


def _without_slime_prefix(args: Sequence[str], known: Catalogue) -> tuple[list[str], list[str]]:
    """The arguments with server flags as the server spells them, and what was changed."""
    plain: list[str] = []
    warnings: list[str] = []
    for word in args:
        spelled, joined, value = word.partition("=")
        name = "--" + spelled.removeprefix(_SLIME_PREFIX)
        if spelled.startswith(_SLIME_PREFIX) and (name in known.spellings or name in TRANSLATIONS):
            warnings.append(f"{spelled} is SLIME's spelling: {name} is used instead")
            word = f"{name}{joined}{value}"
        plain.append(word)
    return plain, warnings


def _row(spelling: str, known: Catalogue) -> Translation | None:
    """The translation that applies: none for a flag that is current."""
    flag = known.spellings.get(spelling)
    return None if flag is not None and not flag.deprecated else TRANSLATIONS.get(spelling)


def _untranslatable(flag: Given, row: Translation, known: Catalogue) -> str | None:
    gone = f"{flag.spelling} is gone from SGLang {known.release}"
    if row.refused:
        return f"{gone}: {row.why}"
    if row.takes == 0 and (flag.values or flag.joined):
        return f"{flag.spelling} is a switch and takes no value"
    if row.takes in (None, "+") and not flag.values:
        return f"{flag.spelling} needs a value"
    return None


def _replacement(flag: Given, row: Translation, known: Catalogue) -> list[Given]:
    """The flags that stand for an old one."""
    values = tuple(row.values.get(value, value) for value in flag.values)
    made: list[Given] = []
    for word in row.replacement(known):
        if word.startswith("--"):
            made.append(Given(word, (), origin=flag.spelling))
        elif word == VALUE:
            made[-1] = replace(made[-1], values=values, joined=flag.joined)
        else:
            made[-1] = replace(made[-1], values=(word,))
    return made


def _told(flag: Given, row: Translation, instead: list[Given], known: Catalogue) -> str:
    state = "is deprecated in" if flag.spelling in known.spellings else "is gone from"
    why = f" ({row.why})" if row.why else ""
    words = " ".join(word for new in instead for word in new.words).replace(TENSOR_PARALLEL, "<tensor-parallel size>")
    outcome = f"{words} is used instead" if instead else "it is left out"
    return f"{flag.spelling} {state} SGLang {known.release}: {outcome}{why}"


def _wrong(given: Given, known: Catalogue) -> list[str]:
    """All that is wrong with one flag."""
    if given.spelling.startswith(SIMULATED):
        return []
    flag = known.spellings.get(given.spelling)
    if flag is None:
        return [explain(given.spelling) or _unknown(given.spelling, known)]
    if flag.name in OWNED:
        return [f"{given.label} belongs to the operator: {OWNED[flag.name]}"]
    count = wrong_count(flag, given.values, given.joined)
    problems = [count] if count else [wrong_value(flag, value) for value in given.values]
    return [f"{given.label} {problem}" for problem in problems if problem is not None]


def _unknown(spelling: str, known: Catalogue) -> str:
    unknown = f"SGLang {known.release} has no flag {spelling}"
    elsewhere = [release for release in releases() if spelling in catalogue(release).spellings]
    if elsewhere:
        return f"{unknown}; SGLang {elsewhere[-1]} has it"
    near = known.nearest(spelling)
    return f"{unknown}; did you mean {' or '.join(near)}?" if near else unknown


def _last_of_each(given: list[Given], known: Catalogue) -> tuple[list[Given], list[str]]:
    """One of each flag: the last, as in SGLang; but what the user wrote counts before what was put in its place."""
    groups: dict[str, list[Given]] = {}
    for flag in given:
        if not flag.spelling.startswith(SIMULATED):
            groups.setdefault(_main(flag, known), []).append(flag)
    winners = {name: ([flag for flag in group if flag.origin is None] or group)[-1] for name, group in groups.items()}
    kept = {id(flag) for flag in winners.values()}
    warnings = [
        f"{name} is given {len(group)} times: the last counts, {' '.join(winners[name].words)}"
        for name, group in groups.items()
        if len(group) > 1
    ]
    return [flag for flag in given if id(flag) in kept or flag.spelling.startswith(SIMULATED)], warnings


def _with_tp(given: list[Given], known: Catalogue, tp: int | None) -> list[Given]:
    """TENSOR_PARALLEL made a number, if the caller knows it or the user gave it."""
    size = str(tp) if tp is not None else _users_tp(given, known)
    if size is None:
        return given
    return [
        replace(flag, values=tuple(value.replace(TENSOR_PARALLEL, size) for value in flag.values)) for flag in given
    ]


def _users_tp(given: list[Given], known: Catalogue) -> str | None:
    sizes = [flag.values[0] for flag in given if _main(flag, known) == "--tp-size" and not expands(flag.values[0])]
    return sizes[-1] if sizes else None


def _main(given: Given, known: Catalogue) -> str:
    flag = known.spellings.get(given.spelling)
    return given.spelling if flag is None else flag.name


def _values(given: list[Given], known: Catalogue) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for flag in given:
        entry = known.spellings.get(flag.spelling)
        if entry is not None:
            found[entry.name] = _value(entry, flag)
    return found


def _value(flag: Flag, given: Given) -> Value:
    if flag.switch:
        return flag.on(given.spelling)
    if flag.nargs in ("*", "+"):
        return given.values
    return given.values[0] if given.values else True
