"""What the API server's audit log says of writes: exact times and counts, without a poll that would cost both sides."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e.cluster.controlplane import ControlPlane

__all__ = ["AuditLog", "start"]

_LOG = "audit.log"
_NO_CHILDREN = ("events", "leases", "heterollmclusters/status")

_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}],
}


class AuditLog:
    """The successful writes of one client so far. Every line of the log is read once.

    Attributes:
        by_resource: how many, by resource and subresource; dry runs apart.
        refused: requests that did not succeed.
        last_made: when the last of the objects was written for the first time, in POSIX seconds.
    """

    def __init__(self, folder: Path, agent: str) -> None:
        """`folder` is that of `start`; the client's user agent begins with `agent`."""
        self._log = (folder / _LOG).open()
        self._agent = agent
        self._part = ""
        self.by_resource: Counter[str] = Counter()
        self.refused = 0
        self.last_made = 0.0
        self._made: set[tuple[str, str]] = set()

    @property
    def made(self) -> int:
        """Objects written. (Not answers of "created": the one that counts may have come too late for the client.)"""
        return len(self._made)

    def read(self) -> None:
        """Take note of what was written since."""
        *lines, self._part = (self._part + self._log.read()).split("\n")
        for line in lines:
            entry = json.loads(line)
            if entry.get("userAgent", "").startswith(self._agent):
                self._note(entry)

    def _note(self, entry: dict[str, Any]) -> None:
        code, what = entry["responseStatus"]["code"], entry["objectRef"]
        if code >= 400:
            self.refused += 1
            return
        dry = "dryRun" in entry["requestURI"]
        resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
        self.by_resource[f"{resource} (dry run)" if dry else resource] += 1
        if resource not in _NO_CHILDREN and not dry and (resource, what["name"]) not in self._made:
            self._made.add((resource, what["name"]))
            self.last_made = max(self.last_made, datetime.fromisoformat(entry["stageTimestamp"]).timestamp())


def start(folder: Path) -> ControlPlane:
    """A new control plane with an audit log in its folder."""
    folder.mkdir(parents=True)
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(_POLICY))
    log = folder / _LOG
    return ControlPlane.start(
        folder, apiserver_args=[f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-maxsize=1000"]
    )
