"""Strategic merge of a user's patch into a pod template, with the merge keys that Kubernetes declares for pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["MERGE_KEY", "strategic_merge"]

MERGE_KEY = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "volumes": "name",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}
"""The patchMergeKey of every list in PodTemplateSpec that has one; all other lists are replaced whole."""

_DIRECTIVE = "$patch"
_DIRECTIVES = ("replace", "delete", "merge")


def strategic_merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the patch merged in; neither is changed.

    A null removes a field; `$patch: replace` in a map or in a list takes the patch instead of the base, and
    `$patch: delete` leaves nothing of a map; list items with a merge key are merged by it, and `$patch: delete` removes
    the item.
    """
    directive = _directive(patch)
    if directive == "delete":
        return {}
    result = {} if directive == "replace" else dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif key != _DIRECTIVE or directive is None:
            result[key] = _merged(key, result.get(key), value)
    return result


def _merged(field: str, base: Any, patch: Any) -> Any:
    if isinstance(patch, Mapping):
        # Also without a base: nulls and directives in the patch are instructions, never data.
        return strategic_merge(base if isinstance(base, Mapping) else {}, patch)
    if field in MERGE_KEY and _is_list(patch):
        return _merge_list(base if _is_list(base) else [], patch, MERGE_KEY[field])
    return patch


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _merge_list(base: Sequence[Any], patch: Sequence[Any], key: str) -> list[Any]:
    kept = [] if any(_directive(item) == "replace" for item in patch) else base
    merged = {_name(item, key, f"ours {number}"): item for number, item in enumerate(kept)}
    for number, item in enumerate(patch):
        name = _name(item, key, f"theirs {number}")
        if _directive(item) == "delete":
            merged.pop(name, None)
        elif _directive(item) != "replace":
            merged[name] = _merged("", merged.get(name), item)
    return list(merged.values())


def _directive(item: Any) -> str | None:
    """What a map says about itself. An unknown word stays in it as data: the API server's dry run explains."""
    word = item.get(_DIRECTIVE) if isinstance(item, Mapping) else None
    return word if word in _DIRECTIVES else None


def _name(item: Any, key: str, otherwise: str) -> str | int:
    """What identifies a list item; one without a proper key goes in as it is, to be refused in the same way."""
    name = item.get(key) if isinstance(item, Mapping) else None
    return name if isinstance(name, str | int) else otherwise
