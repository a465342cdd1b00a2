"""Decimals: text on the wire, as Kubernetes does not allow floats to travel reliably, and numbers inside."""

from __future__ import annotations

from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetPydanticSchema, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

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

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return _schema(core_schema.str_schema())


def written_as(*, max_length: int, pattern: str | None = None) -> Any:
    """What a decimal's text must be like, beside a number."""
    schema = _schema(core_schema.str_schema(max_length=max_length, pattern=pattern))
    return GetPydanticSchema(lambda _source, _handler: schema)


def _schema(text: CoreSchema) -> CoreSchema:
    """The schema of a decimal is that of its text."""
    return core_schema.no_info_wrap_validator_function(
        _read, text, serialization=core_schema.plain_serializer_function_ser_schema(_written)
    )


def _read(value: Any, text: ValidatorFunctionWrapHandler) -> DecimalNumber:
    return value if isinstance(value, DecimalNumber) else DecimalNumber(text(value))


def _written(value: DecimalNumber) -> str:
    return value.text
