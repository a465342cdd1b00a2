"""What an API server's answer to a dry run says about the manifest, or about something else."""

from __future__ import annotations

import re

from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.reconcile.contract import Refusal
from heterollm_operator.kube.client import ApiError

__all__ = ["refusal_of"]

_DENIED = re.compile(r"denied (the )?request")
"""By a webhook or a ValidatingAdmissionPolicy, with whatever status they choose."""

_SCHEMA = ("failed to create typed", "failed to convert", "error decoding", "json: cannot unmarshal")
"""How server-side apply begins where a manifest does not fit its type; it answers 500 then."""

_UNABLE = frozenset({0, 401, 404, 408, 409, 425, 429})
_WRONG = frozenset({400, 413, 422})


def refusal_of(error: ApiError) -> Refusal:
    """What to make of a dry run that did not succeed. What cannot be told for sure counts as not checked."""
    first, *more = str(error).splitlines() or [""]
    # Several errors of one manifest come in any order; a text that differs each time would change the status each time.
    message = " ".join([first, *sorted(line.strip() for line in more)])
    return Refusal(_reason(error.status, message), message)


def _reason(status: int, message: str) -> Reason:
    if _DENIED.search(message):
        return Reason.FORBIDDEN
    if status in _WRONG or (status == 500 and message.startswith(_SCHEMA)):
        return Reason.POD_TEMPLATE_INVALID
    return Reason.NOT_CHECKED if status in _UNABLE or status >= 500 else Reason.FORBIDDEN
