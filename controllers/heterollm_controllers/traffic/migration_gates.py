"""Whether requests have shown that a share of them fails below a limit, or above it.

A test that is looked at again and again until it passes does pass at last, whatever is true. So the gates keep
e-values: how many to one a bet against the hypothesis "exactly at the limit" has won. Such a bet has an expected win of
nothing, so that the chance that it *ever* stands at 20 to 1 is 1 in 20 at most, however often one looks (Ville 1939;
Ramdas, Gruenwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference", 2023).

An e-value follows from totals alone: nothing is lost when they are written down and read again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["ENOUGH", "Counted", "Verdict", "judge", "requests_needed"]

ENOUGH = 20.0
"""To one: evidence that is acted upon."""
WORSE = 3.0
"""To one: evidence that one side is worse than the other, for it to be blamed. Lower, as it only comes on top of the
evidence that the limit is exceeded; and with few requests on the other side it takes long."""
_BETTER_ODDS = 0.02, 0.1, 0.25, 0.5, 0.7
_WORSE_ODDS = 1.5, 2.0, 4.0, 10.0, 30.0
"""The odds of failure that are bet on, as multiples of those at the limit: one of them is near enough to the truth."""
_BLAMED_ODDS = 3.0, 10.0, 30.0
"""The same, as multiples of the other side's."""
_MOST = 1e9
"""Evidence, and requests needed, beyond which nobody counts."""


class Counted(NamedTuple):
    """Requests of one side, and those of them that are bad (fail, or are slow).

    Attributes:
        bursts: how many bad ones come at a time (see `side_totals.bursts`).
    """

    requests: float
    bad: float
    bursts: float = 1.0

    def thinned(self, bursts: float) -> Counted:
        """As many as tell as much if each comes by itself."""
        return Counted(self.requests / bursts, self.bad / bursts)


@dataclass(frozen=True)
class Verdict:
    """What the requests of a step have shown.

    Attributes:
        evidence: to one, that the small side keeps the limit.
        against: to one, that it exceeds it.
        blamed: whether it is worse than the control side, as far as there is one.
    """

    evidence: float
    against: float
    blamed: bool

    @property
    def passes(self) -> bool:
        """Whether it has been shown that the limit is kept."""
        return self.evidence >= ENOUGH

    @property
    def fails(self) -> bool:
        """Whether it has been shown that the limit is exceeded, by whichever side's fault."""
        return self.against >= ENOUGH


def judge(limit: float, small: Counted, control: Counted) -> Verdict:
    """What two sides of the same traffic have shown. `limit`: share of requests that may be bad, between 0 and 1."""
    # Bursts of its own make the small side no better: they only count where they would make it look good.
    pro, contra = small.thinned(max(small.bursts, control.bursts)), small.thinned(control.bursts)
    return Verdict(
        evidence=_bet(pro, limit, _BETTER_ODDS),
        against=_bet(contra, limit, _WORSE_ODDS),
        blamed=_is_worse(contra, control.thinned(control.bursts)),
    )


def requests_needed(limit: float, small: Counted, control: Counted) -> float | None:
    """Further requests until the evidence is enough, if they go on as before; None if it does not grow."""
    share = small.bad / small.requests if small.requests else 0.0
    bursts = max(small.bursts, control.bursts)

    def suffices(further: float) -> bool:
        later = Counted(small.requests + further, small.bad + share * further)
        return _bet(later.thinned(bursts), limit, _BETTER_ODDS) >= ENOUGH

    if suffices(0.0):
        return 0.0
    if not suffices(_MOST):
        return None
    low, high = 0.0, _MOST
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _is_worse(small: Counted, control: Counted) -> bool:
    """Whether failures fall on the small side more often than its share of the requests explains.

    Given how many requests each side has, a failure of equal sides is one of the small side with this probability,
    whatever their common rate is.
    """
    if not control.requests or not small.requests:
        return True
    share = small.requests / (small.requests + control.requests)
    return _bet(Counted(small.bad + control.bad, small.bad), share, _BLAMED_ODDS) >= WORSE


def _bet(counted: Counted, share: float, odds: Sequence[float]) -> float:
    """The e-value against `share`: the mean likelihood ratio of shares whose odds are these multiples of its own."""
    logs = []
    for multiple in odds:
        # A share p of m times the odds: p' = m p / (1 + (m - 1) p), and 1 - p' = (1 - p) / (1 + (m - 1) p).
        rest = math.log1p((multiple - 1) * share)
        logs.append(math.log(multiple) * counted.bad - rest * counted.requests)
    most = max(logs)
    mean = most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))
    return math.exp(min(mean, math.log(_MOST)))
