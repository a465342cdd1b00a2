"""A process whose watches are dead ends at once, and its replacement takes over."""

from __future__ import annotations

import itertools
import signal
import time

import pytest

from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample

CONFIG_MAP = find("v1", "ConfigMap")
LIMIT = 5.0
FAULTS = {"one watch fails": signal.SIGUSR1, "Kopf ends": signal.SIGUSR2, "Kopf hangs": signal.SIGHUP}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_it_ends_and_the_next_one_leads(kube: Kube, operator: StartOperator, fault: signal.Signals) -> None:
    leader = await operator(module="tests.apiserver.breakable")
    await eventually(leader.leads)
    heir = await operator()
    await eventually(heir.ready)
    began = time.monotonic()
    leader.send_signal(fault)
    events = itertools.count()

    async def ended() -> bool:
        # The watch fails by the first event after the signal.
        metadata = {"name": f"event-{next(events)}", "labels": names.labels("demo", "test")}
        await kube.create(CONFIG_MAP, {"metadata": metadata})
        return leader.exit_status is not None

    await eventually(ended, 3 * LIMIT)
    took = time.monotonic() - began
    print(f"ended {took:.1f} s after the fault")
    assert leader.exit_status == 1
    assert took < LIMIT
    await eventually(heir.leads, 3.0)  # the lease was given up
    await kube.apply(CLUSTER, sample())
    await eventually(lambda: kube.programmed("demo"), 10)
