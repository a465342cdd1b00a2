"""`heterollm size` and `heterollm render`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from heterollm_cli.main import main

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
TINY = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
}


def cluster(**tier: Any) -> dict[str, Any]:
    base = {"name": "small", "model": {"id": "Qwen/Qwen3-4B"}, "accelerator": {"type": "A100-80GB"}}
    return {
        "apiVersion": "serving.heterollm.io/v1alpha1",
        "kind": "HeteroLLMCluster",
        "metadata": {"name": "demo"},
        "spec": {"tiers": [{**base, **tier}]},
    }


def written(folder: Path, *documents: dict[str, Any]) -> str:
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def ran(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    return int(ended.value.code or 0)


def test_the_table_shows_every_tier_with_reasons_memory_and_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("size", "-f", str(SAMPLES / "qwen3.yaml")) == 0
    shown = capsys.readouterr().out
    for part in ("tier small", "tier large", "745,422", "# weights  = KV cache", "estimated", "next best", "user"):
        assert part in shown


def test_json_and_yaml_have_the_structure_of_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("size", "-f", str(SAMPLES / "qwen3.yaml"), "-o", "json") == 0
    as_json = json.loads(capsys.readouterr().out)
    assert as_json["tiers"][0]["sizing"]["kvCacheTokens"] == 745_422
    assert ran("size", "-f", str(SAMPLES / "qwen3.yaml"), "-o", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out) == as_json


def test_what_does_not_fit_is_said_with_the_arithmetic_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, cluster(model={"id": "Qwen/Qwen3-32B"}, accelerator={"type": "L4"}, engine={"gpus": 1}))
    assert ran("size", "-f", file) == 1
    shown = capsys.readouterr().out
    assert "weights take 61." in shown
    assert "GPUs (TP" in shown


def test_comparing_shows_the_cheapest_accelerator_first_and_why_others_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, cluster(model={"id": "Qwen/Qwen3-32B"}, engine={"gpus": 1}))
    assert ran("size", "--compare", "-o", "json", "-f", file) == 0
    [tier] = json.loads(capsys.readouterr().out)["tiers"]
    told = {item["type"]: item["sizing"]["performance"].get("costPer1000Requests") for item in tier["accelerators"]}
    assert list(told)[-1] == "H20", "what has no price comes last"
    assert told.pop("H20") is None
    costs = [float(cost) for cost in told.values()]
    assert costs == sorted(costs)
    assert "L4" in {item["type"] for item in tier["refused"]}


@pytest.mark.parametrize("inline", [True, False])
def test_a_model_of_ones_own_is_sized_from_its_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], inline: bool
) -> None:
    model = {"id": "me/tiny", **({"config": TINY} if inline else {"configMap": {"name": "tiny"}})}
    beside = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tiny"}}
    beside["data"] = {"config.json": json.dumps(TINY)}
    assert ran("size", "-o", "json", "-f", written(tmp_path, cluster(model=model), beside)) == 0
    [tier] = json.loads(capsys.readouterr().out)["tiers"]
    # 2 heads x (16 + 16) numbers x 2 layers x 2 bytes = 256 bytes a token.
    assert tier["sizing"]["kvCacheTokens"] > 200e6
    assert tier["sizing"]["contextLength"] == 2048


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: ConfigMap", "no HeteroLLMCluster in"),
        ("{", "cluster.yaml:"),
        ("kind: HeteroLLMCluster\nspec: {}", "without metadata.name"),
        ("kind: HeteroLLMCluster\nmetadata: {name: x}\nspec: {tiers: []}", "tiers: "),
        (yaml.safe_dump(cluster(engien={"gpus": 1})), "engien: Extra inputs"),
    ],
)
def test_unusable_input_is_named_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "cluster.yaml").write_text(text)
    for command in ("size", "render"):
        assert ran(command, "-f", str(tmp_path / "cluster.yaml")) == 2
        assert said in capsys.readouterr().err


def test_rendering_prints_all_children_without_owners(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("render", "-n", "team", "-f", str(SAMPLES / "qwen3.yaml")) == 0
    objects = list(yaml.safe_load_all(capsys.readouterr().out))
    kinds = [item["kind"] for item in objects]
    assert kinds.count("StatefulSet") == 5
    assert {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} <= {*kinds}
    assert {item["metadata"]["namespace"] for item in objects} == {"team"}
    assert not any("ownerReferences" in item["metadata"] for item in objects)


def test_a_service_has_nothing_to_size(capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--compare"]):
        assert ran("size", "-f", str(SAMPLES / "external.yaml"), *more) == 0
        said = "tier large: Qwen3-235B-A22B at https://llm.example.com/v1; it has no engines to size"
        assert said in capsys.readouterr().out
    assert ran("size", "-f", str(SAMPLES / "external.yaml"), "-o", "json") == 0
    tiers = json.loads(capsys.readouterr().out)["tiers"]
    assert tiers[1] == {"name": "large", "external": "https://llm.example.com/v1"}


def test_errors_name_fields_as_users_write_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = cluster(engine={"gpus": 0})
    wrong["spec"]["tiers"].append({"name": "far", "external": {"url": "far"}, "replicas": {"min": 1}})
    assert ran("size", "-f", written(tmp_path, wrong)) == 2
    said = capsys.readouterr().err
    for field in ("tiers.0.engine.gpus", "tiers.1.external.url", "tiers.1.external.model", "tiers.1.replicas"):
        assert f"  {field}: " in said


def test_rendering_a_spec_that_cannot_be_carried_out_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, cluster(engine={"args": ["--mem-fraction-statc", "0.9"]}))
    assert ran("render", "-f", file) == 1
    captured = capsys.readouterr()
    assert "--mem-fraction-static" in captured.err
    assert captured.out == ""
