"""An API server of dictionaries: enough of one to see what the shell asks of it, in which order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from heterollm_operator.kube.client import Api, ApiError

CLUSTER_PATH = "/apis/serving.heterollm.io/v1alpha1/namespaces/ns/heterollmclusters/c"
STATUS_PATH = f"{CLUSTER_PATH}/status"


@dataclass(frozen=True)
class Request:
    """One request, as it was sent."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    query: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """Method and the last parts of the path; dry runs are marked."""
        parts = self.path.split("/")
        tail = parts[-3:] if parts[-1] == "status" else parts[-1:] if self.method == "POST" else parts[-2:]
        return f"{'DRY ' if 'dryRun' in self.query else ''}{self.method} {'/'.join(tail)}"


class FakeApi:
    """Keeps what is written. `fail` puts errors in the way of requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self.limits: list[float] = []
        self._versions = itertools.count(100)
        self._failures: list[tuple[str, ApiError]] = []
        self.before: Callable[[Request], None] = lambda _: None

    @property
    def typed(self) -> Api:
        """As what it stands for."""
        return cast(Api, self)

    @property
    def summaries(self) -> list[str]:
        return [request.summary for request in self.requests]

    def fail(self, summary: str, error: ApiError, times: int = 1) -> None:
        """Answer the next requests of that summary with an error."""
        self._failures += [(summary, error)] * times

    async def request(
        self,
        method: str,
        path: str,
        *,
        limit: float,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        request = Request(method, path, body, query or {})
        self.requests.append(request)
        self.limits.append(limit)
        self.before(request)
        for entry in self._failures:
            if entry[0] == request.summary:
                self._failures.remove(entry)
                raise entry[1]
        return self._answer(request)

    def _answer(self, request: Request) -> dict[str, Any]:
        live = self.objects.get(request.path.removesuffix("/status"))
        if request.method == "GET":
            if live is None:
                raise ApiError(404, "not found")
            return live
        if request.method == "DELETE":
            if live is None:
                raise ApiError(404, "not found")
            del self.objects[request.path]
            return {"kind": "Status", "status": "Success"}
        assert request.body is not None
        version = str(next(self._versions))
        old = live or {"metadata": {"uid": f"uid-{version}"}}
        metadata = {**old["metadata"], **request.body["metadata"]}
        if live is not None and {**live, **request.body, "metadata": metadata} == live:
            return live  # what changes nothing makes no version
        made = {**old, **request.body, "metadata": {**metadata, "resourceVersion": version}}
        if request.method == "PATCH" and "dryRun" not in request.query:
            self.objects[request.path.removesuffix("/status")] = made
        return made
