"""A Prometheus that knows only our queries and answers them from text made beforehand, for any number of clusters.

Usage: python -m e2e.bench.synthetic_prometheus CLUSTERS; it prints its address and serves until it is ended.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.queries import (
    HistoryFigure,
    Name,
    RawFigure,
    Selection,
    history,
    now,
)

ENGINES = 5
TIERS = ("small", "large")
SELECTION = Selection(60, 15, (), (30_000,))

_PODS = {
    PodSignal.QUEUE: "1",
    PodSignal.RUNNING: "14",
    PodSignal.KV_USE: "0.5321",
    PodSignal.AGE: "7.532",
    PodSignal.FIRST_TOKEN_SUM: "0.2433333333333",
    PodSignal.FIRST_TOKEN_COUNT: "4.4666666666667",
}
_TIERS = {
    TierSignal.REQUEST_P50: "4211.5",
    TierSignal.REQUEST_P95: "8511.25",
    TierSignal.REQUEST_P99: "9733.125",
    TierSignal.BETWEEN_TOKENS: "11.733333333333",
    TierSignal.RETRIES: "0",
    TierSignal.EJECTED: "0",
}
_CLUSTERS = {ClusterSignal.POLICY_REFUSED: "0", ClusterSignal.ROUTERS: "2"}
_HISTORY = {HistoryFigure.RATE: 44.0, HistoryFigure.CONCURRENCY: 150.0, HistoryFigure.KV_USE: 0.53}


def keys(clusters: int) -> list[Key]:
    """Names of that many clusters, in ten namespaces."""
    return [Key(f"team-{number % 10}", f"cluster-{number:04}") for number in range(clusters)]


def pod(key: Key, tier: str, engine: int) -> str:
    """The leader's pod of an engine."""
    return f"{key.name}-{tier}-{engine}-0"


class Answers:
    """Text of every answer."""

    def __init__(self, clusters: int) -> None:
        self._keys = keys(clusters)
        # Later than now, so that they are never too old.
        self._at = round(time.time() + 3600, 3)
        self._texts = {query.text: self._vector(name) for name, query in now(SELECTION).items()}
        self._names = {query.text: name for name, query in history(SELECTION).items()}
        self._matrices: dict[tuple[str, int], bytes] = {}
        self.asked = 0

    async def query(self, request: web.Request) -> web.Response:
        """The answer to an instant query."""
        self.asked += 1
        return _answer(self._texts[str((await request.post())["query"])])

    async def query_range(self, request: web.Request) -> web.Response:
        """The answer to a range query, made when its hour is first asked for."""
        self.asked += 1
        form = await request.post()
        what = str(form["query"]), int(str(form["start"]))
        if what not in self._matrices:
            self._matrices[what] = self._matrix(*what)
        return _answer(self._matrices[what])

    async def count(self, _: web.Request) -> web.Response:
        """How many queries there were."""
        return web.json_response(self.asked)

    def _vector(self, name: Name) -> bytes:
        rows = [{"metric": labels, "value": [self._at, value]} for labels, value in self._rows(name)]
        return _body("vector", rows)

    def _matrix(self, text: str, start: int) -> bytes:
        level = _HISTORY[self._names[text]]  # type: ignore[index]
        wave = [[start + 60 * n, f"{level * (1 + 0.05 * math.sin(n)):.12g}"] for n in range(60)]
        rows = [{"metric": _tier(key, tier), "values": wave} for key in self._keys for tier in TIERS]
        return _body("matrix", rows)

    def _rows(self, name: Name) -> Iterator[tuple[dict[str, str], str]]:
        for key in self._keys:
            if isinstance(name, PodSignal):
                yield from _engines(key, name)
            elif isinstance(name, ClusterSignal):
                yield _cluster(key), _CLUSTERS[name]
            elif isinstance(name, TierSignal):
                yield from ((_tier(key, tier), _TIERS[name]) for tier in TIERS)
            elif name == RawFigure.REQUESTS:
                yield from _requests(key)
            else:
                yield from _first_bytes(key)


def _engines(key: Key, name: PodSignal) -> Iterator[tuple[dict[str, str], str]]:
    if name in _PODS:
        own = {"heterollm_cluster": key.name, "namespace": key.namespace}
        for tier in TIERS:
            yield from (({**own, "pod": pod(key, tier, engine)}, _PODS[name]) for engine in range(ENGINES))


def _requests(key: Key) -> Iterator[tuple[dict[str, str], str]]:
    for tier in TIERS:
        for code, rate in (("200", "44.283333333333"), ("429", "0"), ("499", "0.016666666667")):
            yield {**_tier(key, tier), "wanted_tier": tier, "code": code, "diverted": "false"}, rate
    yield {**_tier(key, "large"), "wanted_tier": "small", "code": "200", "diverted": "false"}, "0.016666666667"


def _first_bytes(key: Key) -> Iterator[tuple[dict[str, str], str]]:
    for tier in TIERS:
        yield {**_tier(key, tier), "le": "30000"}, "44.283333333333"
        yield {**_tier(key, tier), "le": "+Inf"}, "44.283333333333"


def _cluster(key: Key) -> dict[str, str]:
    return {"heterollm_cluster": key.name, "heterollm_namespace": key.namespace, "namespace": key.namespace}


def _tier(key: Key, tier: str) -> dict[str, str]:
    return {**_cluster(key), "heterollm_tier": tier}


def _body(kind: str, rows: list[dict[str, Any]]) -> bytes:
    # Without spaces, as Prometheus writes it.
    found = {"status": "success", "data": {"resultType": kind, "result": rows}}
    return json.dumps(found, separators=(",", ":")).encode()


def _answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


async def _app(clusters: int) -> web.Application:
    answers = Answers(clusters)
    app = web.Application()
    app.add_routes(
        [
            web.post("/api/v1/query", answers.query),
            web.post("/api/v1/query_range", answers.query_range),
            web.get("/count", answers.count),
        ]
    )
    return app


def main() -> None:
    """Serve on a free port of loopback."""

    def tell(*lines: object, **_: object) -> None:
        address = [word for word in str(lines[0]).split() if word.startswith("http://")]
        print(address[0], flush=True)

    web.run_app(_app(int(sys.argv[1])), host="127.0.0.1", port=0, print=tell, access_log=None)


if __name__ == "__main__":
    main()
