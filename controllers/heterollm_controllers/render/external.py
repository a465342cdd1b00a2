"""Keys of services outside of the cluster: Secrets that are mounted into the routers, where only Envoy reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from heterollm_controllers.api.v1alpha1.external import ExternalTier

__all__ = ["KeyMount", "key_file", "key_mounts"]

_FOLDER = "/external"


class KeyMount(NamedTuple):
    """A volume with one key, and where the routers have it."""

    name: str
    path: str
    secret: dict[str, Any]


def key_file(tier: ExternalTier) -> str | None:
    """The file in the router that holds the service's key; None if it wants none.

    The Secret is in its name: a router that has mounted another one so far finds none, and sends no key to a service
    that it is not meant for.
    """
    key = tier.external.api_key_secret
    return f"{_FOLDER}/{tier.name}/{key.name}/{key.key}" if key is not None else None


def key_mounts(tiers: Iterable[ExternalTier]) -> list[KeyMount]:
    """The volumes of all keys. Optional: a missing Secret must keep no router from starting: it has other tiers."""
    mounts = []
    for tier in tiers:
        key = tier.external.api_key_secret
        if key is not None:
            item = {"key": key.key, "path": f"{key.name}/{key.key}"}
            secret = {"secretName": key.name, "items": [item], "optional": True}
            mounts.append(KeyMount(f"external-{tier.name}", f"{_FOLDER}/{tier.name}", secret))
    return mounts
