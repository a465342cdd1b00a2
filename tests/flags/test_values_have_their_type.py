"""Types and choices of values, and the references that the kubelet puts something else for."""

from __future__ import annotations

import pytest

from heterollm_controllers.sglang.flags.arguments import check
from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE
from heterollm_controllers.sglang.flags.typed import human_int


@pytest.mark.parametrize(
    ("flag", "value", "error"),
    [
        ("--tp-size", "two", "--tp-size takes a whole number, not 'two'"),
        ("--tp-size", "2.0", "--tp-size takes a whole number, not '2.0'"),
        ("--tp-size", "4Ki", "--tp-size takes a whole number, not '4Ki'"),
        ("--tp-size", "", "--tp-size takes a whole number, not ''"),
        ("--context-length", "32kb", "--context-length takes a whole number such as 32768, 32k or 32Ki, not '32kb'"),
        ("--context-length", "1.5Ki", "--context-length takes a whole number such as 32768, 32k or 32Ki, not '1.5Ki'"),
        ("--mem-fraction-static", "70%", "--mem-fraction-static takes a number, not '70%'"),
        ("--extra-metric-labels", "{a: 1}", "--extra-metric-labels takes JSON, not '{a: 1}'"),
        ("--cuda-graph-config", "[1]", "--cuda-graph-config takes a JSON object, not '[1]'"),
        ("--log-requests-level", "9", "--log-requests-level does not know '9': choose one of 0, 1, 2, 3"),
        ("--attention-backend", "flashatten", "--attention-backend does not know 'flashatten': did you mean "),
        ("--attention-backend", "zzz", "--attention-backend does not know 'zzz': choose one of aiter, "),
    ],
)
def test_refused(flag: str, value: str, error: str) -> None:
    errors = check([flag, value], DEFAULT_RELEASE).errors
    assert len(errors) == 1
    assert errors[0].startswith(error)


def test_every_value_of_a_list_is_checked() -> None:
    errors = check(["--cuda-graph-bs-decode", "1", "two", "4", "x"], DEFAULT_RELEASE).errors
    assert errors == (
        "--cuda-graph-bs-decode takes a whole number, not 'two'",
        "--cuda-graph-bs-decode takes a whole number, not 'x'",
    )


def test_json_nested_beyond_reason_is_refused_and_breaks_nothing() -> None:
    assert len(check(["--extra-metric-labels", "[" * 100_000], DEFAULT_RELEASE).errors) == 1


@pytest.mark.parametrize("value", ["$(TP)", "1$(ZERO)", "$(A)$(B)"])
def test_references_are_kept_and_not_looked_into(value: str) -> None:
    answer = check(["--tp-size", value, f"--schedule-policy={value}"], DEFAULT_RELEASE)
    assert (answer.errors, answer.warnings) == ((), ())
    assert answer.args == ("--tp-size", value, f"--schedule-policy={value}")
    assert answer.values["--tp-size"] == value
    assert answer.text("--tp-size") is None
    assert answer.integer("--tp-size") is None


@pytest.mark.parametrize("value", ["$TP", "$()", "${TP}", "(TP)", "$(TP"])
def test_what_the_kubelet_leaves_alone_is_checked(value: str) -> None:
    assert check(["--tp-size", value], DEFAULT_RELEASE).errors


@pytest.mark.parametrize(
    ("text", "number"),
    [("32768", 32_768), ("32k", 32_000), ("25.6k", 25_600), ("1M", 10**6), ("2Ki", 2048), ("1Gi", 2**30), (" 7 ", 7)],
)
def test_whole_numbers_with_a_suffix(text: str, number: int) -> None:
    assert human_int(text) == number
    assert check(["--context-length", text], DEFAULT_RELEASE).integer("--context-length") == number


def test_typed_reading() -> None:
    answer = check(["--mem-fraction-static", "0.7", "--device", "cuda", "--disable-radix-cache"], DEFAULT_RELEASE)
    assert answer.number("--mem-fraction-static") == 0.7
    assert answer.text("--device") == "cuda"
    assert answer.text("--disable-radix-cache") is None
    assert answer.number("--schedule-conservativeness") is None
    assert answer.integer("--tp-size") is None
