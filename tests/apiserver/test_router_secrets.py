"""A router with all its Secrets, as the API server keeps it: written once, and each Secret where it belongs."""

from __future__ import annotations

from heterollm_operator.kube.kinds import CLUSTER
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample


async def test_a_router_with_secrets_is_accepted_and_written_once(kube: Kube, operator: StartOperator) -> None:
    process = await operator()
    await eventually(process.leads)
    wanted = sample()
    wanted["spec"]["routing"] = {"apiKeys": {"secretName": "clients", "reserved": ["alice"]}, "tlsSecret": "cert"}
    wanted["spec"]["security"] = {"apiKeySecret": {"name": "engines", "key": "token"}}
    await kube.apply(CLUSTER, wanted)
    await eventually(lambda: kube.programmed("demo"))
    router = (await kube.children("demo"))["Deployment/demo-router"]
    volumes = router["spec"]["template"]["spec"]["volumes"]
    assert {item["secret"]["secretName"] for item in volumes if "secret" in item} == {"clients", "engines", "cert"}
    written = [write for write in kube.writes() if write.resource == "deployments" and not write.dry_run]
    assert len(written) == 1
