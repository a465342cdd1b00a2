"""A published policy: what the ConfigMap says, checked before any of it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Malformed", "Policy", "parse", "seed_from_mount"]

_NEEDED = ("cds.json", "rds.json")
_LISTENER = {False: "lds.json", True: "lds-tls.json"}
"""File of the listener, by whether it speaks TLS. Envoy reads either as lds.json."""
_ENDPOINTS = re.compile(r"eds-[a-z][a-z0-9]*\.json")


class Malformed(ValueError):
    """The ConfigMap is not a policy."""


@dataclass(frozen=True)
class Policy:
    """One version of the routing policy."""

    version: int
    uid: str | None
    """Of the ConfigMap; None when read from the seed, which does not carry it."""
    files: Mapping[str, str]
    """Envoy's resource files, name -> JSON text."""


def parse(data: Mapping[str, str], uid: str | None, *, tls: bool = False) -> Policy:
    """The policy in a ConfigMap's `data`, with the listener that fits this pod.

    The pod decides that and not the policy, which reaches every pod at once, also those without the certificate.
    """
    try:
        version = int(data["version"])
    except (KeyError, ValueError) as error:
        raise Malformed(f"no whole number under 'version': {error}") from error
    missing = {*_NEEDED, _LISTENER[tls]} - data.keys()
    if missing:
        raise Malformed(f"missing: {', '.join(sorted(missing))}")
    files = {name: text for name, text in data.items() if name in _NEEDED or _ENDPOINTS.fullmatch(name)}
    files["lds.json"] = data[_LISTENER[tls]]
    for name, text in files.items():
        _check(name, text)
    return Policy(version, uid, files)


def seed_from_mount(directory: Path, *, tls: bool = False) -> Policy | None:
    """Read the policy from the mounted ConfigMap; None when there is none yet. Raises Malformed."""
    try:
        names = [path for path in directory.iterdir() if path.is_file()]
        data = {path.name: path.read_text(encoding="utf-8") for path in names}
    except OSError:
        return None
    return parse(data, None, tls=tls) if data else None


def _check(name: str, text: str) -> None:
    try:
        resources = json.loads(text)["resources"]
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{name} is not a list of resources") from error
    if not isinstance(resources, list):
        raise Malformed(f"{name} is not a list of resources")
