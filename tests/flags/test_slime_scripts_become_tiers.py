"""SLIME launch scripts as tiers: what is carried over, what is left out, and what is said of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_cli.slime.launch_script import UnreadableScript, read_script
from heterollm_cli.slime.tier import ImportedTier, to_tier
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from tests.core.properties import quick

SCRIPTS = Path(__file__).parent / "scripts"
MODELS = ("Qwen/Qwen3-4B", "Qwen/Qwen3-235B-A22B-FP8", "deepseek-ai/DeepSeek-R1", "a/Twice", "b/Twice")
LAUNCH = "python3 train.py --hf-checkpoint Qwen/Qwen3-4B "


def imported(
    script: str, name: str = "small", accelerator: str | None = "H100", release: str = "0.5.23"
) -> ImportedTier:
    return to_tier(read_script(script), name, accelerator, release, MODELS)


def from_file(name: str) -> ImportedTier:
    return imported((SCRIPTS / name).read_text(encoding="utf-8"))


def engine(flags: str, release: str = "0.5.23") -> dict[str, Any]:
    found: dict[str, Any] = imported(LAUNCH + flags, release=release).tier["engine"]
    return found


def test_a_small_dense_model_beside_its_trainer() -> None:
    result = from_file("qwen3-4b-two-gpus.sh")
    assert result.tier == {
        "name": "small",
        "model": {"id": "Qwen/Qwen3-4B"},
        "accelerator": {"type": "H100"},
        "engine": {"gpus": 2, "memFractionStatic": "0.7"},
        "replicas": {"min": 4},
    }
    assert result.remarks == (
        "${MODEL_ARGS[@]} could not be read: MODEL_ARGS is not set in the script (it reads qwen3-4B.sh, which was not"
        " followed)",
        "--hf-checkpoint /data/checkpoints/Qwen3-4B: model.id is Qwen/Qwen3-4B, from the hub; set model.source to read"
        " it elsewhere",
        "--rollout-num-gpus-per-engine 2: engine.gpus",
        "--mem-fraction-static 0.7: engine.memFractionStatic",
        "8 GPUs for rollout, 2 per engine: replicas.min is 4",
        "left out, training only (where trainer and engines run): --colocate",
        "left out, training only (checkpoints and weights): --ref-load, --save-interval",
        "left out, training only (the prompts and samples of a rollout): --prompt-data, --rollout-batch-size,"
        " --n-samples-per-prompt, --rollout-max-response-len, --rollout-temperature",
        "left out, training only (how the trainer splits the model): --tensor-model-parallel-size, --sequence-parallel",
        "left out, training only (the trainer's memory and batches): --use-dynamic-batch-size, --max-tokens-per-gpu",
        "left out, training only (the reinforcement-learning algorithm): --advantage-estimator",
        "left out, training only (the optimizer): --optimizer, --lr",
        "left out, read by the trainer, as SGLang's flags begin with --sglang- in SLIME: --attention-backend",
    )


def test_a_large_mixture_of_experts() -> None:
    result = from_file("qwen3-235b-moe.sh")
    assert result.tier["model"] == {"id": "Qwen/Qwen3-235B-A22B-FP8"}
    assert result.tier["replicas"] == {"min": 2}
    assert result.tier["engine"] == {
        "gpus": 32,
        "attentionDataParallel": 4,
        "expertParallel": 32,
        "contextLength": 32_000,
        "memFractionStatic": "0.5",
        "args": [
            "--enable-dp-lm-head",
            *("--cuda-graph-bs-decode", "1", "2", "4", "8", "16", "24", "32"),
            *("--moe-a2a-backend", "deepep"),
            *("--deepep-mode", "auto"),
            "--disable-radix-cache",
        ],
    }
    told = "\n".join(result.remarks)
    assert "--enable-dp-attention with --dp-size is deprecated: --attn-dp-size 4 is used instead" in told
    assert "--cuda-graph-bs is gone from SGLang 0.5.23: --cuda-graph-bs-decode 1 2 4 8 16 24 32 is used instead" in told
    assert "left out, the cluster has its own routers: --sglang-router-ip" in told
    assert "limits what SLIME's client has in flight" in told


def test_flags_of_long_ago_and_a_command_in_a_variable() -> None:
    result = from_file("deepseek-old-flags.sh")
    assert result.tier["accelerator"] == {"type": "H100", "perNode": 4}
    assert result.tier["engine"] == {
        "gpus": 64,
        "attentionDataParallel": 8,
        "expertParallel": 64,
        "memFractionStatic": "0.75",
        "args": [
            *("--moe-dense-tp-size", "1"),
            *("--moe-a2a-backend", "deepep"),
            *("--cuda-graph-max-bs-decode", "128"),
        ],
    }
    assert result.tier["replicas"] == {"min": 1}
    assert "100 GPUs for rollout, 64 per engine: replicas.min is 1, 36 GPUs are left over" in result.remarks
    assert "--sglang-attention-backend ${BACKEND} is left out: BACKEND is not set in the script" in result.remarks
    (unknown,) = [remark for remark in result.remarks if remark.startswith("--sglang-no-such-flag 3 is left out: ")]
    assert "SGLang 0.5.23 has no flag --no-such-flag" in unknown


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.stem)
def test_what_comes_out_is_a_valid_spec(script: Path) -> None:
    tier = from_file(script.name).tier
    spec = HeteroLLMClusterSpec.model_validate({"tiers": [tier]})
    assert spec.tiers[0].name == "small"
    assert spec.tiers[0].model_dump(mode="json", by_alias=True, exclude_unset=True) == tier


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", {"gpus": 1}),
        ("--rollout-num-gpus-per-engine 4", {"gpus": 4}),
        ("--rollout-num-gpus-per-engine=4", {"gpus": 4}),
        ("--rollout-num-gpus-per-engine 2 --rollout-num-gpus-per-engine 4", {"gpus": 4}),
        ("--rollout-num-gpus-per-engine 4 --sglang-ep-size 2", {"gpus": 4, "expertParallel": 2}),
        ("--rollout-num-gpus-per-engine 4 --sglang-expert-parallel-size 2", {"gpus": 4, "expertParallel": 2}),
        ("--rollout-num-gpus-per-engine 4 --sglang-enable-ep-moe", {"gpus": 4, "expertParallel": 4}),
        (
            "--rollout-num-gpus-per-engine 8 --sglang-pp-size 2 --sglang-enable-ep-moe",
            {"gpus": 8, "expertParallel": 4, "args": ["--pp-size", "2"]},
        ),
        ("--sglang-attn-dp-size 2", {"gpus": 1, "attentionDataParallel": 2}),
        ("--sglang-dp-size 2", {"gpus": 1, "args": ["--dp-size", "2"]}),
        ("--sglang-context-length 4096", {"gpus": 1, "contextLength": 4096}),
        ("--sglang-mem-fraction-static 0.62500", {"gpus": 1, "args": ["--mem-fraction-static", "0.62500"]}),
        ("--sglang-mem-fraction-static .7", {"gpus": 1, "args": ["--mem-fraction-static", ".7"]}),
        ("--sglang-kv-cache-dtype fp8_e4m3", {"gpus": 1, "args": ["--kv-cache-dtype", "fp8_e4m3"]}),
        ("--sglang-port 3000", {"gpus": 1}),
        ("--sglang-router-port 3000 --sglang-server-concurrency 9 --sglang-config x.yaml", {"gpus": 1}),
        ("--use-slime-router", {"gpus": 1}),
    ],
)
def test_server_flags(flags: str, expected: dict[str, Any]) -> None:
    assert engine(flags) == expected


def test_a_release_without_the_new_spelling_gets_the_same_field() -> None:
    flags = "--rollout-num-gpus-per-engine 8 --sglang-dp-size 4 --sglang-enable-dp-attention"
    assert engine(flags, release="0.5.19") == {"gpus": 8, "attentionDataParallel": 4}


@pytest.mark.parametrize(
    ("flags", "replicas"),
    [
        ("", 1),
        ("--rollout-num-gpus 16 --rollout-num-gpus-per-engine 4", 4),
        ("--rollout-num-gpus 2 --rollout-num-gpus-per-engine 4", 1),
        ("--colocate --actor-num-nodes 2 --actor-num-gpus-per-node 4 --rollout-num-gpus-per-engine 2", 4),
        ("--colocate --actor-num-nodes 2 --rollout-num-gpus-per-engine 2", 8),
        ("--colocate --actor-num-nodes 2 --rollout-num-gpus 4", 4),
        ("--actor-num-nodes 2 --actor-num-gpus-per-node 8", 1),
    ],
)
def test_engines(flags: str, replicas: int) -> None:
    assert imported(LAUNCH + flags).tier["replicas"] == {"min": replicas}


@pytest.mark.parametrize(
    ("flags", "accelerator"),
    [
        ("", {"type": "H100"}),
        ("--num-gpus-per-node 4", {"type": "H100", "perNode": 4}),
        ("--num-gpus-per-node 8", {"type": "H100"}),
        ("--colocate --actor-num-gpus-per-node 4", {"type": "H100", "perNode": 4}),
        ("--actor-num-gpus-per-node 4", {"type": "H100"}),
    ],
)
def test_nodes(flags: str, accelerator: dict[str, Any]) -> None:
    assert imported(LAUNCH + flags).tier["accelerator"] == accelerator


def test_an_accelerator_that_nobody_named_is_said_to_be_assumed() -> None:
    result = imported(LAUNCH, accelerator=None)
    assert result.tier["accelerator"] == {"type": "A100-80GB"}
    assert "the script does not say which GPUs: accelerator.type is A100-80GB" in result.remarks


@pytest.mark.parametrize(
    ("checkpoint", "model", "remark"),
    [
        ("/ckpt/Qwen3-4B", "Qwen/Qwen3-4B", "model.id is Qwen/Qwen3-4B, from the hub"),
        ("/ckpt/qwen3-4b/", "Qwen/Qwen3-4B", "model.id is Qwen/Qwen3-4B, from the hub"),
        ("$DIR/Qwen3-4B", "Qwen/Qwen3-4B", "model.id is Qwen/Qwen3-4B, from the hub"),
        ("/ckpt/Twice", "Twice", "set model.id to the hub's id, or model.source to a volume"),
        ("/ckpt/Mine", "Mine", "set model.id to the hub's id, or model.source to a volume"),
        ("org/Mine", "org/Mine", "model.id, taken for an id of the hub"),
    ],
)
def test_the_model(checkpoint: str, model: str, remark: str) -> None:
    result = imported(f"python3 train.py --hf-checkpoint {checkpoint}")
    assert result.tier["model"] == {"id": model}
    assert any(line.startswith("--hf-checkpoint ") and remark in line for line in result.remarks)


@pytest.mark.parametrize(
    "command",
    [
        "python3 train.py {}",
        "python3 -u /opt/slime/train_async.py {}",
        "ray job submit --address=x -- python3 train.py {}",
        "cd /opt/slime && torchrun --nproc 8 train.py {}",
        "bash -c 'python3 train.py {}'",
        'CMD="python3 train.py {}"; eval $CMD',
        "run() {{ python3 train.py {}; }}; run",
        "if true; then exec python3 train.py {}; fi",
        "ARGS=({}); python3 ${{SLIME}}/train.py ${{ARGS[@]}}",
        "ARGS=({})",
    ],
)
def test_wherever_the_launch_stands(command: str) -> None:
    script = command.format("--hf-checkpoint org/m --rollout-num-gpus-per-engine 4")
    assert imported(script).tier["engine"] == {"gpus": 4}


def test_arrays_that_the_launch_does_not_use_are_not_read() -> None:
    script = f"OLD=(--rollout-num-gpus-per-engine 8)\nNEW=(--rollout-num-gpus-per-engine 2)\n{LAUNCH} ${{NEW[@]}}"
    assert imported(script).tier["engine"] == {"gpus": 2}


def test_the_last_of_several_launches_is_read() -> None:
    result = imported(f"{LAUNCH} --rollout-num-gpus-per-engine 2\n{LAUNCH} --rollout-num-gpus-per-engine 4\n")
    assert result.tier["engine"] == {"gpus": 4}
    assert "the script launches SLIME 2 times: the last launch was read" in result.remarks


@pytest.mark.parametrize(
    ("script", "remark"),
    [
        (
            f"if x; then N=4; fi; {LAUNCH} --rollout-num-gpus-per-engine $N",
            "N is set under a condition, which was taken to hold",
        ),
        (
            f"{LAUNCH} --rollout-num-gpus-per-engine $N",
            "--rollout-num-gpus-per-engine ${N} could not be read: N is not set in the script",
        ),
        (f"{LAUNCH} --made-up 3", "left out, not known here: --made-up"),
        (f"{LAUNCH} --colocate $MORE", "left out, training only (where trainer and engines run): --colocate"),
        (f"{LAUNCH} $MORE", "${MORE} could not be read: MORE is not set in the script"),
        ("ARGS=(--hf-checkpoint org/m)", "the script calls no train.py: the flags of all its arrays were read"),
    ],
)
def test_what_is_uncertain_is_said(script: str, remark: str) -> None:
    assert remark in imported(script).remarks


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", "this is no SLIME launch script: it calls no train.py and has no arrays of flags"),
        ("python3 -m sglang.launch_server --tp 2", "this is no SLIME launch script"),
        ("python3 train.py --colocate", "the script names no model: --hf-checkpoint is missing or could not be read"),
        ("python3 train.py --hf-checkpoint", "the script names no model"),
        ("python3 train.py --hf-checkpoint $MODEL", "the script names no model: --hf-checkpoint ${MODEL} could not be"),
        ("python3 train.py --hf-checkpoint 'a", "line 1: the quotation that begins here never ends"),
        (f"{LAUNCH} --rollout-num-gpus-per-engine 99999", "the tier would not be valid: engine.gpus: "),
        (f"{LAUNCH} --sglang-cuda-graph-bs $(seq 200)", "the tier would not be valid: engine.args: "),
        ("python3 train.py --hf-checkpoint '/x/a b'", "the tier would not be valid: model.id: "),
    ],
)
def test_what_cannot_become_a_tier_is_refused(script: str, message: str) -> None:
    with pytest.raises(UnreadableScript) as error:
        imported(script)
    assert str(error.value).startswith(message)


def test_a_wrong_name_is_refused() -> None:
    with pytest.raises(UnreadableScript, match="the tier would not be valid: name: "):
        imported(LAUNCH, name="Small_Tier")


WORDS = st.sampled_from(
    [
        *("--hf-checkpoint", "org/m", "/ckpt/m", "--rollout-num-gpus-per-engine", "--rollout-num-gpus", "4", "0", "-1"),
        *("--colocate", "--num-gpus-per-node", "--sglang-ep-size", "--sglang-enable-ep-moe", "--sglang-dp-size"),
        *("--sglang-enable-dp-attention", "--sglang-mem-fraction-static", "0.5", "0", "--sglang-context-length", "32k"),
        *("--sglang-pp-size", "$X", "${A[@]}", "$(date)", "'a b'", '""', "--made-up", "--sglang-made-up", "--lr"),
    ]
)


@quick(examples=300)
@given(st.lists(WORDS, max_size=12))
def test_any_launch_becomes_a_valid_tier_or_is_refused(words: list[str]) -> None:
    with suppress(UnreadableScript):
        result = imported(LAUNCH + " ".join(words))
        HeteroLLMClusterSpec.model_validate({"tiers": [result.tier]})
        assert all(isinstance(remark, str) and remark for remark in result.remarks)


def test_nothing_of_the_script_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"touch {mark}\nX=$(touch {mark})\nY=`touch {mark}`\n{LAUNCH} --made-up $X $Y ${{Z:-$(touch {mark})}}"
    imported(script)
    assert not mark.exists()
