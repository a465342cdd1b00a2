"""Whatever a flag, a field or a config.json says, sizing gives a plan or a refusal that says why, and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from heterollm_cli.main import main
from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.sglang.flags.catalogue import Flag, catalogue, releases
from heterollm_controllers.sizing import size
from heterollm_controllers.sizing.models import entry
from tests.core.properties import quick

WHOLE = ("0", "1", "-1", "2", "7", "1000000", str(2**63), "9" * 400, "-" + "9" * 400, "1_000", " 5", "٣")
PROBES = {
    "int": WHOLE,
    "human-int": (*WHOLE, "1k", "1.5Ki", "-1k", "1T"),
    "float": ("0", "1.5", "nan", "-1", "inf", "-inf", "1e-320", "0.5", "0.123456789", "1e-9", "1e999"),
    "str": ("", "x", "é☃\n", "/a/b", "$(NAME)", "a b", "none", "auto", "-1", "0"),
    "json": ("{}", "[]", "null", "1", '{"a": [1, {"b": null}]}', '{"a":', "NaN", '{"max_position_embeddings": -1}'),
}
TIERS: tuple[dict[str, Any], ...] = (
    {"model": {"id": "Qwen/Qwen3-4B"}, "accelerator": {"type": "L40S"}},
    {"model": {"id": "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8"}, "accelerator": {"type": "H100"}},
    {"model": {"id": "openai/gpt-oss-20b"}, "accelerator": {"type": "H100"}},
    {"model": {"id": "deepseek-ai/DeepSeek-V3"}, "accelerator": {"type": "H200"}},
    {"model": {"id": "my/unknown"}, "accelerator": {"type": "H100"}, "engine": {"gpus": 8}},
    {
        "model": {"id": "Qwen/Qwen3-30B-A3B"},
        "accelerator": {"type": "B200"},
        "engine": {"gpus": 8, "expertParallel": 4, "contextLength": 4096, "memFractionStatic": "0.7"},
    },
)


def values(flag: Flag) -> Iterator[tuple[str, ...]]:
    """Every choice, and what people and programs come up with."""
    yield (flag.name,)
    for alias in flag.aliases:
        yield (alias,)
    if flag.nargs == 0:
        return
    probes = (*(flag.choices or ()), *PROBES[flag.kind])
    yield from ((flag.name, value) for value in probes)
    yield from ((f"{flag.name}={value}",) for value in probes[:3])
    if flag.nargs in ("*", "+"):
        yield (flag.name, *probes[:4])


def tier(fields: dict[str, Any], **engine: Any) -> Tier:
    return Tier.model_validate({"name": "t", **fields, "engine": {**fields.get("engine", {}), **engine}})


def outcome(asked: Tier) -> Sizing | str:
    """The plan, or why there is none."""
    try:
        return size(asked)
    except Impossible as refusal:
        return refusal.message


@pytest.mark.parametrize("release", releases())
def test_no_flag_and_no_choice_crashes_sizing(release: str) -> None:
    flags = catalogue(release).flags.values()
    tiers = [tier(fields, sglangVersion=release) for fields in TIERS]
    for flag in flags:
        for words in values(flag):
            for plain in tiers:
                # Copied, as what is tried is more than the API server lets through, and 70,000 times.
                engine = plain.engine.model_copy(update={"args": words})
                try:
                    said = outcome(plain.model_copy(update={"engine": engine}))
                except Exception as error:
                    raise AssertionError(f"{plain.model.id}: {words!r} of {release}: {error!r}") from error
                assert isinstance(said, Sizing) or (said.startswith("tier t: ") and len(said) < 4096)


def kv_tokens(fields: dict[str, Any], *args: str) -> int:
    found = outcome(tier(fields, args=args))
    assert isinstance(found, Sizing), found
    assert found.kv_cache_tokens is not None
    return found.kv_cache_tokens


FIXED = {"gpus": 8, "attentionDataParallel": 1, "expertParallel": 1}
DENSE, LATENT = ({**fields, "engine": FIXED} for fields in (TIERS[0], TIERS[3]))


@pytest.mark.parametrize(
    ("dtype", "bytes_each", "latent_bytes_each"),
    [
        ("auto", 2, 2),
        ("bf16", 2, 2),
        ("fp8_e4m3", 1, 1),
        ("fp8_e5m2", 1, 1),
        ("mxfp8", 1.03125, 1),
        ("nvfp4", 0.5625, 0.5625),
        ("fp4_mx_block16", 0.5625, 0.5625),
    ],
)
def test_tokens_go_by_the_bytes_of_the_cache_with_its_scales(
    dtype: str, bytes_each: float, latent_bytes_each: float
) -> None:
    for fields, each in ((DENSE, bytes_each), (LATENT, latent_bytes_each)):
        assert kv_tokens(fields, "--kv-cache-dtype", dtype) / kv_tokens(fields) == pytest.approx(2 / each, rel=0.001)


def weights_gib(model: str, *args: str) -> float:
    fields = {"model": {"id": model}, "accelerator": {"type": "H200"}, "engine": {"gpus": 1}}
    found = outcome(tier(fields, args=args))
    assert isinstance(found, Sizing), found
    assert found.memory is not None
    held = found.memory
    return float(held.attention_gib) + float(held.mlp_gib) + float(held.experts_gib)


@pytest.mark.parametrize("model", ["Qwen/Qwen3-4B", "Qwen/Qwen3-30B-A3B"])
def test_unquant_is_no_quantisation(model: str) -> None:
    assert weights_gib(model, "--quantization", "unquant") == weights_gib(model)
    assert weights_gib(model, "--quantization", "fp8") == pytest.approx(weights_gib(model) / 2, rel=0.05)
    assert weights_gib(model, "--dtype", "float32") == pytest.approx(2 * weights_gib(model), rel=0.05)


def test_unquant_leaves_a_quantised_checkpoint_as_it_is() -> None:
    assert weights_gib("Qwen/Qwen3-4B-FP8", "--quantization", "unquant") == weights_gib("Qwen/Qwen3-4B-FP8")


@pytest.mark.parametrize(("method", "each"), [("nvfp4_online", 0.5625), ("mxfp4", 0.53125), ("mxfp8", 1.03125)])
def test_scales_of_groups_are_one_byte(method: str, each: float) -> None:
    """Of experts, which are nearly all of the model."""
    plain, quantised = weights_gib("Qwen/Qwen3-30B-A3B"), weights_gib("Qwen/Qwen3-30B-A3B", "--quantization", method)
    assert quantised / plain == pytest.approx(each / 2, abs=0.03)


def test_dense_layers_stay_as_they_are_where_only_experts_are_quantised() -> None:
    for method in ("mxfp4", "nvfp4_online", "modelopt_fp4"):
        assert weights_gib("Qwen/Qwen3-4B", "--quantization", method) == weights_gib("Qwen/Qwen3-4B")


@pytest.mark.parametrize("method", ["awq", "gptq_marlin", "compressed-tensors", "gguf", "mlx_q4", "modelslim"])
def test_what_the_flag_alone_does_not_tell_is_refused_with_what_to_do(method: str) -> None:
    said = outcome(tier(TIERS[0], args=["--quantization", method]))
    assert isinstance(said, str)
    assert said.startswith(f"tier t: --quantization {method} ")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--tp-size", str(2**63)], "--tp-size is more than 2147483647"),
        (["--tp-size", "1000000"], "more than the 512 GPUs that an engine may have"),
        (["--chunked-prefill-size", "9" * 400], "--chunked-prefill-size is more than 2147483647"),
        (["--max-total-tokens", "-" + "9" * 400], "--max-total-tokens is less than 1"),
        (["--mem-fraction-static", "1e-320"], "is not between 0 and 1"),
    ],
)
def test_numbers_that_are_none_of_an_engine_are_refused_at_once(args: list[str], says: str) -> None:
    for fields in TIERS:
        said = outcome(tier({**fields, "engine": {}} if "unknown" not in str(fields) else fields, args=args))
        assert isinstance(said, str)
        assert says in said


ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 3, 2**31, 2**63, 10**400, 1e308, 5e-324, 0.5, -0.0, math.nan, math.inf, -math.inf]),
    st.sampled_from(["", "x", "fp8", "é☃", "-1", "[]", "null", "x" * 3000]),
    st.recursive(
        st.none() | st.integers(-2, 200) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    st.integers(-(2**70), 2**70),
    st.integers(1, 4096),
)
CONFIGS = [
    "Qwen/Qwen3-4B",
    "Qwen/Qwen3-235B-A22B-FP8",
    "openai/gpt-oss-20b",
    "deepseek-ai/DeepSeek-V3",
    "Qwen/Qwen3-4B-AWQ",
    "Qwen/Qwen3-30B-A3B-GPTQ-Int4",
]


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A real config.json of which some values are odd, at any depth."""
    config: dict[str, Any] = json.loads(json.dumps(dict(entry(draw(st.sampled_from(CONFIGS))).config)))
    for _ in range(draw(st.integers(1, 4))):
        place: Any = config
        while True:
            key = draw(st.sampled_from(sorted(place)))
            if isinstance(place[key], dict) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(ODD)
            break
    return config


@quick()
@given(configs(), st.sampled_from([None, 1, 2, 8]), st.sampled_from(["A100-80GB", "B200"]))
def test_no_config_json_crashes_sizing(config: dict[str, Any], gpus: int | None, accelerator: str) -> None:
    fields = {"model": {"id": "my/model", "config": config}, "accelerator": {"type": accelerator}}
    outcome(tier(fields, **({"gpus": gpus} if gpus else {})))


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "gpus": st.integers(0, 4097),
    "nodes": st.integers(0, 65),
    "objective": st.sampled_from(["throughput", "latency", "cost"]),
    "workload": st.fixed_dictionaries({"inputTokens": st.integers(1, 2**24), "outputTokens": st.integers(1, 2**24)}),
    "measured": st.fixed_dictionaries(
        {}, optional={"requestsPerSecond": st.sampled_from(["0.000001", "1e5", "999999999", "0.5", "1"])}
    ),
    "attentionDataParallel": st.integers(0, 4097),
    "expertParallel": st.integers(0, 4097),
    "memFractionStatic": st.sampled_from(["0.0000001", "0.1", "0.999999999", "0.5", "1", "0"]),
    "contextLength": st.integers(0, 2**31),
    "sharedMemory": st.sampled_from(["1Gi", "0", "-1", "999Ei"]),
}
ACCELERATORS = st.fixed_dictionaries(
    {"type": st.sampled_from(["A100-80GB", "B200", "MI300X", "x" * 63])},
    optional={
        "perNode": st.integers(0, 65),
        "memoryGiB": st.integers(0, 4097),
        "dollarsPerHour": st.sampled_from(["0.0000001", "1", "999999999999", "0", "-1"]),
    },
)


@quick()
@given(
    st.sampled_from([*CONFIGS, "my/unknown"]), ACCELERATORS, st.fixed_dictionaries({}, optional=dict(FIELDS.items()))
)
def test_no_field_crashes_sizing(model: str, accelerator: dict[str, Any], engine: dict[str, Any]) -> None:
    try:
        wanted = tier({"model": {"id": model}, "accelerator": accelerator}, **engine)
    except ValidationError:  # the API server refuses it
        return
    outcome(wanted)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = (
        ("--kv-cache-dtype", "nvfp4"),
        ("--quantization", "mxfp4"),
        ("--quantization", "gguf"),
        ("--tp-size", "9" * 50),
    )
    tiers = [{"name": f"t{n}", **TIERS[0], "engine": {"args": list(args)}} for n, args in enumerate(odd)]
    file = tmp_path / "cluster.yaml"
    metadata = {"name": "c", "namespace": "ns"}
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "serving.heterollm.io/v1alpha1",
                "kind": "HeteroLLMCluster",
                "metadata": metadata,
                "spec": {"tiers": tiers},
            }
        )
    )
    with pytest.raises(SystemExit) as end:
        main(["size", "-f", str(file)])
    assert end.value.code == 1
    found = capsys.readouterr().out
    assert "tier t2: --quantization gguf loads a file" in found
    assert "tier t3: --tp-size is more than 2147483647" in found
