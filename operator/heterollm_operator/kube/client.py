"""One HTTP request to the API server: credentials, encryption, time-outs and errors, by the official client."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from heterollm_operator.kube.documents import decode, read_large

__all__ = ["Api", "ApiError"]

# The client publishes no types: from here on they are ours.
_config: Any = config
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


_SENDER = re.compile(r"[\w.:\[\]]+:\d+->")
"""The API server's end of a connection to a webhook: its port is another one each time."""


class ApiError(Exception):
    """A request that did not succeed. Two that fail alike have the same text, so that a status can hold it.

    Attributes:
        status: HTTP status, 0 when there was no answer.
        retry_after: seconds the server asked to wait; 0 when it did not.
    """

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(_SENDER.sub("", message))
        self.status = status
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed a moment later."""
        return self.status in (0, 429) or self.status >= 500


class Api:
    """Sends requests; knows nothing of what they mean."""

    agent = f"heterollm/{version('heterollm')}"
    """How the API server's logs name this client."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration
        self._rest: Any = RESTClientObject(configuration)

    @classmethod
    async def connect(cls, kubeconfig: str | None) -> Self:
        """With the kubeconfig if given, else the pod's service account, else the user's default kubeconfig."""
        configuration = Configuration()
        # Else every request would look for proxies and a .netrc anew, in two threads. Watches never did.
        configuration.client_session_kwargs = {"trust_env": False}
        if kubeconfig is None and _IN_CLUSTER in os.environ:
            _config.load_incluster_config(client_configuration=configuration)
        else:
            await _config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        return cls(configuration)

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._configuration.host)

    def session(
        self, middleware: aiohttp.ClientMiddlewareType, response_class: type[aiohttp.ClientResponse]
    ) -> aiohttp.ClientSession:
        """A session of the calling event loop with the same credentials, for Kopf."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._rest.ssl_context),
            middlewares=[middleware, self._authorize],
            response_class=response_class,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        limit: float,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """The decoded answer, without what nests too deep to be read.

        `limit` in seconds bounds the whole request. Raises ApiError.
        """
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": self.agent}
        headers |= await self._authorization()
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        timeout = aiohttp.ClientTimeout(total=limit)
        try:
            response = await self._rest.request(method, url, headers, body, _request_timeout=timeout)
            data: bytes = await response.read()
        except TimeoutError as error:
            raise ApiError(0, f"no answer from the API server within {limit:g} s") from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise ApiError(0, f"the API server cannot be reached: {error}") from error
        if response.status >= 400:
            raise _error(response.status, data, response.headers.get("Retry-After", "0"))
        try:
            decoded: dict[str, Any] = (await read_large(data))[0]
        except ValueError as error:
            raise ApiError(0, f"the API server's answer is not JSON: {error}") from error
        return decoded

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()

    async def _authorization(self) -> dict[str, str]:
        # Asked for anew every time: the client re-reads the service account's token file as it rotates.
        token = await self._configuration.get_api_key_with_prefix("BearerToken", "authorization")
        if token:
            return {"Authorization": token}
        if self._configuration.username:
            return {"Authorization": self._configuration.get_basic_auth_token()}
        return {}

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.update(await self._authorization())
        return await handler(request)


def _error(status: int, data: bytes, retry_after: str) -> ApiError:
    try:
        message = decode(data)["message"]
    except (ValueError, KeyError, TypeError):
        message = data.decode(errors="replace").strip()[:300]
    return ApiError(status, message or f"HTTP status {status}", float(retry_after) if retry_after.isdigit() else 0)
