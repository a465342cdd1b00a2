"""A defect, put into a real operator: the cluster that meets it says so until it ends, and others never notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import FakeKubelet

STATEFUL_SET = find("apps/v1", "StatefulSet")

DEFECT = """
import importlib, pathlib
module = importlib.import_module("{module}")
function = module.{function}

def broken(what, *rest):
    if pathlib.Path("{flag}").exists() and "defective" in str(what):
        raise KeyError("nvfp4")
    return function(what, *rest)

module.{function} = broken
"""
PLACES = {
    "choosing a tier's engine": ("heterollm_controllers.engines.revisions", "size", "Accepted"),
    "a step of the reconcile": ("heterollm_controllers.reconcile.pipeline", "steer", "Programmed"),
    "the status itself": ("heterollm_controllers.reconcile.pipeline", "cluster_status", "Programmed"),
}


@pytest.mark.parametrize(("module", "function", "type_"), PLACES.values(), ids=PLACES)
async def test_it_is_said_until_it_ends(
    kube: Kube,
    operator: StartOperator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    function: str,
    type_: str,
) -> None:
    flag = tmp_path / "flag"
    code = DEFECT.format(module=module, function=function, flag=flag)
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    process = await operator()
    await eventually(process.leads, 60)
    kubelet = FakeKubelet(kube)

    async def says(name: str, type_: str, status: str, reason: str) -> bool:
        condition = await kube.current_condition(name, type_, status)
        return condition is not None and condition["reason"] == reason

    await kube.apply(CLUSTER, sample(engines=1))
    await kubelet.until_ready()
    tiers = (await kube.get(CLUSTER, "demo"))["status"]["tiers"]
    engines = {item["metadata"]["uid"] for item in await kube.find(STATEFUL_SET)}

    flag.touch()
    broken = sample(engines=1)
    broken["spec"]["tiers"][0]["engine"]["image"] = "defective"
    await kube.apply(CLUSTER, broken)
    await eventually(lambda: says("demo", type_, "False", "InternalError"))
    message = (await kube.condition("demo", type_))["message"]
    assert "KeyError: 'nvfp4'" in message
    assert (await kube.condition("demo", "Ready"))["status"] == "False"
    now = {item["metadata"]["uid"] for item in await kube.find(STATEFUL_SET)}
    if function == "steer":
        assert now >= engines, "the other steps go on: the new revision is rolled out"
    else:
        assert now == engines
        assert (await kube.get(CLUSTER, "demo"))["status"]["tiers"] == tiers
    assert "KeyError: 'nvfp4'" in process.log

    await kube.apply(CLUSTER, sample("other", engines=1))
    await kubelet.until_ready("other")

    flag.unlink()
    await kubelet.until_ready()
    assert await says("demo", "Ready", "True", "Serving")
    assert await says("demo", "Accepted", "True", "Valid")
    assert await says("demo", "Programmed", "True", "Applied")
