"""The specs of all clusters, parsed once for each generation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pydantic import ValidationError

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_operator.kube.store import Body, Key

__all__ = ["Specs"]

_Version = tuple[str, int]
"""A cluster's uid and generation."""


class Specs:
    """Clusters that can be steered. One whose spec cannot be parsed is not: its reconcile says why."""

    def __init__(self, clusters: Callable[[], Iterable[Key]], body: Callable[[Key], Body | None]) -> None:
        self._clusters = clusters
        self._body = body
        self._parsed: dict[Key, tuple[_Version, HeteroLLMClusterSpec | None]] = {}

    def __call__(self) -> Mapping[Key, HeteroLLMClusterSpec]:
        """The specs as the watches have them now, but those of clusters that are being deleted."""
        self._parsed = {key: self._of(key, body) for key in self._clusters() if (body := self._alive(key)) is not None}
        return {key: spec for key, (_, spec) in self._parsed.items() if spec is not None}

    def _alive(self, key: Key) -> Body | None:
        body = self._body(key)
        return None if body is None or "deletionTimestamp" in body["metadata"] else body

    def _of(self, key: Key, body: Body) -> tuple[_Version, HeteroLLMClusterSpec | None]:
        version = body["metadata"]["uid"], body["metadata"]["generation"]
        known = self._parsed.get(key)
        return known if known is not None and known[0] == version else (version, _parsed(body))


def _parsed(body: Body) -> HeteroLLMClusterSpec | None:
    try:
        return HeteroLLMClusterSpec.model_validate(body["spec"])
    except ValidationError:
        return None
