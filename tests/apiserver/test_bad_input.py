"""What the API server refuses by itself, with a message that says what to change. No operator is needed for that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.kinds import CLUSTER
from tests.apiserver.conftest import Audited, administrator
from tests.apiserver.kube import Kube, sample

Manifest = dict[str, Any]
Change = Callable[[Manifest], None]


def tier(**fields: Any) -> Change:
    """Set fields of the first tier."""
    return lambda manifest: manifest["spec"]["tiers"][0].update(fields)


def engine(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"]["tiers"][0]["engine"].update(fields)


def accelerator(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"]["tiers"][0]["accelerator"].update(fields)


def model_source(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"]["tiers"][0]["model"].update(source=fields)


def spec(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"].update(fields)


def migration(**fields: Any) -> Change:
    """A migration of the sample's two tiers."""
    return spec(migration=fields)


def alone(manifest: Manifest) -> None:
    """A migration of a single tier."""
    manifest["spec"].update(tiers=manifest["spec"]["tiers"][:1], migration={})


def named(name: str) -> Change:
    return lambda manifest: manifest["metadata"].update(name=name)


def tiers(count: int) -> Change:
    """As many tiers, all alike but for their names."""

    def change(manifest: Manifest) -> None:
        first = manifest["spec"]["tiers"][0]
        manifest["spec"]["tiers"] = [{**first, "name": f"tier{number}"} for number in range(count)]

    return change


FRACTION = 'memFractionStatic must be above 0 and below 1, for example "0.7"'
MEMORY = 'must be a Kubernetes quantity such as "64Gi", and not negative'
CPU = 'must be a Kubernetes quantity such as "4" or "500m", and not negative'
NAME_CHARACTERS = "metadata.name must start with a letter and hold only lower-case letters, digits and '-'"
NAME_LENGTH = "metadata.name must have at most 30 characters"
ONE_SOURCE = "set exactly one of hub, pvc and hostPath"
EXTERNAL_ALONE = "a tier with external cannot have model, accelerator, engine, replicas, scaling or podTemplate"
EXTERNAL_URL = "url must be http:// or https://, a host, and optionally a port and a path"
DECIMAL = 'must be a decimal from 0 to 2 as text, such as "0.5"'
ERROR_PERCENT = 'errorPercent must be a decimal from 0.001 to 50 as text, such as "0.1"'
TIER_NAME = "a tier name must start with a letter and hold only lower-case letters and digits"


def external(beside: dict[str, Any] | None = None, **fields: Any) -> Change:
    """The first tier as a service, with these fields of `external` and others beside it."""
    service = {"url": "https://llm.example.com/v1", "model": "acme/big", **fields}
    made = {"name": "small", "external": {name: value for name, value in service.items() if value is not None}}
    return lambda manifest: manifest["spec"]["tiers"].__setitem__(0, {**made, **(beside or {})})


REFUSED: list[tuple[str, Change, str, str]] = [
    *(
        (f"external beside {field}", external({field: value}), "spec.tiers[0]", EXTERNAL_ALONE)
        for field, value in {
            "model": {"id": "m"},
            "accelerator": {"type": "H100"},
            "engine": {"gpus": 1},
            "replicas": {"min": 2},
            "scaling": {"queueLength": 3},
            "podTemplate": {"metadata": {"labels": {"a": "b"}}},
        }.items()
    ),
    *(
        (f"external at {url}", external(url=url), "spec.tiers[0].external.url", EXTERNAL_URL)
        for url in ("llm.example.com", "ftp://llm", "https://me:pw@llm/v1", "https://llm/v1?a=b", "https://llm:99999/")
    ),
    (
        "neither engines nor a service",
        lambda manifest: manifest["spec"]["tiers"][0].pop("accelerator"),
        "spec.tiers[0]",
        "a tier must have model and accelerator, for engines of its own, or external, for a service",
    ),
    ("external without model", external(model=None), "spec.tiers[0].external.model", "Required value"),
    ("external without requests", external(maxRequests=0), "spec.tiers[0].external.maxRequests", "greater than or"),
    (
        "external with a path for a key",
        external(apiKeySecret={"name": "s", "key": "../../token"}),
        "spec.tiers[0].external.apiKeySecret",
        "apiKeySecret.key must be a key of a Secret",
    ),
    (
        "external with no certificate",
        external(caBundle="trust me"),
        "spec.tiers[0].external.caBundle",
        "caBundle must be certificates in PEM",
    ),
    ("unknown field of a service", external(key="sk-1"), "spec.tiers[0].external.key", "unknown field"),
    ("unknown field of an engine", engine(gpu=1), "spec.tiers[0].engine.gpu", "unknown field"),
    ("unknown field of the spec", spec(teirs=[]), "spec.teirs", "unknown field"),
    ("unknown field of a source", model_source(s3={"bucket": "b"}), "spec.tiers[0].model.source.s3", "unknown field"),
    ("two tiers of one name", tier(name="large"), "spec.tiers", "tier names must be unique"),
    (
        "min above max",
        tier(replicas={"min": 3, "max": 2}),
        "spec.tiers[0].replicas",
        "replicas.min must not exceed replicas.max",
    ),
    (
        "default min above max",
        tier(replicas={"max": 0}),
        "spec.tiers[0].replicas",
        "should be greater than or equal to 1",
    ),
    ("zero tiers", spec(tiers=[]), "spec.tiers", "should have at least 1 items"),
    ("no tiers", lambda manifest: manifest["spec"].pop("tiers"), "spec.tiers", "Required value"),
    ("no spec", lambda manifest: manifest.pop("spec"), "spec", "Required value"),
    ("nine tiers", tiers(9), "spec.tiers", "must have at most 8 items"),
    ("memory in words", engine(resources={"memory": "64 gigs"}), "engine.resources.memory", MEMORY),
    ("memory below zero", engine(resources={"memory": "-64Gi"}), "engine.resources.memory", MEMORY),
    ("memory below zero, as a number", engine(resources={"memory": -1}), "engine.resources.memory", MEMORY),
    ("CPU in words", engine(resources={"cpu": "four"}), "engine.resources.cpu", CPU),
    ("shared memory in GiB", engine(sharedMemory="16GiB"), "engine.sharedMemory", MEMORY),
    ("router's memory in words", spec(routing={"resources": {"memory": "lots"}}), "spec.routing.resources", MEMORY),
    ("name of 31 characters", named("a" * 31), "is invalid", NAME_LENGTH),
    ("name that begins with a digit", named("1demo"), "is invalid", NAME_CHARACTERS),
    ("name with a dot", named("my.demo"), "is invalid", NAME_CHARACTERS),
    ("tier name of 13 characters", tier(name="a" * 13), "spec.tiers[0].name", "may not be more than 12 bytes"),
    ("tier name with a dash", tier(name="very-small"), "spec.tiers[0].name", TIER_NAME),
    ("tier name in capitals", tier(name="Small"), "spec.tiers[0].name", TIER_NAME),
    ("tier named auto", tier(name="auto"), "spec.tiers[0].name", "a tier cannot be called auto"),
    ("two sources", model_source(hub={}, pvc={"claimName": "weights"}), "spec.tiers[0].model.source", ONE_SOURCE),
    ("a source that is none", model_source(), "spec.tiers[0].model.source", ONE_SOURCE),
    *(
        (f"memFractionStatic {text}", engine(memFractionStatic=text), "engine.memFractionStatic", FRACTION)
        for text in ("0", "0.00", "1", "1.0", "1.5", "-0.1", "70%")
    ),
    (
        "threshold above 1",
        spec(routing={"complexityThreshold": "1.5"}),
        "spec.routing.complexityThreshold",
        "complexityThreshold must be a decimal from 0 to 1",
    ),
    (
        "weight of a feature that the score does not have",
        spec(routing={"scorerWeights": {"lenght": "0.5"}}),
        "spec.routing.scorerWeights",
        "must name features of the score: length, turns, code",
    ),
    ("weight above 2", spec(routing={"scorerWeights": {"code": "3"}}), "spec.routing.scorerWeights", DECIMAL),
    (
        "temperature in words",
        spec(routing={"retries": {"changes": [{"temperature": "cool"}]}}),
        "spec.routing.retries.changes[0].temperature",
        DECIMAL,
    ),
    (
        "a config twice",
        tier(model={"id": "m", "config": {}, "configMap": {"name": "c"}}),
        "spec.tiers[0].model",
        "set only one of config and configMap",
    ),
    ("price in dollars", accelerator(dollarsPerHour="$4"), "accelerator.dollarsPerHour", 'such as "12.5"'),
    ("steps that fall", migration(steps=[10, 60, 30, 100]), "spec.migration.steps", "migration.steps must rise"),
    ("a step twice", migration(steps=[10, 10, 100]), "spec.migration.steps", "migration.steps must rise"),
    ("steps that never arrive", migration(steps=[10, 30]), "spec.migration.steps", "migration.steps must end at 100"),
    ("no steps", migration(steps=[]), "spec.migration.steps", "should have at least 1 items"),
    ("a step of nothing", migration(steps=[0, 100]), "spec.migration.steps[0]", "greater than or equal to 1"),
    ("a step of all and more", migration(steps=[10, 110]), "spec.migration.steps[1]", "less than or equal to 100"),
    ("an odd mode", migration(mode="Canary"), "spec.migration.mode", '"Observe", "Auto", "Hold", "Rollback"'),
    ("errors as a number", migration(gates={"errorPercent": 0.1}), "gates.errorPercent", "must be of type string"),
    ("errors in words", migration(gates={"errorPercent": "few"}), "gates.errorPercent", ERROR_PERCENT),
    ("no errors at all", migration(gates={"errorPercent": "0"}), "gates.errorPercent", ERROR_PERCENT),
    ("mostly errors", migration(gates={"errorPercent": "51"}), "gates.errorPercent", ERROR_PERCENT),
    ("steps of a second", migration(stepSeconds=1), "spec.migration.stepSeconds", "greater than or equal to 60"),
    ("a migration from nowhere", alone, "spec", "spec.tiers must hold at least two"),
    ("release in words", engine(sglangVersion="latest"), "engine.sglangVersion", "should match"),
]


in_module = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kube(audited: Audited) -> AsyncIterator[Kube]:
    """One namespace for all, as none of these tests leaves anything there."""
    async with administrator(audited) as kube:
        yield kube


async def create(kube: Kube, manifest: Manifest) -> None:
    """As strict clients do, kubectl among them; a dry run passes all of admission and stores nothing."""
    query = {"fieldValidation": "Strict", "dryRun": "All"}
    await kube.api.request("POST", CLUSTER.path(kube.namespace), body=manifest, query=query, limit=20)


@in_module
@pytest.mark.parametrize(("change", "where", "what"), [item[1:] for item in REFUSED], ids=[item[0] for item in REFUSED])
async def test_it_is_refused_with_what_to_change(kube: Kube, change: Change, where: str, what: str) -> None:
    manifest = sample()
    change(manifest)
    with pytest.raises(ApiError) as refusal:
        await create(kube, manifest)
    assert refusal.value.status in (400, 422)
    assert where in str(refusal.value)
    assert what in str(refusal.value)


@in_module
@pytest.mark.parametrize(
    "change",
    [
        tiers(8),
        named("a" * 30),
        tier(name="a" * 12),
        tier(replicas={"min": 0, "max": 1}),
        engine(memFractionStatic="0.0001", resources={"cpu": 2, "memory": "0.5Gi"}, sharedMemory=0),
        spec(routing={"complexityThreshold": "1.0"}),
        migration(),
        migration(
            mode="Auto",
            steps=[1, 2, 3, 4, 5, 6, 7, 8, 9, 100],
            stepSeconds=60,
            gates={"costReductionPercent": 0, "firstByteMs": 0, "errorPercent": "0.001"},
            onInconclusive="Rollback",
        ),
        migration(steps=[100], gates={"errorPercent": "50.0"}),
    ],
    ids=[
        "eight tiers",
        "long name",
        "long tier name",
        "no engines",
        "odd quantities",
        "threshold 1.0",
        "a migration",
        "a cautious migration",
        "a bold migration",
    ],
)
async def test_what_is_just_within_the_limits_is_accepted(kube: Kube, change: Change) -> None:
    manifest = sample()
    change(manifest)
    await create(kube, manifest)


SAMPLES = {path.name: path.read_text() for path in (Path(__file__).parents[2] / "manifests" / "samples").glob("*.yaml")}


@in_module
@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
async def test_the_samples_are_accepted(kube: Kube, text: str) -> None:
    for manifest in yaml.safe_load_all(text):
        await create(kube, manifest)


def test_there_are_samples() -> None:
    assert SAMPLES
