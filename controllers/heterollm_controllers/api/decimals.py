"""Decimals: text on the wire, as Kubernetes does not allow floats to travel reliably, and numbers inside."""

from __future__ import annotations

from typing import Any, Self

from pydantic import GetPydanticSchema
from pydantic_core import core_schema

__all__ = ["DecimalNumber", "written_as"]


class DecimalNumber(float):
    """A number that remembers how it was written, so that it goes back to the wire as the same text.

    Two of them are equal if they are written alike: a revision stands for what its user wrote.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, DecimalNumber) else float.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = float.__hash__


def written_as(*, max_length: int, pattern: str | None = None) -> Any:
    """How a decimal is read and written: the schema is that of its text."""
    text = core_schema.str_schema(max_length=max_length, pattern=pattern)
    number = core_schema.no_info_after_validator_function(DecimalNumber, text)
    schema = core_schema.no_info_before_validator_function(
        _text, number, serialization=core_schema.plain_serializer_function_ser_schema(_text)
    )
    return GetPydanticSchema(lambda _source, _handler: schema)


def _text(value: Any) -> Any:
    return value.text if isinstance(value, DecimalNumber) else value
