"""Which version of the routing policy to publish: it grows when the content changes, and never otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from heterollm_controllers.api.v1alpha1.status import RoutingStatus
from heterollm_controllers.render.diff import digest

__all__ = ["Publication", "publish"]


@dataclass(frozen=True)
class Publication:
    """A policy to publish: its version, the files that carry it, and their digest."""

    version: int
    files: Mapping[str, str]
    digest: str


def publish(
    files: Callable[[int], Mapping[str, str]], live: Mapping[str, str], recorded: RoutingStatus | None
) -> Publication:
    """The policy to publish.

    Args:
        files: the wanted policy's files at a version, which they state.
        live: data of the live ConfigMap; empty if there is none.
        recorded: what is recorded of the policy; None if nothing is.
    """
    rendered = cache(files)
    text = live.get("version", "")
    published = int(text) if text.isdecimal() else 0
    decided, known = (recorded.policy_version, recorded.policy_digest) if recorded is not None else (0, "")
    # A live version below the one on record was never overwritten, or the view is stale: it proves nothing.
    if published >= decided and rendered(published).items() <= live.items():
        version = published
    elif decided > published and digest(rendered(decided)) == known:
        version = decided  # by an earlier reconcile, which did not get to apply it
    else:
        version = max(published, decided) + 1
    return Publication(version, rendered(version), digest(rendered(version)))
