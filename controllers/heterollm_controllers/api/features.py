"""The features of a request's complexity: what is measured, its weight, and the signs that are searched."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEATURES", "Feature"]


@dataclass(frozen=True)
class Feature:
    """One thing measured of a request."""

    name: str
    weight: float
    """Share of the score, unless the policy says otherwise."""
    full: int
    """How much of it counts as 1; less counts in proportion, more does not count."""
    meaning: str
    signs: tuple[str, ...] = ()
    """Texts to search in the newest question, spelled as in JSON: a line break is a backslash and an n."""
    each: bool = False
    """Whether every time that a sign is there counts, instead of every sign that is there."""
    folded: bool = False
    """Whether the ASCII letters of the question are put in lower case before."""


_CODE = (
    "```", "();", "):", ") {", "=>", "->", "==", "!=", "&&", "||", "</", "#include", "SELECT ", "function ",
    "\\nimport ", "\\n    ",
)  # fmt: skip

_MATHS = (
    "$$", "\\\\frac", "\\\\sum", "\\\\int", "\\\\sqrt", "^2", "^n", "^{", "∑", "∫", "√", "∞", "≤", "≥", "≠", "≈", "∈",
    "∀", "∃", "→", "π", "²", "³", "×", "÷",
)  # fmt: skip

_REASONING = (
    "prove", "proof", "step by step", "derive", "explain why", "trade-off", "design a", "architect", "analy",
    "optimi", "debug", "refactor", "compare", "strategy",
    "证明", "推导", "分析", "设计", "为什么", "步骤", "优化", "比较", "规划",
    "démontr", "beweis", "demuestr", "докаж", "証明",
)  # fmt: skip

_ITEMS = tuple(f"\\n{mark}" for mark in ("- ", "* ", "• ", *"123456789"))

FEATURES = (
    Feature("length", 0.45, 8000, "bytes of text in all messages"),
    Feature("turns", 0.10, 20, "messages"),
    Feature("code", 0.40, 2, "signs of code in the newest question", _CODE),
    Feature("maths", 0.45, 2, "signs of mathematics in the newest question", _MATHS),
    Feature("reasoning", 0.55, 2, "words of planning and proof in the newest question", _REASONING, folded=True),
    Feature("items", 0.15, 5, "list items in the newest question", _ITEMS, each=True),
    Feature("lines", 0.15, 20, "line breaks in the newest question", ("\\n",), each=True),
    Feature("questions", 0.10, 4, "question marks in the newest question", ("?", "？", "؟"), each=True),
    Feature("tools", 0.10, 10, "tools offered"),
    Feature("structure", 0.05, 2, "form asked of the answer: any JSON is 1, a schema or a grammar 2"),
    Feature("effort", 0.75, 2, "reasoning effort asked for: medium is 1, high and more 2"),
    Feature("budget", 0.15, 8192, "tokens that the answer may have, if the request says it"),
    Feature("media", 0.0, 1, "images, recordings, films and files"),
)
