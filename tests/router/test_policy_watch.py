"""The agent brings what the API server says to Envoy, whatever happens to either."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from heterollm_controllers.routing.envoy.files import envoy_files
from tests.router.agent import Agent
from tests.router.apiserver import ApiServer
from tests.router.engine import Engine, slow
from tests.router.envoy import Envoy, chat, policy, tier

WRITTEN = 'policy_version{state="written"}'
APPLIED = 'policy_version{state="applied"}'
REFUSED = 'policy_version{state="refused"}'
SMALL = policy(tier("small"))


def data(version: int, **more: str) -> dict[str, str]:
    """A ConfigMap's data."""
    return {**envoy_files(SMALL, version), "version": str(version), **more}


def applied(directory: Path) -> object:
    """Version that the agent has noted, None before the first."""
    note = directory / "applied.json"
    return json.loads(note.read_text())["version"] if note.exists() else None


def names(directory: Path) -> set[str]:
    """Names of all files in a directory."""
    return {path.name for path in directory.iterdir()}


class Pod(NamedTuple):
    """A router as in its pod: Envoy, agent, and an engine behind it."""

    engine: Engine
    envoy: Envoy
    api: ApiServer
    agent: Agent


async def enter_pod(stack: AsyncExitStack) -> Pod:
    """Everything up, with the first policy applied by the agent."""
    engine = await stack.enter_async_context(Engine("a"))
    envoy = await stack.enter_async_context(Envoy(policy(tier("small"))))
    api = await stack.enter_async_context(ApiServer())
    api.put(envoy.data(policy(tier("small", engine))))
    agent = await stack.enter_async_context(Agent(envoy.policy_dir, api_port=api.port, admin=envoy.admin_url))
    await agent.shows(APPLIED, 2)
    return Pod(engine, envoy, api, agent)


async def test_policies_reach_envoy_as_they_are_published() -> None:
    async with AsyncExitStack() as stack:
        pod = await enter_pod(stack)
        other = await stack.enter_async_context(Engine("b"))
        client = await stack.enter_async_context(pod.envoy.session())
        answer = await client.post("/v1/chat/completions", json=chat())
        assert ((await answer.json())["model"], answer.headers["x-llm-policy-version"]) == ("a", "2")

        pod.api.put(pod.envoy.data(policy(tier("small", other))))
        await pod.agent.shows(APPLIED, 3)
        answer = await client.post("/v1/chat/completions", json=chat())
        assert ((await answer.json())["model"], answer.headers["x-llm-policy-version"]) == ("b", "3")

        assert pod.api.watches == 1
        (query,) = pod.api.queries
        assert query["fieldSelector"] == "metadata.name=c-policy"
        assert query["watch"] == "true"
        assert (await pod.agent.get("/healthz"))[0] == 200
        assert (await pod.agent.get("/readyz"))[0] == 200
        _, metrics = await pod.agent.get("/metrics")
        assert "envoy_cluster_membership_healthy" in metrics
        age = await pod.agent.metric("watch_age_seconds")
        assert age is not None
        assert 0 <= age < 10


async def test_the_seed_serves_while_the_api_server_is_away(tmp_path: Path) -> None:
    async with ApiServer() as api:
        await api.stop()
        agent = Agent(tmp_path, api_port=api.port)
        agent.put_seed(data(4))
        async with agent:
            await agent.shows(WRITTEN, 4)
            assert names(tmp_path) == {*envoy_files(SMALL, 4), "applied.json"} - {"lds-tls.json"}
            await api.start()
            api.put(data(5))
            await agent.shows(WRITTEN, 5)


async def test_versions_never_go_back_but_a_new_configmap_starts_anew(tmp_path: Path) -> None:
    async with ApiServer() as api, Agent(tmp_path, api_port=api.port) as agent:
        api.put(data(7))
        await agent.shows(WRITTEN, 7)
        api.put(data(6))
        api.put(data(7, ignored="x"))
        api.delete()
        api.put(data(8))
        await agent.shows(WRITTEN, 8)
        assert not [line for line in agent.lines if "policy 6 applied" in line]
        api.delete()
        api.put(data(1), uid="two")
        await agent.shows(WRITTEN, 1)


async def test_a_restarted_agent_knows_what_it_applied(tmp_path: Path) -> None:
    async with ApiServer() as api, Agent(tmp_path, api_port=api.port) as agent:
        api.put(data(7))
        await agent.shows(WRITTEN, 7)
        await agent.kill()
        await api.stop()
        agent.put_seed(data(6))
        await agent.start()
        assert await agent.metric(WRITTEN) == 7
        await api.start()
        api.put(data(8))
        await agent.shows(WRITTEN, 8)
        assert not [line for line in agent.lines if "policy 6 applied" in line]


async def test_the_watch_is_renewed_after_every_kind_of_end(tmp_path: Path) -> None:
    async with ApiServer() as api, Agent(tmp_path, api_port=api.port) as agent:
        api.put(data(1))
        await agent.shows(WRITTEN, 1)

        bookmark: dict[str, object] = {"type": "BOOKMARK", "object": {"metadata": {}}}
        expired: dict[str, object] = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
        for version, last in enumerate((None, bookmark, expired), start=2):
            api.tell(last)
            api.end_watches()
            await agent.until(lambda: api.watches == version)  # noqa: B023
            api.put(data(version))
            await agent.shows(WRITTEN, version)

        await api.stop()
        await api.start()
        api.put(data(9))
        await agent.shows(WRITTEN, 9)


async def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    async with ApiServer() as api, Agent(tmp_path, api_port=api.port) as agent:
        api.put(data(1))
        await agent.shows(WRITTEN, 1)
        api.token = "second"
        api.end_watches()
        await agent.until(lambda: any("answered 401" in line for line in agent.lines))
        agent.token.write_text("second")
        api.put(data(2))
        await agent.shows(WRITTEN, 2)


async def test_what_is_no_policy_is_counted_and_ignored(tmp_path: Path) -> None:
    good = data(1)
    bad = [
        {},
        data(2) | {"version": "two"},
        data(2) | {"cds.json": "{"},
        data(2) | {"cds.json": "[]"},
        data(2) | {"eds-small.json": '{"resources": 7}'},
        {name: text for name, text in data(2).items() if name != "rds.json"},
    ]
    async with ApiServer() as api, Agent(tmp_path, api_port=api.port) as agent:
        api.put(good)
        await agent.shows(WRITTEN, 1)
        for number, wrong in enumerate(bad, start=1):
            api.put(wrong)
            await agent.shows("policy_refusals_total", number)
        assert await agent.metric(WRITTEN) == 1
        api.put(data(3) | {"../escape.json": "{}", "passwd": "x"})
        await agent.shows(WRITTEN, 3)
        assert names(tmp_path) == {*envoy_files(SMALL, 3), "applied.json"} - {"lds-tls.json"}


async def test_a_policy_envoy_refuses_is_counted_and_the_next_one_is_applied() -> None:
    async with AsyncExitStack() as stack:
        pod = await enter_pod(stack)
        pod.api.put(pod.envoy.data(policy(tier("small", pod.engine, max_requests=1 << 32))))
        await pod.agent.shows("policy_refusals_total", 1)
        await pod.agent.shows(REFUSED, 3)
        assert await pod.agent.metric(WRITTEN) == 2
        assert await pod.agent.metric('envoy_rejects_total{resource="cds"}') == 1
        assert (await pod.agent.get("/readyz"))[0] == 200
        pod.api.put(pod.envoy.data(policy(tier("small", pod.engine))))
        await pod.agent.shows(APPLIED, 4)
        await pod.agent.shows(REFUSED, 0)


async def test_a_router_whose_containers_restart_while_nobody_else_lives_serves_as_before() -> None:
    async with AsyncExitStack() as stack:
        pod = await enter_pod(stack)
        await pod.api.stop()
        await pod.envoy.stop()
        await pod.agent.kill()
        await pod.agent.start()
        await pod.envoy.start()
        async with pod.envoy.session() as client:
            answer = await client.post("/v1/chat/completions", json=chat())
            assert ((await answer.json())["model"], answer.headers["x-llm-policy-version"]) == ("a", "2")
        assert applied(pod.envoy.policy_dir) == 2


async def test_a_new_pod_serves_by_the_mounted_policy_while_the_api_server_is_away() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("a"))
        pod = Envoy(None)
        agent = Agent(pod.policy_dir, env={"KEYS_DIR": str(pod.keys_dir)})
        agent.put_seed(pod.data(policy(tier("small", engine))))
        await stack.enter_async_context(agent)
        await agent.shows(WRITTEN, 1)
        await stack.enter_async_context(pod)
        async with pod.session() as client:
            answer = await client.post("/v1/chat/completions", json=chat())
            assert (answer.status, answer.headers["x-llm-policy-version"]) == (200, "1")


async def test_without_envoy_the_router_is_not_ready(tmp_path: Path) -> None:
    async with ApiServer() as api, Agent(tmp_path, api_port=api.port) as agent:
        api.put(data(1))
        await agent.shows(WRITTEN, 1)
        assert (await agent.get("/readyz"))[0] == 503
        assert (await agent.get("/healthz"))[0] == 200
        assert await agent.metric("envoy_up") == 0


async def test_a_terminated_agent_is_not_ready_and_outlives_envoy() -> None:
    async with AsyncExitStack() as stack:
        pod = await enter_pod(stack)
        other = await stack.enter_async_context(Engine("b"))
        pod.agent.terminate()
        await pod.agent.becomes_unready()
        pod.api.put(pod.envoy.data(policy(tier("small", other))))
        await pod.agent.shows(APPLIED, 3)
        await pod.envoy.stop()
        assert await pod.agent.ended() == 0


async def test_nothing_is_lost_when_the_agent_is_killed_in_the_middle_of_a_change() -> None:
    async with AsyncExitStack() as stack:
        pod = await enter_pod(stack)
        other = await stack.enter_async_context(Engine("b"))
        pod.engine.answer = slow
        pod.api.put(pod.envoy.data(policy(tier("small", other), tier("large", pod.engine))))
        await pod.agent.kill()
        await pod.agent.start()
        await pod.agent.shows(APPLIED, 3)
        async with pod.envoy.session() as client:
            assert (await (await client.post("/v1/chat/completions", json=chat())).json())["model"] == "b"
        assert applied(pod.envoy.policy_dir) == 3
