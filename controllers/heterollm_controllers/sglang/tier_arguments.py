"""A tier's SGLang flags, checked against the release that it runs."""

from __future__ import annotations

from functools import lru_cache

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sglang.flags.arguments import Arguments, check
from heterollm_controllers.sglang.flags.catalogue import Catalogue, UnknownRelease, catalogue

__all__ = ["arguments_of", "release_of"]


def release_of(tier: Tier, release: str) -> Catalogue:
    """The flags of the tier's SGLang release; `release` is the installation's.

    Raises:
        Impossible: there is no catalogue of it.
    """
    try:
        return catalogue(tier.engine.sglang_version or release)
    except UnknownRelease as error:
        raise Impossible(Reason.INVALID_FLAGS, f"engine.sglangVersion: {error}") from None


def arguments_of(tier: Tier, release: str, tensor_parallel: int | None = None) -> Arguments:
    """The tier's SGLang flags, checked against its release and written as that release spells them.

    Args:
        tensor_parallel: the engine's, once it is known: some old flags stand for it.

    Raises:
        Impossible: a flag that the release does not know, or a value that it does not take.
    """
    checked = _checked(tier.engine.args, release_of(tier, release).release, tensor_parallel)
    if checked.errors:
        raise Impossible(Reason.INVALID_FLAGS, f"engine.args: {'; '.join(checked.errors)}")
    return checked


_checked = lru_cache(maxsize=4096)(check)
"""An unchanged tier costs nothing."""
