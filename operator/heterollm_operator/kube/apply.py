"""The only module that writes to clusters and their children."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.objects import Delete, Event, Failure
from heterollm_controllers.reconcile.contract import Refusal
from heterollm_operator.kube.client import Api, ApiError
from heterollm_operator.kube.dry_run import refusal_of
from heterollm_operator.kube.kinds import CLUSTER, EVENT, Kind, find
from heterollm_operator.kube.store import Body, Store
from heterollm_operator.runtime.clock import Clock
from heterollm_operator.runtime.metrics import Metrics

__all__ = ["NotLeading", "Stale", "Writer", "name_of"]

_log = logging.getLogger(__name__)

_APPLY = "application/apply-patch+yaml"
_OWNER = {"fieldManager": names.MANAGER, "force": "true"}
_PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Seconds between the tries of one request."""

_LONGEST_PAUSE = 5.0
_NOTE_LENGTH = 1024


class NotLeading(Exception):
    """This replica no longer holds the lease; nothing was sent."""


class Stale(Exception):
    """The API server knows more than the watches do: reconcile again."""


class Writer:
    """Writes while this replica leads, and puts every answer into the store, so that the next reconcile sees it."""

    def __init__(
        self,
        api: Api,
        store: Store,
        metrics: Metrics,
        clock: Clock,
        *,
        leading: Callable[[], bool],
        identity: str,
        limit: float,
    ) -> None:
        """`limit` bounds every request, in seconds; `leading` is asked before each one."""
        self._api = api
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._leading = leading
        self._identity = identity
        self._limit = limit

    async def status(self, cluster: Body, status: Mapping[str, Any]) -> None:
        """Store the whole status, if the cluster is still as it was observed; else Stale."""
        metadata = cluster["metadata"]
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            "status": status,
        }
        path = CLUSTER.path(metadata["namespace"], metadata["name"], "status")
        self._store.put(await self._apply("status", CLUSTER, path, body))

    async def not_free(self, cluster: Body, manifests: Sequence[Mapping[str, Any]]) -> dict[str, Failure]:
        """Which of the children must not be applied, by name, and why: their names are taken, or nobody knows.

        What the watches do not hold is asked for, all at once: it may exist without our labels.
        """

        async def obstacle(manifest: Mapping[str, Any]) -> Failure | None:
            kind, namespace, name = _place(cluster, manifest)
            try:
                live = self._store.get(kind, namespace, name) or await self._read(kind, namespace, name)
            except ApiError as error:
                return Failure(kind.kind, name, f"cannot be read: {error}")
            taken = live is not None and not _owns(cluster, live)
            return Failure.not_ours(kind.kind, name) if taken else None

        answers = await asyncio.gather(*map(obstacle, manifests))
        return {name_of(manifest): why for manifest, why in zip(manifests, answers, strict=True) if why}

    async def apply(self, cluster: Body, manifest: Mapping[str, Any]) -> None:
        """Make a child as the manifest says. The caller has made sure that its place is free, or its own."""
        kind, namespace, name = _place(cluster, manifest)
        self._store.put(await self._apply("apply", kind, kind.path(namespace, name), manifest))

    async def check(self, cluster: Body, manifest: Mapping[str, Any]) -> Refusal | None:
        """Whether the API server would take a manifest: None if so.

        It is asked once: whoever waits for the answer has more to do, and asks again later.
        """
        kind, namespace, name = _place(cluster, manifest)
        query = {**_OWNER, "dryRun": "All"}
        path = kind.path(namespace, name)
        try:
            await self._send("dry-run", "PATCH", kind, path, manifest, pauses=(), query=query, content_type=_APPLY)
        except ApiError as error:
            return refusal_of(error)
        return None

    async def delete(self, cluster: Body, target: Delete) -> None:
        """Delete exactly the object that was observed; one that is gone or was made anew counts as deleted."""
        kind = find(target.api_version, target.kind)
        namespace = cluster["metadata"]["namespace"]
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": target.uid},
            "propagationPolicy": "Foreground" if target.foreground else "Background",
        }
        if target.grace_seconds is not None:
            body["gracePeriodSeconds"] = target.grace_seconds
        try:
            answer = await self._send("delete", "DELETE", kind, kind.path(namespace, target.name), body)
        except ApiError as error:
            if error.status in (404, 409):
                return
            raise
        # An object that has to wait for its grace or its dependents; at the others the server says just "Success".
        if answer["kind"] == kind.kind:
            self._store.put(answer)

    async def event(self, cluster: Body, event: Event) -> None:
        """Report a transition. It is on record in the status already, so a failure is only logged."""
        metadata = cluster["metadata"]
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
            "eventTime": self._clock.utc().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{names.GROUP}/operator",
            "reportingInstance": self._identity[:128],
            "action": "Reconcile",
            "type": event.kind,
            "reason": event.reason,
            "note": event.message[:_NOTE_LENGTH],
            "regarding": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                **{key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            },
        }
        try:
            await self._send("create", "POST", EVENT, EVENT.path(metadata["namespace"]), body)
        except ApiError as error:
            _log.warning("Event %s could not be reported: %s", event.reason, error)

    async def _read(self, kind: Kind, namespace: str, name: str) -> Body | None:
        try:
            return await self._api.request("GET", kind.path(namespace, name), limit=self._limit)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _apply(self, verb: str, kind: Kind, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._send(verb, "PATCH", kind, path, body, query=_OWNER, content_type=_APPLY)
        except ApiError as error:
            if error.status == 409:
                raise Stale(str(error)) from error
            raise

    async def _send(
        self,
        verb: str,
        method: str,
        kind: Kind,
        path: str,
        body: Mapping[str, Any],
        pauses: Sequence[float] = _PAUSES,
        **options: Any,
    ) -> dict[str, Any]:
        """One write. All of ours can be repeated safely, so a request that may not have arrived is sent again."""
        for pause in (*pauses, None):
            if not self._leading():
                raise NotLeading
            self._metrics.api_writes.labels(kind.kind, verb).inc()
            try:
                return await self._api.request(method, path, body=body, limit=self._limit, **options)
            except ApiError as error:
                if pause is None or not error.transient:
                    raise
                await self._clock.sleep(max(pause, min(error.retry_after, _LONGEST_PAUSE)))
        raise AssertionError("unreachable: the last try returns or raises")


def name_of(body: Body) -> str:
    """An object as messages name it: "Kind name"."""
    return f"{body['kind']} {body['metadata']['name']}"


def _place(cluster: Body, manifest: Mapping[str, Any]) -> tuple[Kind, str, str]:
    """Where a child of the cluster lives."""
    return (
        find(manifest["apiVersion"], manifest["kind"]),
        cluster["metadata"]["namespace"],
        manifest["metadata"]["name"],
    )


def _owns(cluster: Body, child: Body) -> bool:
    """A child is known by its owner's uid, which nobody gets by accident; labels may have been edited away."""
    uid = cluster["metadata"]["uid"]
    return any(owner.get("uid") == uid for owner in child["metadata"].get("ownerReferences") or ())
