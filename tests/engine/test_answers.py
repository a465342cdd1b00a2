"""Plain answers of the three endpoints that produce text."""

from typing import Any

from .conftest import EngineClient, Factory

LABEL = "[simulated answer: tier small, engine demo-small-0, model Qwen/Qwen3-4B]"


async def ask(client: EngineClient, path: str, **body: object) -> Any:
    response = await client.post(path, json=body)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_chat(engine: Factory) -> None:
    client = await engine()
    answer = await (await client.chat("a question of some length", max_tokens=5)).json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "small"
    choice = answer["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].startswith(LABEL)
    assert choice["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5


async def test_every_answer_names_who_served_it(engine: Factory) -> None:
    client = await engine()
    chat = await (await client.chat()).json()
    assert chat["system_fingerprint"] == "simulated-demo-small-0"
    assert chat["metadata"]["tier"] == "small"
    completion = await ask(client, "/v1/completions", model="m", prompt="p")
    assert completion["choices"][0]["text"].startswith(LABEL)
    native = await ask(client, "/generate", text="p")
    assert native["text"].startswith(LABEL)
    assert native["meta_info"]["engine"] == "demo-small-0"


async def test_an_answer_ends_by_itself(engine: Factory) -> None:
    client = await engine("--sim-output-tokens", "10")
    answer = await (await client.chat()).json()
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert 5 <= answer["usage"]["completion_tokens"] <= 15


async def test_the_length_can_be_forced(engine: Factory) -> None:
    client = await engine("--sim-output-tokens", "10")
    answer = await (await client.chat(max_tokens=200, ignore_eos=True)).json()
    assert answer["usage"]["completion_tokens"] == 200


async def test_content_in_parts_counts_like_text(engine: Factory) -> None:
    client = await engine()
    parts = [{"type": "text", "text": "x" * 400}]
    answer = await ask(client, "/v1/chat/completions", messages=[{"role": "user", "content": parts}])
    whole = await (await client.chat("x" * 400)).json()
    assert answer["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"] > 100


async def test_several_prompts_and_choices(engine: Factory) -> None:
    client = await engine("--max-running-requests", "1")
    answer = await ask(client, "/v1/completions", model="m", prompt=["one", "two"], n=2)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]


async def test_generate_answers_a_list_for_a_list(engine: Factory) -> None:
    client = await engine()
    one = await ask(client, "/generate", input_ids=[1, 2, 3], sampling_params={"max_new_tokens": 2})
    assert one["meta_info"]["prompt_tokens"] == 3
    assert one["meta_info"]["finish_reason"] == {"type": "length", "length": 2}
    assert len(one["output_ids"]) == 2
    several = await ask(client, "/generate", text=["a", "b"])
    assert len(several) == 2


async def test_a_request_id_is_kept(engine: Factory) -> None:
    client = await engine()
    assert (await ask(client, "/generate", text="a", rid="mine"))["meta_info"]["id"] == "mine"
