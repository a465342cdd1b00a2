"""A flag that the release does not have: what the user may have meant."""

from __future__ import annotations

import pytest

from heterollm_controllers.sglang.flags.arguments import check
from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--tensor-paralel-size", "2"], "no flag --tensor-paralel-size; did you mean --tensor-parallel-size or "),
        (["--tp_size", "2"], "no flag --tp_size; did you mean --tp-size or "),
        (["--mem-fraction-statik=0.7"], "no flag --mem-fraction-statik; did you mean --mem-fraction-static?"),
        (["-tp", "2"], "no flag -tp"),
        (["--zzqqzz"], "no flag --zzqqzz"),
        (["--", "x"], "no flag --"),
    ],
)
def test_the_nearest_names_are_offered(args: list[str], error: str) -> None:
    errors = check(args, DEFAULT_RELEASE).errors
    assert len(errors) == 1
    assert errors[0].startswith(f"SGLang {DEFAULT_RELEASE} has {error}")
    assert errors[0].count(" or ") <= 2


def test_nothing_is_offered_where_nothing_is_near() -> None:
    assert check(["--zzqqzz"], DEFAULT_RELEASE).errors == (f"SGLang {DEFAULT_RELEASE} has no flag --zzqqzz",)


def test_a_flag_of_another_release_is_recognised() -> None:
    assert check(["--attn-dp-size", "4"], "0.5.19").errors == (
        "SGLang 0.5.19 has no flag --attn-dp-size; SGLang 0.5.23 has it",
    )


def test_values_of_an_unknown_flag_are_not_called_wrong_too() -> None:
    assert len(check(["--zzqqzz", "1", "2", "3"], DEFAULT_RELEASE).errors) == 1
