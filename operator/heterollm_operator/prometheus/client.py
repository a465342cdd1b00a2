"""Prometheus, by way of prometheus-api-client, with bounds on everything that an answer may do to us.

The client itself looks at nothing but `data.result` of an answer with status 200. What else an answer may say, and how
long and how large it may be, is checked here, by way of the session that the client is given.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import requests
import urllib3
from prometheus_api_client.prometheus_connect import PrometheusConnect

__all__ = ["Prometheus", "Rows", "Unanswered"]

_log = logging.getLogger(__name__)

Rows = list[Any]
"""Elements of a vector or of a matrix, as Prometheus writes them; nothing is known of their shape yet."""

T = TypeVar("T")

_OLD = 60.0
"""Seconds by which an answer may be older than our clock says."""
_LARGEST = 16 * 2**20
"""Bytes of one answer: four times what 20,000 engines take. As objects it takes ten times as many."""
_CHUNK = 2**20
_TOLD = 200
"""Characters that are passed on of what a server says about an error."""


class Unanswered(Exception):
    """A query without a usable answer.

    The message stays the same as long as the reason does: it becomes part of a condition.

    Attributes:
        reason: one word of a short list, for the metrics.
        asked: whether the query was sent at all; the time may have been over before.
    """

    def __init__(self, reason: str, message: str, *, asked: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.asked = asked


class Prometheus:
    """One server. Its methods block; several threads may use it. Nothing is tried again: the next tick is."""

    def __init__(
        self,
        url: str,
        utc: Callable[[], datetime],
        token_file: Path | None = None,
        ca_file: Path | None = None,
        largest: int = _LARGEST,
    ) -> None:
        """`token_file` is read for every query, as mounted tokens change. `largest`: of an answer, in bytes."""
        self._utc = utc
        self._token_file = token_file
        session = _Session(largest)
        session.verify = str(ca_file) if ca_file is not None else True
        # As objects, an answer takes ten times its bytes: one at a time is taken apart, which threads could not do
        # side by side anyway.
        self._one = threading.Lock()
        never = urllib3.Retry(total=0)
        self._connect: Any = PrometheusConnect(url, session=session, retry=never, method="POST")

    def ask(self, query: str, seconds: float, take: Callable[[Rows], T]) -> T:
        """What `take` makes of the vector that a query gives now, within about that many seconds. Raises Unanswered."""
        params = {"timeout": f"{seconds:.3f}"}
        body = self._body(lambda: self._connect.custom_query(query, params, timeout=seconds))
        with self._one:
            rows = _rows(body)
            if rows:
                self._check_age(rows[0])
            return take(rows)

    def ask_minutes(
        self, query: str, start: datetime, end: datetime, seconds: float, take: Callable[[Rows], T], every: int = 60
    ) -> T:
        """The same of the matrix that a query gives from `start` to `end`, at points `every` so many seconds.

        Raises Unanswered.
        """
        params = {"timeout": f"{seconds:.3f}"}
        body = self._body(
            lambda: self._connect.custom_query_range(query, start, end, str(every), params, timeout=seconds)
        )
        with self._one:
            return take(_rows(body))

    def _body(self, call: Callable[[], Any]) -> bytes:
        try:
            self._connect.headers = self._headers()
            return cast(bytes, call())
        except requests.Timeout as error:
            raise Unanswered("timeout", "no answer in time") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unanswered("unreachable", _cause(error)) from error

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}
        except (OSError, ValueError) as error:
            raise Unanswered("token", f"the bearer token could not be read: {error}") from error

    def _check_age(self, row: Any) -> None:
        try:
            # A row that is a histogram says the time at the same place.
            age = self._utc().timestamp() - float((row.get("value") or row["histogram"])[0])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unanswered("malformed", "the answer is no vector") from error
        if not age <= _OLD:
            raise Unanswered("old", f"the answers are more than {_OLD:.0f} s old by our clock")


class _Session(requests.Session):
    """Sends what the client sends, and returns answers that are whole, small enough and in time."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        # Neither proxies nor credentials of the environment, which would replace the token.
        self.trust_env = False
        self._largest = largest

    def request(self, *args: Any, timeout: Any = None, **kwargs: Any) -> requests.Response:
        deadline = time.monotonic() + timeout
        # Queries go into the body: addresses have limits, in proxies above all.
        kwargs["data"] = kwargs.pop("params")
        # A redirect would be followed by GET, without the body.
        kwargs |= {"stream": True, "allow_redirects": False, "timeout": timeout}
        with super().request(*args, **kwargs) as response:
            body = self._body(response, deadline)
        if response.status_code != 200:
            raise _refusal(response.status_code, body)
        return _Answer(body)

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        # By what has arrived, not by full chunks: a server that sends byte by byte must not hold us.
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if len(body) > self._largest:
                raise Unanswered("large", f"the answer has more than {self._largest} bytes")
            if time.monotonic() > deadline:
                raise requests.Timeout
        return bytes(body)


class _Answer(requests.Response):
    """An answer with status 200, of which the client is to hand through the body."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.status_code = 200
        self._body = body

    def json(self, **_: Any) -> Any:
        """Where the client looks for the result."""
        return {"data": {"result": self._body}}


def _rows(body: bytes) -> Rows:
    """The result, if the answer is one to a query, is no error, and lacks nothing."""
    found = _parsed(body)
    if found.get("status") != "success":
        raise _told(found)
    # "PromQL info" and "PromQL warning" are remarks on odd samples, which any pod may expose.
    warnings = [text for text in found.get("warnings") or () if not str(text).startswith("PromQL ")]
    if warnings:
        # Data is missing, from a store that is away for example: what is left would be taken for all.
        _log.debug("Prometheus warns: %s", warnings)
        raise Unanswered("partial", "the answers come with warnings: something is missing in them")
    data = found.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise Unanswered("malformed", "the answer has no result")
    return cast(Rows, data["result"])


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unanswered("malformed", "the answer is no JSON") from error
    if not isinstance(found, dict):
        raise Unanswered("malformed", "the answer is no JSON object")
    return found


def _refusal(status: int, body: bytes) -> Unanswered:
    """What an answer with an error's status says: Prometheus explains it in JSON, others do as they like."""
    try:
        found = _parsed(body)
    except Unanswered:
        found = {}
    return _told(found) if found.get("status") == "error" else Unanswered("http", f"HTTP {status}")


def _told(found: dict[str, Any]) -> Unanswered:
    return Unanswered("refused", str(found.get("error", "an error without explanation"))[:_TOLD])


def _cause(error: BaseException) -> str:
    """What the libraries wrapped again and again, with addresses of their objects in the text."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)[:_TOLD] or type(error).__name__
