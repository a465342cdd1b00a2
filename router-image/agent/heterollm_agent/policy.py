"""Parses a published policy, and checks it before any of it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MalformedPolicy", "Policy", "PolicyRefused", "parse", "seed_from_mount"]

_REQUIRED = ("cds.json", "rds.json")
_LISTENER = {False: "lds.json", True: "lds-tls.json"}
"""File of the listener, by whether it speaks TLS. Envoy reads either as lds.json."""
_ENDPOINTS = re.compile(r"eds-[a-z][a-z0-9]*\.json")


class MalformedPolicy(ValueError):
    """The ConfigMap holds no policy."""


class PolicyRefused(RuntimeError):
    """Envoy rejected a part of the policy, or did not accept it in time."""


@dataclass(frozen=True)
class Policy:
    """One version of the routing policy."""

    version: int
    uid: str | None
    """Of the ConfigMap; None in the mounted copy, which lacks it."""
    files: Mapping[str, str]
    """Envoy's resource files, name -> JSON text."""


def parse(data: Mapping[str, str], uid: str | None, *, tls: bool = False) -> Policy:
    """Parse a ConfigMap's `data`, with the listener that fits this pod; raises MalformedPolicy.

    The pod chooses the listener, not the policy, which reaches every pod at once, also those without the certificate.
    """
    try:
        version = int(data["version"])
    except (KeyError, ValueError) as error:
        raise MalformedPolicy(f"no whole number under 'version': {error}") from error
    missing = {*_REQUIRED, _LISTENER[tls]} - data.keys()
    if missing:
        raise MalformedPolicy(f"missing: {', '.join(sorted(missing))}")
    files = {name: text for name, text in data.items() if name in _REQUIRED or _ENDPOINTS.fullmatch(name)}
    files["lds.json"] = data[_LISTENER[tls]]
    for name, text in files.items():
        _check(name, text)
    return Policy(version, uid, files)


def seed_from_mount(directory: Path, *, tls: bool = False) -> Policy | None:
    """Read the policy from the mounted ConfigMap; None when there is none yet. Raises MalformedPolicy."""
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
        raise MalformedPolicy(f"{name} is not a list of resources") from error
    if not isinstance(resources, list):
        raise MalformedPolicy(f"{name} is not a list of resources")
