"""Renamed and removed flags: every row of the table against the catalogues, and what the user gets."""

from __future__ import annotations

import pytest

from heterollm_controllers.sglang.flags.arguments import check
from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE, catalogue, order, releases
from heterollm_controllers.sglang.flags.owned import OWNED
from heterollm_controllers.sglang.flags.translations import (
    TENSOR_PARALLEL,
    TRANSLATIONS,
    VALUE,
    Translation,
)

ROWS = [
    pytest.param(row, release, id=f"{row.old}-{release}") for row in TRANSLATIONS.values() for release in releases()
]


def applies(row: Translation, release: str) -> bool:
    flag = catalogue(release).spellings.get(row.old)
    return flag is None or flag.deprecated


def fitting(row: Translation, release: str) -> list[str]:
    """Values that the old flag could have been given."""
    if row.takes == 0:
        return []
    words = row.replacement(catalogue(release))
    if VALUE not in words:
        return ["amd"]
    target = catalogue(release).spellings[words[words.index(VALUE) - 1]]
    if row.values:
        return [next(old for old, new in row.values.items() if new in (target.choices or ()))]
    return ["1" if target.choices is None else target.choices[0]]


@pytest.mark.parametrize(("row", "release"), ROWS)
def test_the_release_by_which_a_flag_went_is_right(row: Translation, release: str) -> None:
    gone = row.by is not None and order(release) >= order(row.by)
    assert (row.old not in catalogue(release).spellings) == gone or _came_later(row, release)


def _came_later(row: Translation, release: str) -> bool:
    """Deprecated from its first day, or made after that release."""
    return row.by is None and any(row.old in catalogue(later).spellings for later in releases() if later != release)


@pytest.mark.parametrize(("row", "release"), ROWS)
def test_what_a_flag_became_exists(row: Translation, release: str) -> None:
    if not applies(row, release) or not row.becomes or "" in row.becomes:
        return
    words = row.replacement(catalogue(release))
    assert words or _came_later(row, release), "nothing that the row names exists in this release"
    for word in words:
        assert not word.startswith("--") or word in catalogue(release).spellings


@pytest.mark.parametrize(("row", "release"), ROWS)
def test_a_translated_flag_is_accepted_with_a_warning(row: Translation, release: str) -> None:
    if not applies(row, release):
        assert not any("gone" in w or "deprecated" in w for w in check([row.old, "1"], release).warnings)
        return
    answer = check([row.old, *fitting(row, release)], release)
    if row.refused:
        assert len(answer.errors) == 1
        assert answer.errors[0].startswith(f"{row.old} is gone from SGLang {release}: ")
        return
    assert len(answer.warnings) == 1
    assert answer.warnings[0].startswith(f"{row.old} is ")
    owned = OWNED.keys() & row.replacement(catalogue(release))
    assert bool(answer.errors) == bool(owned)
    again = check(answer.args, release)
    assert (again.args, again.warnings, again.errors) == (answer.args, (), ())


@pytest.mark.parametrize("release", releases())
def test_every_deprecated_flag_has_a_row(release: str) -> None:
    deprecated = {name for name, flag in catalogue(release).flags.items() if flag.deprecated}
    assert deprecated - {"--enable-dp-attention"} <= TRANSLATIONS.keys()


def test_every_flag_that_went_between_two_releases_has_a_row() -> None:
    for older, newer in zip(releases(), releases()[1:], strict=False):
        gone = catalogue(older).spellings.keys() - catalogue(newer).spellings.keys()
        assert gone <= TRANSLATIONS.keys()


@pytest.mark.parametrize(
    ("args", "translated", "warning"),
    [
        (
            ["--cuda-graph-max-bs", "64"],
            ["--cuda-graph-max-bs-decode", "64"],
            "--cuda-graph-max-bs is gone from SGLang 0.5.23: --cuda-graph-max-bs-decode 64 is used instead (there is"
            " one limit for decode and one for prefill now, and it meant decode)",
        ),
        (
            ["--cuda-graph-max-bs=64"],
            ["--cuda-graph-max-bs-decode=64"],
            "--cuda-graph-max-bs is gone from SGLang 0.5.23: --cuda-graph-max-bs-decode=64 is used instead (there is"
            " one limit for decode and one for prefill now, and it meant decode)",
        ),
        (
            ["--cuda-graph-bs", "1", "-2", "4"],
            ["--cuda-graph-bs-decode", "1", "-2", "4"],
            "--cuda-graph-bs is gone from SGLang 0.5.23: --cuda-graph-bs-decode 1 -2 4 is used instead"
            " (it meant decode)",
        ),
        (
            ["--enable-deepep-moe"],
            ["--moe-a2a-backend", "deepep"],
            "--enable-deepep-moe is gone from SGLang 0.5.23: --moe-a2a-backend deepep is used instead",
        ),
        (
            ["--disable-cuda-graph"],
            ["--cuda-graph-backend-decode", "disabled", "--cuda-graph-backend-prefill", "disabled"],
            "--disable-cuda-graph is deprecated in SGLang 0.5.23: --cuda-graph-backend-decode disabled"
            " --cuda-graph-backend-prefill disabled is used instead",
        ),
        (
            ["--nsa-prefill-cp-mode", "round-robin-split"],
            ["--cp-strategy", "interleave"],
            "--nsa-prefill-cp-mode is gone from SGLang 0.5.23: --cp-strategy interleave is used instead",
        ),
        (
            ["--enable-overlap-schedule"],
            [],
            "--enable-overlap-schedule is gone from SGLang 0.5.23: it is left out (it is the default)",
        ),
        (
            ["--sglang-mem-fraction-static", "0.7"],
            ["--mem-fraction-static", "0.7"],
            "--sglang-mem-fraction-static is SLIME's spelling: --mem-fraction-static is used instead",
        ),
    ],
)
def test_what_the_user_gets(args: list[str], translated: list[str], warning: str) -> None:
    answer = check(["--tp-size", "2", *args, "--pp-size", "2"], "0.5.23")
    assert answer.args == ("--tp-size", "2", *translated, "--pp-size", "2")
    assert answer.warnings == (warning,)
    assert answer.errors == ()


@pytest.mark.parametrize(
    ("release", "translated"),
    [("0.5.19", ["--cuda-graph-tc-compiler", "eager"]), ("0.5.23", [])],
)
def test_the_releases_own_words_are_used(release: str, translated: list[str]) -> None:
    assert list(check(["--piecewise-cuda-graph-compiler", "eager"], release).args) == translated


@pytest.mark.parametrize(("release", "backend"), [("0.5.19", "tc_piecewise"), ("0.5.23", "breakable")])
def test_a_value_that_the_release_has_is_used(release: str, backend: str) -> None:
    assert check(["--enforce-piecewise-cuda-graph"], release).args == ("--cuda-graph-backend-prefill", backend)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--cuda-graph-max-bs"], "--cuda-graph-max-bs needs a value"),
        (["--cuda-graph-bs"], "--cuda-graph-bs needs a value"),
        (["--enable-deepep-moe=1"], "--enable-deepep-moe is a switch and takes no value"),
        (
            ["--cuda-graph-max-bs", "x"],
            "--cuda-graph-max-bs-decode (for --cuda-graph-max-bs) takes a whole number, not 'x'",
        ),
        (["--enable-deepep-moe", "1"], "'1' stands after --enable-deepep-moe, which takes no value"),
    ],
)
def test_an_old_flag_is_checked_too(args: list[str], error: str) -> None:
    assert check(args, DEFAULT_RELEASE).errors == (error,)


class TestExpertParallelAsWideAsTensorParallel:
    """--enable-ep-moe needs to know the engine's tensor-parallel size."""

    def test_it_stays_open_until_it_is_known(self) -> None:
        answer = check(["--enable-ep-moe"], DEFAULT_RELEASE)
        assert answer.args == ("--ep-size", TENSOR_PARALLEL)
        assert answer.values["--ep-size"] == TENSOR_PARALLEL
        assert answer.integer("--ep-size") is None
        assert "--ep-size <tensor-parallel size> is used instead" in answer.warnings[0]
        assert check(answer.args, DEFAULT_RELEASE).args == answer.args

    @pytest.mark.parametrize("args", [["--enable-ep-moe"], ["--ep-size", TENSOR_PARALLEL]])
    def test_the_caller_may_know_it(self, args: list[str]) -> None:
        assert check(args, DEFAULT_RELEASE, tp=8).args == ("--ep-size", "8")

    def test_the_user_may_have_said_it(self) -> None:
        assert check(["--enable-ep-moe", "--tp", "4"], DEFAULT_RELEASE).args == ("--ep-size", "4", "--tp-size", "4")

    def test_the_caller_knows_better(self) -> None:
        assert check(["--enable-ep-moe", "--tp", "4"], DEFAULT_RELEASE, tp=8).integer("--ep-size") == 8

    def test_a_size_of_its_own_counts(self) -> None:
        assert check(["--ep-size", "2", "--enable-ep-moe"], DEFAULT_RELEASE, tp=8).args == ("--ep-size", "2")
