"""What keeping conversations on their engine is worth, with more prefixes in use than one engine's cache holds.

Usage: python -m e2e.bench.affinity [--load LOAD] [--requests N] [--engines N] [--clients N] [--balancers NAME...]

The real Envoy with our configuration, and the same with other balancers in its place, before simulated engines that
model a prefix cache: least recently used, in blocks of 64 tokens; a prompt that is cached gets its first token in a
tenth of the time. Three kinds of load:

conversations: of five turns, which begin with a short question and grow by 512 tokens with each.
documents: every request asks something else about one of many documents of 2,048 tokens, which is its system prompt
    and which it names by `prompt_cache_key`. Some are asked for more often than others; together they are three times
    what one engine's cache holds, and less than what all hold.
unnamed: the same without that name.

The figures show the balancers' effect on hits, and only the shape of its effect on time: the times are a model's. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from statistics import median, quantiles
from typing import Any

import aiohttp

from tests.router.envoy import Envoy, policy
from tests.router.fleet import Fleet, brisk

TURNS, TURN_TOKENS = 5, 512
DOCUMENT_TOKENS = 2048
CACHE_DOCUMENTS = 32
"""Documents that one engine's cache holds."""
DOCUMENTS_PER_CACHE = 3
"""Size of the working set, in caches of one engine."""
ENGINE = (
    *("--sim-prefix-cache-tokens", str(CACHE_DOCUMENTS * (DOCUMENT_TOKENS + 64)), "--enable-cache-report"),
    *("--sim-ttft-p50-ms", "400", "--sim-ttft-p99-ms", "600", "--sim-tpot-ms", "2", "--sim-rps", "10"),
)

BALANCERS: Mapping[str, Mapping[str, object]] = {
    "ours": {},
    "ring hash": {"lb_policy": "RING_HASH"},
    "hash without bound": {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}},
    "least requests": {"lb_policy": "LEAST_REQUEST", "common_lb_config": {}},
    "random": {"lb_policy": "RANDOM", "common_lb_config": {}},
}
"""What is put in the place of our settings; the second and third show what each part of them does."""


Conversation = list[dict[str, Any]]
"""What is sent one after the other: fields of requests."""


@dataclass(frozen=True)
class Answer:
    """One streamed answer as its client saw it."""

    first_token: float
    """Seconds."""
    prompt_tokens: int
    cached_tokens: int
    engine: str


@dataclass(frozen=True)
class Figures:
    """What was measured with one balancer. `busiest`: requests of the busiest engine over the mean."""

    balancer: str
    requests: int
    hit_percent: float
    first_token_p50_ms: float
    first_token_p99_ms: float
    requests_per_second: float
    busiest: float


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", choices=LOADS, default="conversations", help="(default: %(default)s)")
    parser.add_argument("--balancers", nargs="+", choices=BALANCERS, default=list(BALANCERS), help="default: all")
    parser.add_argument("--requests", type=int, default=600, help="per balancer, after half as many to warm up")
    parser.add_argument("--engines", type=int, default=4, help="engines (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="requests in flight (default: %(default)s)")
    given = parser.parse_args()
    rows = [asyncio.run(_run(name, given)) for name in given.balancers]
    _show(rows)
    result = {
        "bench": "affinity",
        "load": given.load,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "engines": given.engines,
        "clients": given.clients,
        "documents": CACHE_DOCUMENTS * DOCUMENTS_PER_CACHE,
        "documents_per_cache": CACHE_DOCUMENTS,
        "balancers": [asdict(row) for row in rows],
    }
    print(json.dumps(result))


async def _run(balancer: str, given: argparse.Namespace) -> Figures:
    async with Fleet(*ENGINE) as fleet:
        engines = await fleet.engines(*(f"c-small-{number}-0" for number in range(given.engines)))

        def change(cluster: dict[str, Any]) -> None:
            brisk(cluster)
            if cluster["name"].startswith("tier_"):
                cluster.update(BALANCERS[balancer])

        async with Envoy(policy(fleet.tier("small", *engines)), change) as envoy, envoy.session() as client:
            load = LOADS[given.load]
            await _ask(client, load(given.requests // 2, 1), given.clients)
            begin = time.monotonic()
            answers = await _ask(client, load(given.requests, 2), given.clients)
            return _figures(balancer, answers, time.monotonic() - begin)


def _documents(requests: int, seed: int) -> Iterator[Conversation]:
    """Questions about documents drawn with the weights of a long tail: the n-th of n asked for 1/sqrt(n) as often."""
    numbers = range(CACHE_DOCUMENTS * DOCUMENTS_PER_CACHE)
    weights = list(accumulate((number + 1) ** -0.5 for number in numbers))
    for asked, number in enumerate(random.Random(seed).choices(numbers, cum_weights=weights, k=requests)):
        messages = [
            {"role": "system", "content": _text(f"Document {number}. ", DOCUMENT_TOKENS)},
            {"role": "user", "content": f"question {asked} of run {seed}"},
        ]
        yield [{"messages": messages, "prompt_cache_key": f"document {number}"}]


def _unnamed(requests: int, seed: int) -> Iterator[Conversation]:
    for conversation in _documents(requests, seed):
        yield [{"messages": body["messages"]} for body in conversation]


def _conversations(requests: int, seed: int) -> Iterator[Conversation]:
    for number in range(requests // TURNS):
        messages = [{"role": "user", "content": f"question {number} of run {seed}"}]
        turns: Conversation = [{"messages": messages}]
        for turn in range(1, TURNS):
            messages = [
                *messages,
                {"role": "assistant", "content": f"answer {turn}"},
                {"role": "user", "content": _text(f"question {number}.{turn} of run {seed}. ", TURN_TOKENS)},
            ]
            turns.append({"messages": messages})
        yield turns


def _text(begin: str, tokens: int) -> str:
    return (begin + "The facts of the matter are these. " * tokens)[: tokens * 4]


LOADS: Mapping[str, Callable[[int, int], Iterator[Conversation]]] = {
    "conversations": _conversations,
    "documents": _documents,
    "unnamed": _unnamed,
}
"""What is asked: by the number of requests, and a seed."""


async def _ask(client: aiohttp.ClientSession, left: Iterator[Conversation], clients: int) -> list[Answer]:
    """All of them, by so many clients, each of which has one conversation after the other."""
    answers: list[Answer] = []

    async def one_after_another() -> None:
        for conversation in left:
            for turn in conversation:
                answers.append(await _one(client, turn))

    await asyncio.gather(*(one_after_another() for _ in range(clients)))
    return answers


async def _one(client: aiohttp.ClientSession, turn: dict[str, Any]) -> Answer:
    body = {"model": "small", "max_tokens": 8, "stream": True, **turn}
    begin = time.monotonic()
    async with client.post("/v1/chat/completions", json=body | {"stream_options": {"include_usage": True}}) as answer:
        answer.raise_for_status()
        first = b""
        # The first event only names the role.
        for _ in range(2):
            first = await answer.content.readuntil(b"\n\n")
        seconds = time.monotonic() - begin
        events = (await answer.read()).split(b"\n\n")
    engine = json.loads(first.removeprefix(b"data: "))["system_fingerprint"]
    usage = next(json.loads(event[6:])["usage"] for event in reversed(events) if b'"usage"' in event)
    return Answer(seconds, usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], engine)


def _figures(balancer: str, answers: list[Answer], seconds: float) -> Figures:
    times = [answer.first_token * 1e3 for answer in answers]
    shares = Counter(answer.engine for answer in answers)
    hits = sum(answer.cached_tokens for answer in answers) / sum(answer.prompt_tokens for answer in answers)
    return Figures(
        balancer=balancer,
        requests=len(answers),
        hit_percent=round(100 * hits, 1),
        first_token_p50_ms=round(median(times), 1),
        first_token_p99_ms=round(quantiles(times, n=100)[98], 1),
        requests_per_second=round(len(answers) / seconds, 1),
        busiest=round(max(shares.values()) * len(shares) / len(answers), 2),
    )


def _show(rows: list[Figures]) -> None:
    print(f"{'balancer':<20}{'cached %':>10}{'first token p50':>17}{'p99 ms':>9}{'requests/s':>12}{'busiest/mean':>14}")
    for row in rows:
        print(
            f"{row.balancer:<20}{row.hit_percent:>10}{row.first_token_p50_ms:>17}{row.first_token_p99_ms:>9}"
            f"{row.requests_per_second:>12}{row.busiest:>14}"
        )


if __name__ == "__main__":
    main()
