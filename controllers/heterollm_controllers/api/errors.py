"""Why a valid spec is refused."""

from __future__ import annotations

from heterollm_controllers.api.vocabulary import Reason

__all__ = ["Impossible"]


class Impossible(Exception):
    """A valid spec that cannot work; the message holds the arithmetic and what to change."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
