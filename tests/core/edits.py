"""What an edit of one field is, and what it may do."""

from __future__ import annotations

import copy
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic.alias_generators import to_camel

from heterollm_controllers.api.schema import WireType

__all__ = ["Edit", "Effect", "Wire", "edited", "leaves", "pod_changes"]

Wire = dict[str, Any]


class Effect(Enum):
    """What an edit does: in words, and the kinds of the cluster's children that it changes beside engines."""

    ROLLS = ("new engines surge, the old ones are drained", ())
    RENAMED = ("another tier: its engines are made, those of the former name are drained", ())
    SAME = ("the engines come out the same", ())
    REPORT = ("`status.tiers[].sizing` follows", ())
    COST = ("the metrics of cost follow", ())
    COUNT = ("engines join or leave, the others stay", ())
    DECISION = ("the operator's next decision is taken by it", ())
    CONDITION = ("conditions follow", ())
    POLICY = ("routers follow without a restart", ("ConfigMap",))
    ROUTERS = ("router pods are replaced, one by one", ("Deployment",))
    ROUTERS_AND_POLICY = ("router pods are replaced, then told of it", ("ConfigMap", "Deployment"))
    ROUTER_COUNT = ("routers join or leave, the others are told how many there are", ("ConfigMap", "Deployment"))
    SERVICE = ("the Service follows", ("Service",))
    NETWORK = ("NetworkPolicies come or go", ("NetworkPolicy",))

    @property
    def words(self) -> str:
        return str(self.value[0])

    @property
    def children(self) -> set[str]:
        return {*self.value[1]}

    @property
    def rolls(self) -> bool:
        return self in (Effect.ROLLS, Effect.RENAMED)


@dataclass(frozen=True)
class Edit:
    """Another value of one field, by its path in the spec; "[]" stands for the first item of a list."""

    path: str
    before: Wire
    value: Any
    effect: Effect

    @property
    def after(self) -> Wire:
        """The spec, edited."""
        return edited(self.before, self.path, self.value)

    @property
    def of_a_tier(self) -> bool:
        return self.path.startswith("tiers[].") and not self.path.startswith("tiers[].external.")

    def __str__(self) -> str:
        return f"{self.path}: {self.effect.name}"


def edited(spec: Wire, path: str, value: Any) -> Wire:
    """The spec, or a part of it, with another value of one field."""
    result = copy.deepcopy(spec)
    at: Any = result
    *parents, last = path.split(".")
    for part in parents:
        at = at[part[:-2]][0] if part.endswith("[]") else at.setdefault(part, {})
    assert at.get(last) != value
    at[last] = value
    return result


def leaves(model: type[WireType], prefix: str = "") -> Iterator[str]:
    """Every field of a type that holds no further type, by its path; "[]" stands for the items of a list."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or to_camel(name))
        inner = _models(field.annotation)
        for each in inner:
            yield from leaves(each, path + ("[]." if _is_list(field.annotation) else "."))
        if not inner:
            yield path


def _models(annotation: Any) -> list[type[WireType]]:
    if isinstance(annotation, type) and issubclass(annotation, WireType):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple or any(map(_is_list, typing.get_args(annotation)))


def pod_changes(before: Wire, after: Wire) -> list[str]:
    """What differs between the pods of two engine StatefulSets: fields of the container, of the pod, their number."""
    old, new = before["spec"], after["spec"]
    differ = [_differing(pod(old), pod(new)) for pod in (_pod, _container)]
    return sorted({*differ[0] - {"containers"}, *differ[1]} | ({"replicas"} & _differing(old, new)))


def _pod(spec: Wire) -> Wire:
    pod: Wire = spec["template"]["spec"]
    return pod


def _container(spec: Wire) -> Wire:
    container: Wire = _pod(spec)["containers"][0]
    return container


def _differing(old: Wire, new: Wire) -> set[str]:
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}
