"""Labels that say of which cluster a router is, on every figure that it serves."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["labelled"]

_NAME = re.compile(rb"^(\w+)(\{\}| |\{)", re.MULTILINE)
"""A sample's name, with the beginning of its labels or of its value. Comments begin with a sign."""


def labelled(samples: bytes, labels: Mapping[str, str]) -> bytes:
    """Figures in Prometheus's text form, with these labels before their own.

    The values are names of Kubernetes objects, in which nothing needs escaping.
    """
    ours = ",".join(f'{name}="{value}"' for name, value in labels.items()).encode()
    ends = {b"{": b"{%s," % ours, b"{}": b"{%s}" % ours, b" ": b"{%s} " % ours}
    return _NAME.sub(lambda found: found[1] + ends[found[2]], samples)
