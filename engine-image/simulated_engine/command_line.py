"""Reading a command line written for SGLang's server.

The real server knows over 500 options; repeating their list here would only go stale. So any ``--name value``,
``--name=value``, ``--name`` or ``--name a b c`` is read, the simulator uses the few that matter to it, and
``/server_info`` reports all of them as given.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["CommandLineError", "Options", "parse"]

ALIASES = {
    "model": "model_path",
    "tokenizer": "tokenizer_path",
    "tp": "tp_size",
    "tensor_parallel_size": "tp_size",
    "pp": "pp_size",
    "pipeline_parallel_size": "pp_size",
    "dp": "dp_size",
    "data_parallel_size": "dp_size",
    "ep": "ep_size",
    "expert_parallel_size": "ep_size",
    "nccl_init_addr": "dist_init_addr",
}
"""SGLang's second spellings of the options that are read here or reported."""


class CommandLineError(ValueError):
    """The command line cannot be read; the message says which option is wrong."""


def _is_option(word: str) -> bool:
    # "-1" is a value (several SGLang options take it), "-tp" is an option.
    return word.startswith("-") and len(word) > 1 and not word[1].isdigit()


def _canonical(name: str) -> str:
    name = name.replace("-", "_")
    return ALIASES.get(name, name)


def parse(words: Sequence[str]) -> Options:
    """Read the words after the program's name; the last of repeated options wins, as in SGLang."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for word in words:
        if _is_option(word):
            name, equals, value = word.lstrip("-").partition("=")
            current = [value] if equals else []
            found[_canonical(name)] = current
        elif current is None:
            raise CommandLineError(f"unexpected argument {word!r}: options start with --")
        else:
            current.append(word)
    return Options(found)


class Options:
    """The options of a command line by their canonical name (``tp_size``), with typed access."""

    def __init__(self, found: dict[str, list[str]]) -> None:
        self._found = found

    def text(self, name: str, default: str = "") -> str:
        """The single value of an option."""
        values = self._found.get(name)
        if values is None:
            return default
        if len(values) != 1:
            raise CommandLineError(f"--{name.replace('_', '-')} takes one value, got {len(values)}")
        return values[0]

    def integer(self, name: str, default: int, minimum: int = 0) -> int:
        """A whole number not below ``minimum``."""
        text = self.text(name, str(default))
        try:
            value = int(text)
        except ValueError:
            raise CommandLineError(f"--{name.replace('_', '-')} takes a whole number") from None
        if value < minimum:
            raise CommandLineError(f"--{name.replace('_', '-')} must be at least {minimum}, got {value}")
        return value

    def number(self, name: str, default: float) -> float:
        """A positive number or zero."""
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            raise CommandLineError(f"--{name.replace('_', '-')} takes a number") from None
        if not 0 <= value < float("inf"):
            raise CommandLineError(f"--{name.replace('_', '-')} must be a finite number >= 0, got {value}")
        return value

    def numbers(self, name: str, default: Sequence[float]) -> tuple[float, ...]:
        """A list of numbers, such as histogram buckets."""
        values = self._found.get(name)
        try:
            return tuple(float(value) for value in values) if values else tuple(default)
        except ValueError:
            raise CommandLineError(f"--{name.replace('_', '-')} takes numbers") from None

    def has(self, name: str) -> bool:
        """Whether the option was given at all (a switch)."""
        return name in self._found

    def as_given(self) -> dict[str, str | bool | list[str]]:
        """Every option as it was given: switches are true, lists stay lists."""
        return {name: _plain(values) for name, values in self._found.items()}


def _plain(values: list[str]) -> str | bool | list[str]:
    if not values:
        return True
    return values[0] if len(values) == 1 else values
