"""Objects that nest deeper than Python can follow: they are one tenant's mistake, and nobody else notices."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from e2e.cluster.kubectl import kubectl_path
from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.process import OperatorProcess

REVISION = find("apps/v1", "ControllerRevision")
STATEFUL_SET = find("apps/v1", "StatefulSet")
UNREADABLE = "heterollm_unreadable_documents_total{"
SOON = 10.0
PLACE = "PLACE OF THE NEST"


def deep(levels: int) -> str:
    """Maps in maps, as JSON: Python's writer cannot make it."""
    return '{"a":' * levels + "{}" + "}" * levels


async def put(kube: Kube, verb: str, manifest: Mapping[str, Any], levels: int) -> None:
    """Create or replace an object, with a nest of that many levels in its `PLACE`."""
    text = json.dumps(manifest).replace(f'"{PLACE}"', deep(levels))
    command = [str(kubectl_path()), f"--kubeconfig={kube.kubeconfig}", f"--namespace={kube.namespace}"]
    done = await asyncio.to_thread(
        subprocess.run, [*command, verb, "-f-"], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def poison(name: str) -> dict[str, Any]:
    manifest = sample(name)
    manifest["spec"]["tiers"][0]["podTemplate"] = {"spec": {"affinity": PLACE}}
    return manifest


async def refused(kube: Kube, name: str) -> bool:
    accepted = await kube_condition(kube, name, "Accepted")
    return (accepted.get("status"), accepted.get("reason")) == ("False", "PodTemplateInvalid")


async def kube_condition(kube: Kube, name: str, type_: str) -> Mapping[str, Any]:
    """Read by kubectl, as whoever owns the cluster would."""
    path = f"jsonpath={{.status.conditions[?(@.type=='{type_}')]}}"
    command = [str(kubectl_path()), f"--kubeconfig={kube.kubeconfig}", f"--namespace={kube.namespace}"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "get", CLUSTER.plural, name, "-o", path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return dict(json.loads(done.stdout or "{}"))


async def at_rest(kube: Kube, name: str) -> bool:
    """Whether nothing is written to it any more."""
    before = len(kube.writes())
    await asyncio.sleep(2)
    return not any(write.name == name for write in kube.writes()[before:])


async def sees_it(process: OperatorProcess, resource: str) -> None:
    async def counted() -> bool:
        return await process.metric(f'{UNREADABLE}reason="too_deep",resource="{resource}"') > 0

    await eventually(counted, SOON)


@pytest.mark.parametrize(
    ("before", "levels"),
    [(True, 1100), (True, 9000), (False, 200), (False, 1100)],
    ids=["there at the start", "as deep as can be", "not too deep for a reader", "while it runs"],
)
async def test_a_cluster_too_deep_is_its_owners_affair(
    kube: Kube, operator: StartOperator, before: bool, levels: int
) -> None:
    if before:
        await put(kube, "create", poison("poison"), levels)
    process = await operator()
    await eventually(process.leads)
    if not before:
        await put(kube, "create", poison("poison"), levels)
    await kube.apply(CLUSTER, sample("other"))
    await eventually(lambda: kube.programmed("other"), SOON)
    await sees_it(process, "heterollmclusters")
    await eventually(lambda: refused(kube, "poison"), SOON)
    assert "nests more than" in (await kube_condition(kube, "poison", "Accepted"))["message"]
    assert kube.namespace in process.log
    assert await process.ready()
    await eventually(lambda: at_rest(kube, "poison"), SOON)
    await put(kube, "replace", sample("poison"), 0)
    await eventually(lambda: kube.programmed("poison"), SOON)
    assert (await kube.condition("poison", "Accepted"))["status"] == "True"


async def test_a_cluster_that_becomes_too_deep_keeps_what_runs(kube: Kube, operator: StartOperator) -> None:
    process = await operator()
    await eventually(process.leads)
    await kube.apply(CLUSTER, sample("poison"))
    await eventually(lambda: kube.programmed("poison"), SOON)
    before = await kube.children("poison")
    await put(kube, "replace", poison("poison"), 1100)
    await eventually(lambda: refused(kube, "poison"), SOON)
    assert (await kube.children("poison")).keys() == before.keys()
    await kube.delete(STATEFUL_SET, "poison-small-0")

    async def repaired() -> bool:
        now = (await kube.children("poison")).get("StatefulSet/poison-small-0")
        old = before["StatefulSet/poison-small-0"]
        return now is not None and now["metadata"]["uid"] != old["metadata"]["uid"]

    await eventually(repaired, SOON)
    restarted = await operator()
    await process.stop()
    await eventually(restarted.leads)
    await kube.apply(CLUSTER, sample("other"))
    await eventually(lambda: kube.programmed("other"), SOON)
    assert (await kube.children("poison")).keys() == before.keys()


async def test_a_child_too_deep_hides_no_other(kube: Kube, operator: StartOperator) -> None:
    """A ControllerRevision's data is as free as a podTemplate, and anyone may label one as ours."""
    process = await operator()
    await eventually(process.leads)
    await kube.apply(CLUSTER, sample("demo"))
    await eventually(lambda: kube.programmed("demo"), SOON)
    revision = {
        "apiVersion": REVISION.api_version,
        "kind": REVISION.kind,
        "metadata": {"name": "nest", "labels": copy.deepcopy(names.labels("demo", "test"))},
        "revision": 1,
        "data": PLACE,
    }
    await put(kube, "create", revision, 1100)
    await sees_it(process, "controllerrevisions")
    for name in ("other", "later"):
        await kube.apply(CLUSTER, sample(name))
        await eventually(lambda name=name: kube.programmed(name), SOON)  # type: ignore[misc]
        await process.stop()
        process = await operator()
        await eventually(process.leads)
    await kube.delete(STATEFUL_SET, "demo-small-0")
    await eventually(lambda: kube.exists(STATEFUL_SET, "demo-small-0"), SOON)
