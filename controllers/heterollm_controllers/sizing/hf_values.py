"""Careful reading of single values of a config.json that anyone may have written.

Every reader either returns a value of the stated type and range or raises `UnreadableConfig`: whatever a user puts
into a spec must end as a sentence in a condition, never as a crash of the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["UnreadableConfig", "Values"]

_MOST = {
    "num_hidden_layers": 1024,
    "num_attention_heads": 4096,
    "num_key_value_heads": 4096,
    "head_dim": 4096,
    "bits": 16,
}
"""Largest believable value per key; every other key is bounded by `_MOST_OF_ANY`."""

_MOST_OF_ANY = 2**30


class UnreadableConfig(ValueError):
    """A config.json that sizing cannot use; the message names the key and what is supported."""


class Values:
    """The values of one JSON object.

    Args:
        where: how messages call the object, for example "config of Qwen/Qwen3-4B".
        values: the object; null counts as absent, as it does for Hugging Face's config classes.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self._where = where
        self._values = values

    def unreadable(self, problem: str) -> UnreadableConfig:
        """The exception that says where the problem is."""
        return UnreadableConfig(f"{self._where}: {problem}")

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._values.get(key) is not None

    def whole(self, key: str, default: int | None = None, least: int = 1) -> int:
        """A whole number from `least` to the largest believable value of the key.

        Numbers such as 4096.0 are taken too: templating tools write them for whole numbers.
        """
        value = self._values.get(key)
        if value is None:
            if default is None:
                raise self.unreadable(f"{key} is missing; it must be a whole number of at least {least}")
            return default
        most = _MOST.get(key, _MOST_OF_ANY)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.unreadable(f"{key} is {_shown(value)}, but must be a whole number from {least} to {most}")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.unreadable(f"{key} is {_shown(value)}, but must be true or false")
        return value

    def text(self, key: str, default: str = "") -> str:
        """A string."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.unreadable(f"{key} is {_shown(value)}, but must be a string")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when absent."""
        value = self._values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise self.unreadable(f"{key} is {_shown(value)}, but must be a list of strings")
        return tuple(value)

    def strings_in(self, key: str) -> tuple[str, ...]:
        """The string, or the strings of the list, under a key whose form varies between writers; never an error."""
        value = self._values.get(key)
        items = value if isinstance(value, list | tuple) else (value,)
        return tuple(item for item in items if isinstance(item, str))

    def wholes(self, key: str) -> tuple[int, ...] | None:
        """A list of whole numbers that are not negative; None when absent."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not all(type(item) is int and item >= 0 for item in value):
            raise self.unreadable(f"{key} is {_shown(value)}, but must be a list of whole numbers")
        return tuple(value)

    def number(self, key: str, default: float, most: float) -> float:
        """A number above 0."""
        value = self._values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            raise self.unreadable(f"{key} is {_shown(value)}, but must be a number above 0 and at most {most:g}")
        return float(value)

    def part(self, key: str) -> Values | None:
        """A nested object; None when absent."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.unreadable(f"{key} is {_shown(value)}, but must be an object")
        return Values(f"{self._where}, {key}", value)

    def parts(self) -> tuple[Values, ...]:
        """The values that are objects themselves, whatever their keys."""
        return tuple(
            Values(f"{self._where}, {_shown(key)}", value)
            for key, value in self._values.items()
            if isinstance(value, Mapping)
        )


def _shown(value: object) -> str:
    """A value in a message: short, and safe for numbers and nesting of any size."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
