"""Strategic merge of a user's patch into a pod template, with the merge keys that Kubernetes declares for pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["strategic_merge"]

# The patchMergeKey of every list in PodTemplateSpec that has one; all other lists are replaced whole.
_MERGE_KEY = {
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


def strategic_merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the patch merged in; neither is changed.

    A null removes a field; `$patch: replace` takes the patch instead of the base; list items with a merge key are
    merged by it, and `$patch: delete` removes the item.
    """
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = strategic_merge(result[key], value)
        elif key in _MERGE_KEY and _is_list(value) and _is_list(result.get(key, [])):
            result[key] = _merge_list(result.get(key, []), value, _MERGE_KEY[key])
        else:
            result[key] = value
    return result


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _merge_list(base: Sequence[Any], patch: Sequence[Any], key: str) -> list[Any]:
    merged = {item[key]: item for item in base}
    for number, item in enumerate(patch):
        # An item without its key is not ours to judge: it goes in as it is, and the API server's dry run explains.
        name = item.get(key, f"item {number}") if isinstance(item, Mapping) else f"item {number}"
        if isinstance(item, Mapping) and item.get("$patch") == "delete":
            merged.pop(name, None)
        elif name in merged:
            merged[name] = strategic_merge(merged[name], item)
        else:
            merged[name] = item
    return list(merged.values())
