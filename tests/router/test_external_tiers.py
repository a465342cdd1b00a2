"""A tier that is a service outside of the cluster, through the real Envoy and over TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
from aiohttp import web

from heterollm_agent.secret_mounts import CLIENTS_FILE, ENGINE_FILE, client_filter, engine_filter
from heterollm_controllers.routing.ir import Retries, RetryChange
from tests.router.certificates import issue
from tests.router.engine import Engine, crash, error, ok, queue_full, slow, stream
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.patience import eventually
from tests.router.service import KEY, MODEL, Service

CHAT = "/v1/chat/completions"
MINE = {"authorization": "Bearer key-of-the-client", "x-api-key": "key-of-the-client", "cookie": "mine=1"}


class Scene:
    """A router, an engine and a service as its two tiers, and a client with a key of its own."""

    def __init__(self, directory: Path, service: Service, engine: Engine, place: Literal["first", "last"]) -> None:
        self.service, self.engine, self.place = service, engine, place
        self.envoy: Envoy
        self.client: aiohttp.ClientSession

    def key_file(self) -> Path:
        return self.envoy.directory / "external" / "ext" / "secret" / "key"

    def put_key(self, key: str) -> None:
        """As the kubelet mounts it."""
        self.key_file().parent.mkdir(parents=True, exist_ok=True)
        self.key_file().write_text(key + "\n")

    def policy(self, *, trusting: str | None = None, external: dict[str, Any] | None = None, **more: Any) -> Any:
        ext = self.service.tier("ext", "/external/ext/secret/key", trusting=trusting, **(external or {}))
        own = tier("own", self.engine)
        return policy(*((ext, own) if self.place == "first" else (own, ext)), **more)

    async def post(self, body: object = None, **headers: str) -> aiohttp.ClientResponse:
        return await self.client.post(CHAT, json=chat(model="ext") if body is None else body, headers=MINE | headers)


@asynccontextmanager
async def scene(
    tmp_path: Path,
    place: Literal["first", "last"] = "last",
    *,
    service: Any = ok,
    engine: Any = ok,
    trusting: str | None = None,
    key: str = KEY,
    **more: Any,
) -> AsyncIterator[Scene]:
    async with Service(tmp_path, service) as outside, Engine("own0", engine) as inside:
        made = Scene(tmp_path, outside, inside, place)
        # The port is known by now, the paths only once Envoy has its folder.
        async with Envoy(made.policy(trusting=trusting, **more)) as envoy, envoy.session() as client:
            made.envoy, made.client = envoy, client
            made.put_key(key)
            await envoy.healthy("own", 1)
            yield made


async def test_the_service_gets_its_own_key_model_host_and_path(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        text = "é" * 300_000  # comes in many pieces
        answer = await at.post(chat(text, model="ext", seed=3), **{"x-llm-conversation": "c", "openai-project": "p"})
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "ext")
        assert answer.headers["x-llm-attempts"] == "1"
        assert at.service.requests == [chat(text, model=MODEL, seed=3)]
        assert at.service.paths == ["/api/v2/chat/completions"]
        [headers] = at.service.headers
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["host"] == f"127.0.0.1:{at.service.port}"
        said = json.dumps(headers)
        assert "client" not in said
        assert "mine" not in said
        assert not [name for name in headers if name.startswith(("x-llm", "x-envoy", "x-forwarded", "openai"))]
        assert "openai-organization" not in answer.headers
        assert "set-cookie" not in answer.headers
        # By its model's name, too, and without a body that is scored.
        assert (await at.post(chat(model=MODEL))).status == 200
        listed = [item["id"] for item in (await (await at.client.get("/v1/models")).json())["data"]]
        assert {"ext", MODEL} <= set(listed)


async def test_streams_pass_through(tmp_path: Path) -> None:
    async with scene(tmp_path, service=stream) as at:
        at.service.events.put_nowait('{"choices":[{"delta":{"content":"1"}}]}')
        answer = await at.post(chat(model="ext", stream=True))
        assert answer.headers["content-type"] == "text/event-stream"
        assert b'"1"' in await answer.content.readuntil(b"\n\n")
        at.service.events.put_nowait(None)
        await answer.read()
        assert at.service.requests[0]["stream"] is True


async def test_a_request_that_leaves_the_service_reaches_an_engine_as_the_client_sent_it(tmp_path: Path) -> None:
    async with scene(tmp_path, "first", service=error) as at:
        answer = await at.post(chat("x", model="ext"))
        assert (answer.status, answer.headers["x-llm-tier"], answer.headers["x-llm-attempts"]) == (200, "own", "3")
        [headers] = at.engine.headers
        assert headers["authorization"] == MINE["authorization"]
        assert KEY not in json.dumps(headers)
        assert at.engine.requests == [chat("x", model="ext")]
        assert len(at.service.requests) == 2


async def test_a_request_that_leaves_an_engine_reaches_the_service_as_its_own(tmp_path: Path) -> None:
    async with scene(tmp_path, "last", engine=error) as at:
        answer = await at.post(chat("x", model="own"))
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "ext")
        assert at.service.requests == [chat("x", model=MODEL)]
        assert at.service.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_an_escalated_tier_is_answered_by_the_service(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        whole = at.policy()
        own, ext = whole.tiers
        moved = type(own)(**{**own.__dict__, "diverted_percent": 100})
        await at.envoy.publish(policy(moved, ext))
        answer = await at.post(chat(model="own"))
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "ext")


async def test_a_rotated_key_is_used_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path, key="old") as at:
        assert (await at.post()).status == 502
        at.put_key(KEY)
        assert (await at.post()).status == 200


async def test_a_low_quality_answer_of_the_service_is_tried_again(tmp_path: Path) -> None:
    retries = Retries(changes=(RetryChange(temperature=0.2),))
    async with scene(tmp_path, service=_empty, retries=retries) as at:
        answer = await at.post()
        assert answer.status == 200
        assert [request.get("temperature") for request in at.service.requests[:2]] == [None, 0.2]
        assert {request["model"] for request in at.service.requests} == {MODEL}


async def _empty(engine: Engine, request: web.Request) -> web.StreamResponse:
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    return web.json_response({"object": "chat.completion", "choices": [choice]})


@pytest.mark.parametrize("place", ["first", "last"])
async def test_a_wrong_key_is_the_operators_business(tmp_path: Path, place: Literal["first", "last"]) -> None:
    async with scene(tmp_path, place, key="wrong") as at:
        answer = await at.post()
        text = await answer.text()
        if place == "first":  # the next tier answers
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "own")
        else:
            assert (answer.status, answer.headers["x-llm-error"]) == (502, "external_unauthorized")
            assert json.loads(text)["error"]["code"] == "external_unauthorized"
            assert answer.headers["x-should-retry"] == "false"
            assert len(at.service.requests) == 1, "asking again is of no use"
        assert "wrong" not in text + str(answer.headers)
        refused = {"tier": "ext", "code": "401"}
        await _shows(at, "external_refusals_total", **refused)


async def test_another_model_name_is_the_operators_business(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        ext = at.service.tier("ext", "/external/ext/secret/key")
        renamed = type(ext)(**{**ext.__dict__, "model_id": "acme/none"})
        await at.envoy.publish(policy(tier("own", at.engine), renamed))
        answer = await at.post()
        assert (answer.status, answer.headers["x-llm-error"]) == (502, "external_not_found")
        assert "org-acme" not in await answer.text()
        await _shows(at, "external_refusals_total", tier="ext", code="404")


@pytest.mark.parametrize(
    ("status", "code"), [(401, "external_unauthorized"), (302, "external_not_found"), (405, "external_not_found")]
)
async def test_a_refusal_without_a_body_is_told_as_well(tmp_path: Path, status: int, code: str) -> None:
    async def says(engine: Engine, request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"location": "https://elsewhere.example.com/"})

    async with scene(tmp_path, service=says) as at:
        answer = await at.client.post(CHAT, json=chat(model="ext"), allow_redirects=False)
        assert (answer.status, answer.headers["x-llm-error"]) == (502, code)
        assert (await answer.json())["error"]["code"] == code
        assert "location" not in answer.headers


async def test_a_service_without_its_key_is_not_given_the_clients(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.key_file().unlink()
        assert (await at.post()).status == 502
        assert "authorization" not in at.service.headers[0]


async def test_a_certificate_of_another_ends_the_connection_before_anything_is_said(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = issue(tmp_path / "other", "other")["tls.crt"]
    for place, expected in (("first", 200), ("last", 503)):
        async with scene(tmp_path, place, trusting=other) as at:  # type: ignore[arg-type]
            answer = await at.post()
            assert answer.status == expected, await answer.text()
            assert at.service.requests == []
            found = await at.envoy.stats("ssl.fail_verify_error")
            assert sum(found.values()) > 0
            await _shows(at, "failed_attempts_total", tier="ext", reason="connect")


async def test_the_certificates_name_must_be_the_hosts(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        ext = at.service.tier("ext", "/external/ext/secret/key")
        assert ext.external is not None
        # It resolves to the same address, and its certificate is only for that.
        named = type(ext.external)(**{**ext.external.__dict__, "host": "localhost"})
        await at.envoy.publish(policy(tier("own", at.engine), type(ext)(**{**ext.__dict__, "external": named})))
        answer = await at.post()
        assert answer.status == 503
        assert at.service.requests == []


@pytest.mark.parametrize(("place", "expected"), [("first", 200), ("last", 503)])
async def test_a_service_that_is_down(tmp_path: Path, place: Literal["first", "last"], expected: int) -> None:
    async with scene(tmp_path, place) as at:
        await at.service.kill()
        answer = await at.post()
        assert answer.status == expected
        if place == "last":
            assert (await answer.json())["error"]["type"] == "server_error"
            own = await at.post(chat(model="own"))
            assert own.status == 200, "the other tier has nothing to do with it"


@pytest.mark.parametrize(("place", "expected"), [("first", 200), ("last", 503)])
async def test_a_service_that_drops_connections(tmp_path: Path, place: Literal["first", "last"], expected: int) -> None:
    async with scene(tmp_path, place, service=crash) as at:
        assert (await at.post()).status == expected
        assert len(at.service.requests) == (2 if place == "first" else 4), "it is no request that engines die of"


@pytest.mark.parametrize(("place", "expected"), [("first", 200), ("last", 504)])
async def test_a_silent_service_is_given_up_after_the_idle_limit(
    tmp_path: Path, place: Literal["first", "last"], expected: int
) -> None:
    async with scene(tmp_path, place, service=slow, attempt_idle_limit=0.3) as at:
        assert (await at.post()).status == expected
        at.service.release.set()


@pytest.mark.parametrize(("status", "body"), [(400, "context too long"), (429, "slow down")])
async def test_what_is_about_the_request_or_the_load_is_the_clients_to_know(
    tmp_path: Path, status: int, body: str
) -> None:
    async def says(engine: Engine, request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": body}}, status=status, headers={"retry-after": "7"})

    async with scene(tmp_path, service=says) as at:
        answer = await at.post()
        assert answer.status == status
        assert (await answer.json())["error"]["message"] == body
        assert answer.headers["retry-after"] == "7"
        assert len(at.service.requests) == 1


async def test_a_full_queue_behind_the_service_is_load_and_no_failure(tmp_path: Path) -> None:
    async with scene(tmp_path, service=queue_full) as at:
        assert (await at.post()).status == 429


async def test_no_more_requests_are_in_flight_than_the_spec_allows(tmp_path: Path) -> None:
    async with scene(tmp_path, service=slow, external={"max_requests": 2}) as at:
        held = [asyncio.create_task(at.post()) for _ in range(2)]
        await eventually(lambda: _asked(at, 2))
        assert (await at.post()).status == 429
        at.service.release.set()
        assert [(await answer).status for answer in held] == [200, 200]


async def _asked(at: Scene, count: int) -> bool:
    return len(at.service.requests) == count


async def test_the_key_of_clients_names_them_and_goes_no_further(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        filters = {CLIENTS_FILE: client_filter({"shop": "key-of-the-client"}), ENGINE_FILE: engine_filter("engines")}
        for name, text in filters.items():
            fresh = at.envoy.keys_dir / f".{name}"
            fresh.write_text(text)
            fresh.replace(at.envoy.keys_dir / name)
        await eventually(lambda: _guarded(at))
        before = len(at.service.headers)
        assert (await at.post()).status == 200
        assert (await at.post(chat(model="own"))).status == 200
        [headers] = at.service.headers[before:]
        assert headers["authorization"] == f"Bearer {KEY}"
        assert "shop" not in json.dumps(headers)
        assert at.engine.headers[-1]["authorization"] == "Bearer engines"
        await _shows(at, "client_requests_total", client="shop", code="200")


async def _guarded(at: Scene) -> bool:
    return (await at.client.post(CHAT, json=chat(model="ext"))).status == 401


async def test_the_key_is_nowhere_in_envoys_configuration(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        assert (await at.post()).status == 200
        async with aiohttp.ClientSession() as session:
            for page in ("config_dump", "stats/prometheus", "clusters"):
                text = await (await session.get(f"{at.envoy.admin_url}/{page}")).text()
                assert KEY not in text
        assert KEY not in at.envoy.log()


async def test_a_tier_changes_between_engines_and_services_without_losing_a_request(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    async with scene(tmp_path) as at, Service(tmp_path / "b") as other, Engine("ext0") as engine:
        kinds = [
            tier("ext", engine),
            other.tier("ext", "/external/ext/secret/key"),
            tier("ext", engine),
            at.service.tier("ext", "/external/ext/secret/key"),
        ]
        answers: list[int] = []
        done = asyncio.Event()

        async def ask() -> None:
            while not done.is_set():
                answers.append((await at.post(chat(model="ext"))).status)

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for kind in kinds:
            await at.envoy.publish(policy(tier("own", at.engine), kind))
            before = len(answers)
            await eventually(lambda before=before: _more(answers, before + 20))  # type: ignore[misc]
        done.set()
        await asyncio.gather(*asking)
        assert set(answers) == {200}
        assert other.requests
        assert engine.requests
        assert {headers["authorization"] for headers in engine.headers} == {MINE["authorization"]}


async def _more(answers: list[int], count: int) -> bool:
    return len(answers) > count


async def test_two_clusters_share_a_service(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, Envoy(at.policy()) as other, other.session() as client:
        key = other.directory / "external" / "ext" / "secret" / "key"
        key.parent.mkdir(parents=True)
        key.write_text(KEY)
        assert (await at.post()).status == 200
        assert (await client.post(CHAT, json=chat(model="ext"))).status == 200
        assert len(at.service.requests) == 2


async def test_two_tiers_that_are_services_have_each_its_own(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    async with Service(tmp_path, error) as first, Service(tmp_path / "b", prefix="", key="other-key") as second:
        tiers = first.tier("one", "/external/one/s/k"), second.tier("two", "/external/two/s/k")
        async with Envoy(policy(*tiers)) as envoy, envoy.session() as client:
            for name, key in (("one", KEY), ("two", "other-key")):
                path = envoy.directory / "external" / name / "s" / "k"
                path.parent.mkdir(parents=True)
                path.write_text(key)
            answer = await client.post(CHAT, json=chat(model="one"), headers=MINE)
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "two")
            assert second.headers[0]["authorization"] == "Bearer other-key"
            assert second.paths == ["/chat/completions"]
            assert [item["authorization"] for item in first.headers] == [f"Bearer {KEY}"] * 2


async def _shows(at: Scene, metric: str, **labels: str) -> None:
    """Wait until Envoy shows a counter with these labels."""
    named = {("heterollm_tier" if name == "tier" else name): value for name, value in labels.items()}

    async def shown() -> bool:
        async with aiohttp.ClientSession() as session:
            text = await (await session.get(f"{at.envoy.admin_url}/stats/prometheus")).text()
        lines = [line for line in text.splitlines() if metric in line and not line.startswith("#")]
        return any(all(f'{name}="{value}"' in line for name, value in named.items()) for line in lines)

    await eventually(shown)
