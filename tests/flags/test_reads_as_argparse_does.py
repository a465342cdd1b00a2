"""Whatever Python's argparse takes is taken, with the same values; what it refuses is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.sglang.flags.arguments import Value, check
from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE, Flag, catalogue, releases
from heterollm_controllers.sglang.flags.owned import OWNED
from heterollm_controllers.sglang.flags.training import SUBJECTS
from heterollm_controllers.sglang.flags.translations import TRANSLATIONS
from tests.core.properties import quick
from tests.flags.parser import READERS, Refused, parse

KNOWN = catalogue(DEFAULT_RELEASE)
OURS = {"--enable-dp-attention", *OWNED}
"""Flags that we answer otherwise on purpose."""
CURRENT = sorted(
    spelling for spelling, flag in KNOWN.spellings.items() if flag.name not in OURS and not flag.deprecated
)
VALUES = [
    "1",
    "-1",
    "0.5",
    "-.5",
    "auto",
    "disabled",
    "",
    "-",
    "x y",
    "-x y",
    "{}",
    "[1]",
    "32k",
    "4Ki",
    "fp8_e4m3",
    "lru",
]


def read(value: Value, flag: Flag) -> Any:
    """A value as argparse would hand it on."""
    if isinstance(value, bool):
        return value
    reader = READERS[flag.kind]
    return [reader(item) for item in value] if isinstance(value, tuple) else reader(value)


FITTING = {"int": ["1", "-1"], "human-int": ["32k"], "float": ["0.5", "-.5"], "str": ["auto", "-x y"], "json": ["{}"]}


def words() -> st.SearchStrategy[list[str]]:
    """Anything, whether it makes sense or not."""
    spelling = st.sampled_from(CURRENT)
    shortened = st.builds(lambda name, end: name[:end], spelling, st.integers(4, 40))
    joined = st.builds("{}={}".format, spelling | shortened, st.sampled_from(VALUES))
    return st.lists(spelling | shortened | joined | st.sampled_from(VALUES), max_size=6)


@st.composite
def flags_with_values(draw: st.DrawFn) -> list[str]:
    """Flags with as many values as they take, of their type."""
    args: list[str] = []
    for spelling in draw(st.lists(st.sampled_from(CURRENT), max_size=4, unique_by=lambda name: KNOWN.spellings[name])):
        flag = KNOWN.spellings[spelling]
        values = [] if flag.switch else draw(st.lists(st.sampled_from(flag.choices or FITTING[flag.kind]), max_size=3))
        values = values[:1] or ["1"] if flag.nargs is None else values
        args += [f"{spelling}={values[0]}"] if len(values) == 1 and draw(st.booleans()) else [spelling, *values]
    return args


@quick(examples=400)
@given(words() | flags_with_values())
def test_any_arguments(args: list[str]) -> None:
    if any(arg.partition("=")[0] in {*TRANSLATIONS, *SUBJECTS} and arg not in KNOWN.spellings for arg in args):
        return  # names with a history of their own; as abbreviations they would mean something else
    answer = check(args, DEFAULT_RELEASE)
    try:
        expected = parse(args, DEFAULT_RELEASE)
    except Refused:
        assert answer.errors or _is_stricter_than_needed(args)
        return
    if OURS & set(expected) or any(KNOWN.flags[name].deprecated for name in expected):
        return
    assert answer.errors == ()
    assert {name: read(value, KNOWN.flags[name]) for name, value in answer.values.items()} == expected


def _is_stricter_than_needed(args: list[str]) -> bool:
    """argparse calls a beginning ambiguous that two spellings of one flag share; it can only mean that flag."""
    names = [arg.partition("=")[0] for arg in args]
    return any(
        name not in KNOWN.spellings
        and len([spelling for spelling in KNOWN.spellings if spelling.startswith(name)]) > 1
        and KNOWN.in_full(name) is not None
        for name in names
    )


@pytest.mark.parametrize(
    ("args", "values"),
    [
        (["--tp-size", "2"], {"--tp-size": "2"}),
        (["--tp-size=2"], {"--tp-size": "2"}),
        (["--tensor-parallel-size", "2"], {"--tp-size": "2"}),
        (["--tp", "2"], {"--tp-size": "2"}),
        (["--tp=2"], {"--tp-size": "2"}),
        (["--ep", "2"], {"--ep-size": "2"}),
        (["--disable-radix-cache"], {"--disable-radix-cache": True}),
        (["--dllm-fdfo"], {"--dllm-fdfo": True}),
        (["--no-dllm-fdfo"], {"--dllm-fdfo": False}),
        (["--no-dllm"], {"--dllm-fdfo": False}),
        (["--chunked-prefill-size", "-1"], {"--chunked-prefill-size": "-1"}),
        (["--schedule-conservativeness", "-.5"], {"--schedule-conservativeness": "-.5"}),
        (["--cuda-graph-bs-decode", "1", "2", "4"], {"--cuda-graph-bs-decode": ("1", "2", "4")}),
        (["--cuda-graph-bs-decode=1"], {"--cuda-graph-bs-decode": ("1",)}),
        (["--lora-paths"], {"--lora-paths": ()}),
        (["--model-checksum"], {"--model-checksum": True}),
        (["--model-checksum", "sums.json"], {"--model-checksum": "sums.json"}),
        (["--api-key", ""], {"--api-key": ""}),
        (["--api-key", "-"], {"--api-key": "-"}),
        (["--chat-template", "-a b"], {"--chat-template": "-a b"}),
        (["--chat-template=--x"], {"--chat-template": "--x"}),
        (["--extra-metric-labels", '{"a": "b=c"}'], {"--extra-metric-labels": '{"a": "b=c"}'}),
    ],
)
def test_accepted(args: list[str], values: dict[str, Value]) -> None:
    answer = check(args, DEFAULT_RELEASE)
    assert (answer.errors, answer.warnings) == ((), ())
    assert dict(answer.values) == values
    assert {name: read(value, KNOWN.flags[name]) for name, value in values.items()} == parse(args, DEFAULT_RELEASE)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--tp-size"], "--tp-size needs a value"),
        (["--tp-size", "--disable-radix-cache"], "--tp-size needs a value"),
        (["--cuda-graph-bs-decode"], "--cuda-graph-bs-decode needs a value"),
        (["--disable-radix-cache=true"], "--disable-radix-cache is a switch and takes no value"),
        (["--disable-radix-cache="], "--disable-radix-cache is a switch and takes no value"),
        (["--disable-radix-cache", "true"], "'true' stands after --disable-radix-cache, which takes no value"),
        (["--tp-size", "2", "4"], "'4' stands after --tp-size, which has its value already"),
        (["--tp-size=2", "4"], "'4' stands after --tp-size, which has its value already"),
        (["8"], "'8' stands where a flag is expected"),
        (
            ["--tp-size 2"],
            "'--tp-size 2' holds a flag and its value in one item: write two items, or --tp-size=2",
        ),
        (["--cuda-graph-max", "2"], "SGLang 0.5.23 has no flag --cuda-graph-max"),
    ],
)
def test_refused(args: list[str], error: str) -> None:
    answer = check(args, DEFAULT_RELEASE)
    assert len(answer.errors) == 1
    assert answer.errors[0].startswith(error)
    with pytest.raises(Refused):
        parse(args, DEFAULT_RELEASE)


def test_all_that_is_wrong_is_said_at_once() -> None:
    answer = check(["x", "--tp-size", "a", "--mem-fraction-static", "b", "--nonsense-flag"], DEFAULT_RELEASE)
    assert len(answer.errors) == 4


def test_what_is_wrong_is_not_passed_on() -> None:
    answer = check(["--tp-size", "a", "--pp-size", "2"], DEFAULT_RELEASE)
    assert answer.args == ("--pp-size", "2")
    assert dict(answer.values) == {"--pp-size": "2"}


def test_spellings_and_order_stay_the_users() -> None:
    args = ["--pp-size=2", "--tensor-parallel-size", "4", "--disable-radix-cache", "--ep", "2"]
    assert list(check(args, DEFAULT_RELEASE).args) == args


def test_abbreviations_are_written_out() -> None:
    assert check(["--tp", "4", "--no-dllm"], DEFAULT_RELEASE).args == ("--tp-size", "4", "--no-dllm-fdfo")


@pytest.mark.parametrize("release", releases())
def test_every_flag_of_a_release_is_known_to_it(release: str) -> None:
    for spelling, flag in catalogue(release).spellings.items():
        errors = check([spelling], release).errors
        assert not any("has no flag" in error or "training" in error for error in errors), (spelling, errors)
        assert bool(errors) or flag.switch or flag.nargs in ("*", "?")
