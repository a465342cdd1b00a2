"""What all API types are made of: parsing rules, bounded scalars, and CEL rules.

Decimals and times are text on the wire, numbers and datetimes inside. Every list, map and string is bounded, so
that the API server can estimate the cost of the CEL rules.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from heterollm_controllers.api.decimals import DecimalNumber, written_as
from heterollm_controllers.api.timestamps import stamp, whole_second

__all__ = [
    "KEYS",
    "CpuQuantity",
    "Figure",
    "Fraction",
    "LabelMap",
    "LabelText",
    "MemoryQuantity",
    "Name",
    "ObjectName",
    "Percent",
    "Positive",
    "Seconds",
    "Share",
    "Text",
    "Time",
    "WireType",
    "quantity",
    "rules",
]


def rules(*rules: tuple[str, str]) -> dict[str, Any]:
    """CEL rules as (expression, message that says what to change)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def quantity(example: str) -> dict[str, Any]:
    message = f"must be a Kubernetes quantity such as {example}, and not negative"
    return {
        "x-kubernetes-int-or-string": True,
        "maxLength": 32,
        **rules(
            ("type(self) == int ? self >= 0 : isQuantity(self) && !quantity(self).isLessThan(quantity('0'))", message)
        ),
    }


ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
Fraction = Annotated[DecimalNumber, written_as(max_length=6, pattern=r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$")]
Positive = Annotated[
    DecimalNumber,
    written_as(max_length=16),
    Field(
        json_schema_extra=rules(
            ("self.matches('^[0-9]{1,9}(\\\\.[0-9]{1,6})?$')", 'must be a positive decimal as text, such as "12.5"')
        ),
    ),
]
Share = Annotated[
    DecimalNumber,
    written_as(max_length=8),
    Field(
        json_schema_extra=rules(
            ("self.matches('^[0-2](\\\\.[0-9]{1,4})?$')", 'must be a decimal from 0 to 2 as text, such as "0.5"')
        ),
    ),
]
Seconds = Annotated[int, Field(ge=1, le=86_400)]
Percent = Annotated[int, Field(ge=1, le=100)]
Time = Annotated[
    AwareDatetime,
    AfterValidator(whole_second),
    PlainSerializer(stamp, when_used="json"),
    WithJsonSchema({"maxLength": 64, "type": "string", "format": "date-time"}),
]
"""Text on the wire. `model_copy` does not validate: round what it is given by `whole_second`."""
Name = Annotated[str, Field(max_length=253)]
Figure = Annotated[DecimalNumber, written_as(max_length=24)]
"""A decimal of a status."""
Text = Annotated[str, Field(max_length=1024)]
LabelText = Annotated[str, Field(max_length=63)]
KEYS = rules(("self.all(key, key.size() <= 317)", "keys must have at most 317 characters: a prefix, '/' and a name"))
LabelMap = Annotated[dict[str, LabelText], Field(max_length=32, json_schema_extra=KEYS)]
CpuQuantity = Annotated[int | str, Field(json_schema_extra=quantity('"4" or "500m"'))]
MemoryQuantity = Annotated[int | str, Field(json_schema_extra=quantity('"64Gi"'))]


class WireType(BaseModel):
    """Common parsing rules: camelCase on the wire; unknown fields are the API server's business."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)
