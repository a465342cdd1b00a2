"""Logs: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys

from heterollm_operator.runtime.logs import JsonFormatter


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, arguments, info)


def test_a_record_is_one_line_of_json() -> None:
    entry = record("two\nlines of %s", "text")
    entry.cluster = "ns/c"
    line = JsonFormatter().format(entry)
    assert "\n" not in line
    decoded = json.loads(line)
    assert decoded.pop("time").endswith("+00:00")
    assert decoded == {"level": "warning", "logger": "a.logger", "message": "two\nlines of text", "cluster": "ns/c"}


def test_an_exception_keeps_its_traceback() -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        line = JsonFormatter().format(record("oops", error=sys.exc_info()[1]))
    assert "ValueError: bad" in json.loads(line)["exception"]
