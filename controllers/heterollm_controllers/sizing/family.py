"""Whether the models of a cluster's tiers can stand in for each other (requirement R5).

A request that fails on one tier is sent to another: with another tokenizer its token counts and limits change, with
another chat template the same messages become another prompt, and models of another family answer in another manner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from heterollm_controllers.sizing.architecture import Architecture

__all__ = ["family_mismatch"]


def family_mismatch(tiers: Mapping[str, Architecture | None]) -> tuple[str, ...]:
    """What the tiers' models do not have in common, each as one sentence.

    Args:
        tiers: the architecture of each tier's model by tier name, in the order of the spec; None when unknown.

    Returns:
        At most one sentence for each of tokenizer, chat template and family. What is unknown is never a mismatch.
    """
    known = [(tier, model) for tier, model in tiers.items() if model is not None]
    found = (
        _differing("tokenizer", ((tier, model.model, model.tokenizer) for tier, model in known), _TOKENIZER),
        _differing("chat template", ((tier, model.model, model.chat_template) for tier, model in known), _TEMPLATE),
        _differing("family", ((tier, model.model, model.family) for tier, model in known), _FAMILY),
    )
    return tuple(sentence for sentence in found if sentence)


_TOKENIZER = (
    "the same text has different token counts on them, so limits, prices and prompt caches do not carry over;"
    " choose models with one tokenizer"
)
_TEMPLATE = (
    "the same messages become different prompts on them; choose models with one template, or give all engines the"
    " same one with --chat-template"
)
_FAMILY = "an answer may change in manner when a request moves between them; choose models of one family"


def _differing(what: str, tiers: Iterable[tuple[str, str, str]], advice: str) -> str:
    """One sentence when the values differ; the first tier of each value stands for the others that share it."""
    first: dict[str, str] = {}
    for tier, model, value in tiers:
        if value:
            first.setdefault(value, f"{value} in tier {tier} ({model})")
    if len(first) < 2:
        return ""
    return f"the tiers' models differ in {what}: {', '.join(first.values())}; {advice}"
