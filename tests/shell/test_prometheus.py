"""What the adapter makes of answers: rows, or an error that says in one word what was wrong."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from heterollm_operator.prometheus.client import Prometheus, Rows, Unanswered
from heterollm_operator.runtime.thread_pool import Threads
from tests.shell.fake_prometheus import Answer, FakePrometheus, dripping, fake_prometheus, row, says, silent, vector


def utc() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def fake() -> AsyncIterator[FakePrometheus]:
    async with fake_prometheus() as fake:
        yield fake


async def ask(fake: FakePrometheus, seconds: float = 5.0, query: str = "up", **options: Any) -> Rows:
    prometheus = Prometheus(fake.url, options.pop("utc", utc), **options)
    return await Threads(1).call(lambda: prometheus.ask(query, seconds, list))


async def refused(fake: FakePrometheus, answer: Answer, seconds: float = 5.0, **options: Any) -> tuple[str, str]:
    """Reason and message of the error."""
    fake.answer = answer
    with pytest.raises(Unanswered) as error:
        await ask(fake, seconds, **options)
    return error.value.reason, str(error.value)


async def test_a_vector_is_returned_as_it_is(fake: FakePrometheus) -> None:
    fake.answer = says(vector(row(1, pod="a"), row("NaN", pod="b")))
    rows = await ask(fake)
    assert [(item["metric"], item["value"][1]) for item in rows] == [({"pod": "a"}, "1"), ({"pod": "b"}, "NaN")]


async def test_the_query_goes_into_the_body_with_its_time_limit(fake: FakePrometheus) -> None:
    await ask(fake, 2.5, query='sum(x{a="b"})')
    assert fake.requests[0].method == "POST"
    assert fake.requests[0].path_qs == "/api/v1/query"
    assert fake.asked == [{"query": 'sum(x{a="b"})', "timeout": "2.500"}]


async def test_minutes_are_asked_for_with_both_ends(fake: FakePrometheus) -> None:
    prometheus = Prometheus(fake.url, utc)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    await Threads(1).call(lambda: prometheus.ask_minutes("x", start, start + timedelta(minutes=59), 5, list))
    assert fake.requests[0].path == "/api/v1/query_range"
    asked = {"query": "x", "start": "1767225600", "end": "1767229140", "step": "60", "timeout": "5.000"}
    assert fake.asked == [asked]


async def test_the_token_is_read_for_every_query(fake: FakePrometheus, tmp_path: Path) -> None:
    token = tmp_path / "token"
    prometheus = Prometheus(fake.url, utc, token_file=token)
    threads = Threads(1)
    for text in ("old\n", "new"):
        token.write_text(text)
        await threads.call(lambda: prometheus.ask("up", 5, list))
    assert [request.headers["Authorization"] for request in fake.requests] == ["Bearer old", "Bearer new"]
    token.unlink()
    with pytest.raises(Unanswered, match="token could not be read"):
        await threads.call(lambda: prometheus.ask("up", 5, list))
    assert len(fake.requests) == 2, "nothing is asked without the token"


async def test_neither_proxies_nor_credentials_of_the_environment_are_used(
    fake: FakePrometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    (tmp_path / "token").write_text("t")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await ask(fake, token_file=tmp_path / "token")
    assert fake.requests[0].headers["Authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("body", "status", "reason", "message"),
    [
        ("<html>Bad gateway</html>", 502, "http", "HTTP 502"),
        ({"error": "token 12345 expired"}, 401, "http", "HTTP 401"),
        ("<html>Sign in</html>", 200, "malformed", "the answer is no JSON"),
        ("[" * 100_000, 200, "malformed", "the answer is no JSON"),
        ([1, 2], 200, "malformed", "the answer is no JSON object"),
        ({"status": "success"}, 200, "malformed", "the answer has no result"),
        ({"status": "success", "data": {"result": {}}}, 200, "malformed", "the answer has no result"),
        (vector({"metric": {}}), 200, "malformed", "the answer is no vector"),
        (vector("text"), 200, "malformed", "the answer is no vector"),  # type: ignore[arg-type]
        ({"status": "error", "error": "parse error"}, 400, "refused", "parse error"),
        ({"status": "error", "error": "query timed out"}, 503, "refused", "query timed out"),
        ({"status": "error", "error": "e" * 5000}, 200, "refused", "e" * 200),
        (vector(warnings=["store a is away"]), 200, "partial", "something is missing"),
        (vector(row(1, at=time.time() - 61)), 200, "old", "more than 60 s old"),
    ],
)
async def test_what_is_no_answer_has_a_reason(
    fake: FakePrometheus, body: object, status: int, reason: str, message: str
) -> None:
    found = await refused(fake, says(body, status))
    assert found[0] == reason
    assert message in found[1]
    assert len(found[1]) <= 200
    assert "12345" not in found[1]


@pytest.mark.parametrize(
    "remark",
    [
        'PromQL info: metric might not be a counter: "x"',
        # What a pod exposes must not make the metrics of all others incomplete.
        'PromQL warning: bucket label "le" is missing or has a malformed value of "abc" for metric name "x"',
        "PromQL warning: encountered a mix of histograms and floats for aggregation",
    ],
)
async def test_remarks_on_samples_are_no_warnings(fake: FakePrometheus, remark: str) -> None:
    fake.answer = says(vector(row(1), warnings=[remark]))
    assert len(await ask(fake)) == 1


async def test_a_histogram_says_how_old_the_answer_is_too(fake: FakePrometheus) -> None:
    at = time.time()
    fake.answer = says(vector({"metric": {}, "histogram": [at, {"count": "1"}]}, row(1)))
    assert len(await ask(fake)) == 2
    fake.answer = says(vector({"metric": {}, "histogram": [at - 61, {"count": "1"}]}, row(1)))
    with pytest.raises(Unanswered, match="more than 60 s old"):
        await ask(fake)


async def test_nobody_there(fake: FakePrometheus) -> None:
    prometheus = Prometheus("http://127.0.0.1:1", utc)
    with pytest.raises(Unanswered) as error:
        await Threads(1).call(lambda: prometheus.ask("up", 5, list))
    assert (error.value.reason, str(error.value)) == ("unreachable", "[Errno 111] Connection refused")


@pytest.mark.parametrize("answer", [silent, dripping])
async def test_an_answer_that_takes_too_long_is_given_up(fake: FakePrometheus, answer: Answer) -> None:
    started = time.monotonic()
    assert (await refused(fake, answer, seconds=0.2))[0] == "timeout"
    assert time.monotonic() - started < 2


async def test_an_answer_that_is_too_large_is_given_up(fake: FakePrometheus) -> None:
    rows = [row(1, pod=str(number)) for number in range(1000)]
    assert (await refused(fake, says(vector(*rows)), largest=10_000))[0] == "large"


async def test_so_is_one_that_becomes_too_large_when_it_is_unpacked(fake: FakePrometheus) -> None:
    packed = gzip.compress(json.dumps(vector(row(1, pod="a" * 1_000_000))).encode())
    assert len(packed) < 10_000

    async def answer(_: web.Request, __: dict[str, str]) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    assert (await refused(fake, answer, largest=100_000))[0] == "large"


async def test_a_redirect_is_not_followed(fake: FakePrometheus) -> None:
    async def answer(_: web.Request, __: dict[str, str]) -> web.StreamResponse:
        raise web.HTTPFound("/api/v1/elsewhere")

    assert await refused(fake, answer) == ("http", "HTTP 302")
    assert len(fake.requests) == 1


async def test_nothing_is_tried_again(fake: FakePrometheus) -> None:
    await refused(fake, says("", 503))
    assert len(fake.requests) == 1
