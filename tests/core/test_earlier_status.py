"""What an earlier reconcile recorded is read once; a report that cannot be read costs no decision."""

import pytest
from pydantic import ValidationError

from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus
from heterollm_controllers.observation.earlier_status import earlier_engines, earlier_status, earlier_tier
from tests.core.builders import api_tier, manifest
from tests.core.world import settled


def test_what_was_recorded_is_read_back() -> None:
    world = settled(api_tier(), api_tier("large"))
    status = earlier_status(world.cluster)
    assert status.to_wire() == world.status
    assert [*earlier_engines(status)] == ["demo-small-0", "demo-large-0"]
    small, none = earlier_tier(status, "small"), earlier_tier(status, "huge")
    assert small is not None
    assert (small.serving, none) == (1, None)


def test_a_new_cluster_has_an_empty_status() -> None:
    assert earlier_status(manifest()) == HeteroLLMClusterStatus()


def test_a_sizing_as_of_another_version_costs_no_decision_and_no_restart() -> None:
    world = settled(api_tier())
    before = world.uids(), world.status
    world.server.write_status(
        world.cluster, {**world.status, "tiers": [{**world.status["tiers"][0], "sizing": {"summary": "another"}}]}
    )
    assert earlier_status(world.cluster).tiers[0].sizing is None
    world.settle()
    assert (world.uids(), world.status) == before


def test_a_decision_that_cannot_be_read_is_never_taken_for_none() -> None:
    world = settled(api_tier())
    [tier] = world.status["tiers"]
    engine = {**tier["engines"][0], "phase": "unheard of"}
    cluster = {**world.cluster, "status": {**world.status, "tiers": [{**tier, "engines": [engine]}]}}
    with pytest.raises(ValidationError):
        earlier_status(cluster)
