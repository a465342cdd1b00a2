"""Training flags of SLIME in engine.args: recognised, explained, and led to what serving has instead."""

from __future__ import annotations

import pytest

from heterollm_controllers.sglang.flags.arguments import check
from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE, catalogue, releases
from heterollm_controllers.sglang.flags.training import INSTEAD, SUBJECTS


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (
            ["--tensor-model-parallel-size", "4"],
            "--tensor-model-parallel-size is a training flag of SLIME, about how the trainer splits the model; serving"
            " has no such thing; use engine.gpus instead",
        ),
        (
            ["--colocate"],
            "--colocate is a training flag of SLIME, about where trainer and engines run; serving has no such thing",
        ),
        (
            ["--advantage-estimator", "grpo"],
            "--advantage-estimator is a training flag of SLIME, about the reinforcement-learning algorithm; serving has"
            " no such thing",
        ),
    ],
)
def test_explained(args: list[str], error: str) -> None:
    assert check(args, DEFAULT_RELEASE).errors == (error,)


@pytest.mark.parametrize(
    ("flag", "instead"),
    [
        ("--expert-model-parallel-size", "engine.expertParallel"),
        ("--pipeline-model-parallel-size", "--pp-size in engine.args"),
        ("--max-tokens-per-gpu", "--chunked-prefill-size or --max-total-tokens in engine.args"),
        ("--rollout-num-gpus-per-engine", "engine.gpus"),
        ("--rollout-batch-size", "--max-running-requests in engine.args"),
        ("--actor-num-gpus-per-node", "accelerator.perNode"),
        ("--hf-checkpoint", "model.id and model.source"),
    ],
)
def test_led_to_what_serving_has(flag: str, instead: str) -> None:
    assert check([flag, "4"], DEFAULT_RELEASE).errors[0].endswith(f"; use {instead} instead")


@pytest.mark.parametrize(
    "flag", ["--use-dynamic-batch-size", "--optimizer", "--lr", "--save", "--load", "--num-layers"]
)
def test_common_ones_are_known(flag: str) -> None:
    assert "is a training flag of SLIME" in check([flag], DEFAULT_RELEASE).errors[0]


def test_what_is_named_instead_is_for_training_flags() -> None:
    assert INSTEAD.keys() <= SUBJECTS.keys()


@pytest.mark.parametrize("release", releases())
def test_the_flags_named_instead_exist(release: str) -> None:
    named = {word for text in INSTEAD.values() for word in text.split() if word.startswith("--")}
    assert named
    assert named <= catalogue(release).spellings.keys()


@pytest.mark.parametrize("release", releases())
def test_a_serving_flag_is_never_taken_for_training(release: str) -> None:
    known = catalogue(release)
    for flag in SUBJECTS.keys() & known.spellings.keys():
        assert not any("training" in error for error in check([flag], release).errors)
