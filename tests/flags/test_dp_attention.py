"""Attention data parallelism, in the old words and in the new."""

from __future__ import annotations

import pytest

from heterollm_controllers.sglang.flags.arguments import check


@pytest.mark.parametrize(
    ("args", "translated"),
    [
        (["--dp-size", "4", "--enable-dp-attention"], ["--attn-dp-size", "4"]),
        (["--enable-dp-attention", "--data-parallel-size=4"], ["--attn-dp-size=4"]),
        (["--dp", "4", "--pp-size", "2", "--enable-dp-attention"], ["--attn-dp-size", "4", "--pp-size", "2"]),
        (["--dp-size", "2", "--enable-dp-attention", "--dp-size", "4"], ["--attn-dp-size", "4"]),
        (["--dp-size", "$(N)", "--enable-dp-attention"], ["--attn-dp-size", "$(N)"]),
        (["--enable-dp-attention"], []),
        (["--attn-dp-size", "4", "--enable-dp-attention"], ["--attn-dp-size", "4"]),
        (
            ["--attn-dp-size", "4", "--enable-dp-attention", "--dp-size", "2"],
            ["--attn-dp-size", "4", "--dp-size", "2"],
        ),
    ],
)
def test_the_pair_becomes_one_flag(args: list[str], translated: list[str]) -> None:
    answer = check(args, "0.5.23")
    assert list(answer.args) == translated
    assert len(answer.warnings) == 1
    assert answer.warnings[0].startswith("--enable-dp-attention ")
    assert "deprecated" in answer.warnings[0]
    assert answer.errors == ()


def test_a_release_that_means_the_pair_keeps_it() -> None:
    args = ("--dp-size", "4", "--enable-dp-attention")
    answer = check(args, "0.5.19")
    assert (answer.args, answer.warnings, answer.errors) == (args, (), ())
    assert answer.attention_data_parallel == 4


@pytest.mark.parametrize("release", ["0.5.19", "0.5.23"])
def test_copies_of_the_model_are_no_attention_ranks(release: str) -> None:
    answer = check(["--dp-size", "4"], release)
    assert (answer.args, answer.warnings) == (("--dp-size", "4"), ())
    assert answer.attention_data_parallel is None


def test_a_wrong_size_names_what_the_user_wrote() -> None:
    assert check(["--dp-size", "x", "--enable-dp-attention"], "0.5.23").errors == (
        "--attn-dp-size (for --dp-size) takes a whole number, not 'x'",
    )


def test_a_switch_with_a_value_is_wrong() -> None:
    assert check(["--enable-dp-attention=1", "--dp-size", "4"], "0.5.23").errors == (
        "--enable-dp-attention is a switch and takes no value",
    )


def test_attention_ranks_are_read_from_the_new_flag() -> None:
    assert check(["--attn-dp-size", "8"], "0.5.23").attention_data_parallel == 8
    assert check(["--attn-dp-size", "$(N)"], "0.5.23").attention_data_parallel is None
