"""The yardstick of the reconcile bench: server-side-apply objects from a file, with the operator's own client.

Usage: python -m e2e.bench.plain_loop KUBECONFIG FILE SIDE_BY_SIDE

FILE holds one object per line as JSON. Prints "ready" when connected, waits for a line on its input, applies
everything, prints "done" and waits for the end of its input, so that it can be measured in between. There is no
status, no reading, no watching, no repetition: nothing that a controller could do without is missing from it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heterollm_operator.kube.client import Api
from heterollm_operator.kube.kinds import find

LIMIT = 60.0


class PlainApi(Api):
    """Told apart from the operator in the audit log."""

    agent = "plain-loop"


async def apply_all(api: Api, manifests: Iterator[dict[str, Any]]) -> None:
    """One after the other, as the iterator gives them; several of these may share one iterator."""
    for manifest in manifests:
        kind = find(manifest["apiVersion"], manifest["kind"])
        path = kind.path(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        query = {"fieldManager": "heterollm", "force": "true"}
        content = "application/apply-patch+yaml"
        await api.request("PATCH", path, body=manifest, query=query, content_type=content, limit=LIMIT)


async def run(kubeconfig: str, manifests: list[dict[str, Any]], side_by_side: int) -> None:
    """Wait for the start signal and apply everything."""
    api = await PlainApi.connect(kubeconfig)
    print("ready", flush=True)
    sys.stdin.readline()
    shared = iter(manifests)
    await asyncio.gather(*(apply_all(api, shared) for _ in range(side_by_side)))
    print("done", flush=True)
    sys.stdin.read()
    await api.close()


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_text().splitlines()
    asyncio.run(run(sys.argv[1], [json.loads(line) for line in lines], int(sys.argv[3])))
