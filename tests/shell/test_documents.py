"""What nests too deep is cut out before anything reads it; everything else is read as it is."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterollm_operator.kube.documents import DEEPEST, decode, is_cut, read

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def levels(value: Any) -> int:
    """How deep a value nests."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


def nest(count: int, core: str = "1", wrap: str = '{"a":%s}') -> str:
    before, after = wrap.split("%s")
    return before * count + core + after * count


@settings(deadline=None)
@given(VALUES, st.booleans())
def test_what_is_not_deep_is_read_as_it_is(value: Any, ascii_only: bool) -> None:
    assert read(json.dumps(value, ensure_ascii=ascii_only).encode()) == (value, False)


@settings(deadline=None)
@given(VALUES, VALUES, st.sampled_from(['{"a":%s}', "[%s]", '[{"}[\\\\\\"":[%s]}]', '[[],"[{",%s]']))
def test_only_what_is_deep_is_cut(before: Any, after: Any, wrap: str) -> None:
    text = json.dumps([before]) + "," + nest(5000, json.dumps(before), wrap) + "," + json.dumps({"after": after})
    found, cut = read(f'{{"items":[{text}]}}'.encode())
    assert cut
    assert found["items"][0] == [before]
    assert found["items"][2] == {"after": after}
    assert levels(found) == DEEPEST + 1
    assert [is_cut(item) for item in found["items"]] == [False, True, False]


@pytest.mark.parametrize("wrap", ['{"a":%s}', "[%s]"])
def test_the_limit_is_exact(wrap: str) -> None:
    assert read(nest(DEEPEST, wrap=wrap).encode())[1] is False
    assert read(nest(DEEPEST + 1, wrap=wrap).encode())[1] is True


def test_text_that_is_not_utf_8_is_read() -> None:
    assert decode(b'{"a":"\xff\xfe"}') == {"a": "\ufffd\ufffd"}


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":', b"[" * 500, b"]" * 500, b'"' + b"[" * 500, b"nonsense"])
def test_what_is_not_json_is_an_error_of_its_own_kind(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode(text)


def test_the_time_is_linear() -> None:
    def seconds(count: int) -> float:
        text = ("[" + ",".join([nest(2000)] * count) + "]").encode()
        began = time.process_time()
        decode(text)
        return time.process_time() - began

    assert seconds(160) < 4 * 16 * seconds(10)
