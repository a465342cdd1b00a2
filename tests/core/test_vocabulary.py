"""Every word the operator says is declared in one place, and every declared word is said somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import heterollm_controllers
from heterollm_controllers.api.vocabulary import ConditionType, Reason

_CORE = Path(heterollm_controllers.__file__).parent


def _sources() -> str:
    return "\n".join(path.read_text() for path in _CORE.rglob("*.py") if path.name != "reasons.py")


def test_reasons_are_words_that_kubernetes_takes() -> None:
    for word in [*Reason, *ConditionType]:
        assert re.fullmatch(r"[A-Z][A-Za-z]{0,63}", word)


def test_constants_are_called_like_their_words() -> None:
    for word in [*Reason, *ConditionType]:
        assert word.name.replace("_", "").lower() == word.value.lower()


def test_every_reason_is_used() -> None:
    source = _sources()
    assert [word.name for word in Reason if f"Reason.{word.name}" not in source] == []
    assert [word.name for word in ConditionType if f"ConditionType.{word.name}" not in source] == []
