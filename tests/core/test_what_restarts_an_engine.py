"""An engine is restarted only when what its pods run changes: of every field of a tier, whether it is such a change."""

from __future__ import annotations

import copy
import json
import typing
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from heterollm_controllers import names, revisions
from heterollm_controllers.outcome import Config
from heterollm_controllers.render import engine_body
from heterollm_controllers.revisions import Chosen, choose, keep
from heterollm_controllers.sizing import size
from heterollm_controllers.v1alpha1 import Tier
from heterollm_controllers.wire import WireType
from tests.core.builders import api_tier, cluster, spec
from tests.core.world import World, settled

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}
SMALLER = LLAMA | {"num_hidden_layers": 16}
MAPS = {
    "maps": {"config.json": json.dumps(LLAMA), "other.json": json.dumps(SMALLER)},
    "others": {"config.json": json.dumps(SMALLER)},
}
NEWER = Config(engine_image="heterollm/engine:9")

PLAIN = api_tier(engine={"image": "i"})
GANG = api_tier(engine={"gpus": 16, "image": "i"})
FREE = {"name": "small", "model": {"id": "Qwen/Qwen3-32B"}, "accelerator": {"type": "A100-80GB"}}
MOE = {**FREE, "model": {"id": "Qwen/Qwen3-30B-A3B"}, "engine": {"gpus": 8}}
RDMA = api_tier(engine={"gpus": 16}, accelerator={"type": "H100", "network": {"type": "roce"}})
HUB = {"id": "org/small", "source": {"hub": {"tokenSecret": {"name": "s", "key": "k"}}}}
HUB_TIER = api_tier(model=HUB)
PVC_TIER = api_tier(model={"id": "org/small", "source": {"pvc": {"claimName": "c"}}})
HOST_TIER = api_tier(model={"id": "org/small", "source": {"hostPath": {"path": "/a"}}})
MAP_TIER = api_tier(model={"id": "org/small", "configMap": {"name": "maps"}})
TOLERANT = api_tier(accelerator={"type": "H100", "tolerations": [{"key": "gpu"}]})
VARIABLE = api_tier(engine={"env": [{"name": "A", "value": "1"}]})

Wire = dict[str, Any]

RESTARTS: list[tuple[str, Wire, Any]] = [
    ("name", PLAIN, "other"),
    ("model.id", PLAIN, "org/other"),
    ("model.source.hub.revision", HUB_TIER, "v2"),
    ("model.source.hub.tokenSecret.name", HUB_TIER, "s2"),
    ("model.source.hub.tokenSecret.key", HUB_TIER, "k2"),
    ("model.source.pvc.claimName", PVC_TIER, "c2"),
    ("model.source.pvc.path", PVC_TIER, "weights"),
    ("model.source.hostPath.path", HOST_TIER, "/b"),
    ("accelerator.perNode", GANG, 16),
    ("accelerator.memoryGiB", FREE, 40),
    ("accelerator.resourceName", PLAIN, "amd.com/gpu"),
    ("accelerator.nodeSelector", PLAIN, {"pool": "b"}),
    ("accelerator.tolerations[].key", TOLERANT, "other"),
    ("accelerator.tolerations[].operator", TOLERANT, "Exists"),
    ("accelerator.tolerations[].value", TOLERANT, "yes"),
    ("accelerator.tolerations[].effect", TOLERANT, "NoSchedule"),
    ("accelerator.tolerations[].tolerationSeconds", TOLERANT, 5),
    ("accelerator.runtimeClassName", PLAIN, "nvidia"),
    ("accelerator.topologyKey", GANG, "rack"),
    ("accelerator.network.type", GANG, "infiniband"),
    ("accelerator.network.resourceName", RDMA, "rdma/hca"),
    ("accelerator.network.resourceCount", RDMA, 4),
    ("engine.gpus", PLAIN, 2),
    ("engine.nodes", GANG, 4),
    ("engine.objective", FREE, "latency"),
    ("engine.attentionDataParallel", MOE, 4),
    ("engine.expertParallel", MOE, 4),
    ("engine.memFractionStatic", PLAIN, "0.7"),
    ("engine.contextLength", PLAIN, 4096),
    ("engine.image", PLAIN, "i2"),
    ("engine.imagePullPolicy", PLAIN, "Always"),
    ("engine.command", PLAIN, ["run"]),
    ("engine.args", PLAIN, ["--log-level", "debug"]),
    ("engine.env[].name", VARIABLE, "B"),
    ("engine.env[].value", VARIABLE, "2"),
    ("engine.resources.cpu", PLAIN, "4"),
    ("engine.resources.memory", PLAIN, "64Gi"),
    ("engine.sharedMemory", PLAIN, "8Gi"),
    ("engine.startSeconds", PLAIN, 900),
    ("engine.drainSeconds", PLAIN, 60),
    ("podTemplate", PLAIN, {"spec": {"hostNetwork": True}}),
]
RESTARTS_NOTHING: list[tuple[str, Wire, Any]] = [
    ("model.config", api_tier(model={"id": "org/small", "config": LLAMA}), SMALLER),
    ("model.configMap.name", MAP_TIER, "others"),
    ("model.configMap.key", MAP_TIER, "other.json"),
    ("accelerator.type", PLAIN, "H200"),
    ("accelerator.perNode", PLAIN, 4),
    ("accelerator.memoryGiB", PLAIN, 40),
    ("accelerator.dollarsPerHour", FREE, "9.5"),
    ("accelerator.topologyKey", PLAIN, "rack"),
    ("accelerator.network.type", PLAIN, "infiniband"),
    ("engine.objective", PLAIN, "latency"),
    ("engine.workload.inputTokens", MOE, 4000),
    ("engine.workload.outputTokens", MOE, 4000),
    ("engine.measured.timeToFirstTokenMs", FREE, "50"),
    ("engine.measured.timePerTokenMs", FREE, "5"),
    ("engine.measured.requestsPerSecond", FREE, "12"),
    ("engine.sglangVersion", PLAIN, "0.5.23"),
    ("engine.placementSeconds", GANG, 900),
    ("podTemplate", PLAIN, {}),
    ("replicas.min", PLAIN, 2),
    ("replicas.max", PLAIN, 5),
    ("replicas.fixed", PLAIN, 3),
    ("replicas.standby", PLAIN, 1),
    ("scaling.queueLength", PLAIN, 7),
    ("scaling.queueStep", PLAIN, 7),
    ("scaling.timeToFirstTokenMs", PLAIN, 700),
    ("scaling.timeToFirstTokenStep", PLAIN, 7),
    ("scaling.queuePerEngine", PLAIN, 7),
    ("scaling.kvUsePercent", PLAIN, 70),
    ("scaling.headroomPercent", PLAIN, 70),
    ("scaling.forecast", PLAIN, False),
    ("scaling.scaleDownSeconds", PLAIN, 700),
    ("scaling.unschedulableSeconds", PLAIN, 700),
    ("scaling.nodeSeconds", PLAIN, 700),
]


def leaves(model: type[WireType], prefix: str = "") -> Iterator[str]:
    """Every field of a type that holds no further type, by its path; "[]" stands for the items of a list."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or to_camel(name))
        inner = _models(field.annotation)
        for each in inner:
            yield from leaves(each, path + ("[]." if _is_list(field.annotation) else "."))
        if not inner:
            yield path


def _models(annotation: Any) -> list[type[WireType]]:
    if isinstance(annotation, type) and issubclass(annotation, WireType):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple or any(map(_is_list, typing.get_args(annotation)))


def edited(tier: Wire, path: str, value: Any) -> Wire:
    """The tier with another value of one field."""
    result = copy.deepcopy(tier)
    at: Any = result
    *parents, last = path.split(".")
    for part in parents:
        at = at[part[:-2]][0] if part.endswith("[]") else at.setdefault(part, {})
    assert at.get(last) != value
    at[last] = value
    return result


def chosen(
    tier: Wire, former: list[Wire], config: Config | None = None, security: dict[str, Any] | None = None
) -> Chosen:
    """What a tier runs, given its revisions as the API server has them."""
    wanted = spec(tier, security=security or {})
    return choose(cluster(), wanted, wanted.tiers[0], former, None, config or Config(), MAPS)


def stored(choice: Chosen) -> Wire:
    revision: Wire = json.loads(json.dumps(choice.revision))
    return revision


def test_every_field_of_a_tier_is_in_the_table() -> None:
    assert {path for path, *_ in [*RESTARTS, *RESTARTS_NOTHING]} == {*leaves(Tier)}


CASES = [(*row, True) for row in RESTARTS] + [(*row, False) for row in RESTARTS_NOTHING]
IDS = [f"{path}: {'restarts' if restarts else 'restarts nothing'}" for path, _, _, restarts in CASES]


@pytest.mark.parametrize(("path", "tier", "value", "restarts"), CASES, ids=IDS)
def test_an_edit_restarts_engines_if_their_pods_change(path: str, tier: Wire, value: Any, restarts: bool) -> None:
    before = chosen(tier, [])
    after = chosen(edited(tier, path, value), [stored(before)])
    fresh = chosen(edited(tier, path, value), [])
    assert (fresh.revision["data"]["engine"] != before.revision["data"]["engine"]) == restarts, "the table is wrong"
    assert after.is_new == restarts
    assert not after.update_available


@pytest.mark.parametrize(("path", "tier", "value", "restarts"), CASES, ids=IDS)
def test_so_it_is_after_an_upgrade_of_the_operator(
    path: str, tier: Wire, value: Any, restarts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new operator would start any engine differently, and only an edit that changes pods lets it."""
    before = stored(chosen(tier, []))

    def newer(*args: Any) -> Wire:
        body = copy.deepcopy(engine_body(*args))
        body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] += 1
        return body

    monkeypatch.setattr(revisions, "engine_body", newer)
    after = chosen(edited(tier, path, value), [before])
    assert after.is_new == restarts
    assert after.update_available == (not restarts)


def test_of_the_rest_of_a_spec_an_engine_depends_on_the_key_alone() -> None:
    """A spec that has nothing else is enough to render it."""
    wanted = spec(PLAIN, security={"apiKeySecret": {"name": "s", "key": "k"}})
    tier = wanted.tiers[0]
    bare: Any = SimpleNamespace(security=SimpleNamespace(api_key_secret=wanted.security.api_key_secret))
    rendered = engine_body(cluster(), wanted, tier, size(tier), Config())
    assert engine_body(cluster(), bare, tier, size(tier), Config()) == rendered


def test_the_key_restarts_engines_that_use_it() -> None:
    key = {"apiKeySecret": {"name": "s", "key": "k"}}
    assert chosen(PLAIN, [stored(chosen(PLAIN, []))], security=key).is_new
    own = edited(PLAIN, "engine.args", ["--api-key", "$(API_KEY)"])
    own["engine"]["env"] = [{"name": "API_KEY", "value": "theirs"}]
    assert not chosen(own, [stored(chosen(own, []))], security=key).is_new


def test_a_spec_that_this_operator_cannot_make_an_engine_of_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(chosen(FREE, []))
    priced = edited(FREE, "accelerator.dollarsPerHour", "9.5")

    def stricter(tier: Tier, *rest: Any) -> Any:
        if tier.accelerator.dollars_per_hour is None:
            raise KeyError("price")
        return size(tier, *rest)

    monkeypatch.setattr(revisions, "size", stricter)
    assert chosen(priced, [before], NEWER).is_new
    assert not chosen(priced, [before]).is_new, "unless its pods would be the very same"


def test_revisions_of_earlier_operators_do_not_say_what_was_asked() -> None:
    """They stand for exactly their spec, as ever."""
    before = stored(chosen(FREE, []))
    del before["data"]["asked"]
    assert not chosen(FREE, [before]).is_new
    assert not chosen(FREE, [before], NEWER).is_new


# --- the same in a whole cluster


def running(world: World) -> tuple[Any, ...]:
    return world.uids(), world.uids("StatefulSet"), world.uids("ControllerRevision")


def priced(dollars: str = "9.5", **engine: Any) -> Wire:
    accelerator = {"type": "A100-80GB", "dollarsPerHour": dollars}
    return {**FREE, "accelerator": accelerator, "engine": engine}


def cost(world: World) -> float:
    return float(world.status["tiers"][0]["sizing"]["performance"]["costPer1000Requests"])


def test_a_price_changes_the_report_and_no_engine() -> None:
    world = settled(FREE)
    before, old = running(world), cost(world)
    world.change(priced("50"))
    world.look()
    assert world.ready(), "nothing is rolled out"
    world.settle()
    assert running(world) == before
    assert cost(world) > 5 * old
    assert world.condition("Accepted")["observedGeneration"] == world.cluster["metadata"]["generation"]
    assert not world.holds("UpdateAvailable")
    world.restart_operator()
    writes = len(world.server.writes)
    world.settle()
    assert len(world.server.writes) == writes


def test_a_measured_speed_is_what_the_tier_is_steered_by() -> None:
    world = settled(FREE)
    before = running(world)
    world.change({**FREE, "engine": {"measured": {"requestsPerSecond": "0.5"}}})
    world.settle()
    assert running(world) == before
    steering = world.outcome().steering
    assert steering is not None
    assert steering.tiers[0].rate == 0.5


def test_a_report_outlives_a_spec_that_is_refused() -> None:
    world = settled(FREE)
    world.change(priced("50"))
    world.settle()
    before, told = running(world), cost(world)
    world.change(priced("60", gpus=3))
    world.settle()
    assert world.condition("Accepted")["status"] == "False"
    assert cost(world) == told
    assert running(world) == before


def test_prices_and_upgrades_in_any_order_restart_nothing() -> None:
    world = settled(FREE)
    before = running(world)
    world.change(priced("50"))
    world.settle()
    world.upgrade_operator(NEWER)
    world.settle()
    dear = cost(world)
    world.change(priced("1"))
    world.settle()
    assert running(world) == before
    assert cost(world) < dear
    assert world.holds("UpdateAvailable")
    world.change({**priced("2"), "replicas": {"min": 2}})
    world.settle()
    assert {*world.images().values()} == {Config().engine_image}


def test_opting_in_after_a_new_price_restarts_nothing_while_there_is_nothing_new() -> None:
    world = settled(FREE)
    before = running(world)
    world.change(priced())
    world.annotate(names.UPDATE, "a")
    world.settle()
    world.annotate(names.UPDATE, "b")
    world.settle()
    assert running(world) == before
    assert world.ready()
    world.upgrade_operator(NEWER)
    world.settle()
    assert running(world) == before
    world.annotate(names.UPDATE, "c")
    world.settle()
    assert {*world.images().values()} == {NEWER.engine_image}


def test_the_order_of_tiers_restarts_nothing() -> None:
    world = settled(api_tier(), api_tier("large"))
    before = running(world)
    world.change(api_tier("large"), api_tier())
    world.settle()
    assert running(world) == before


def test_the_report_describes_the_engine_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that would size it otherwise keeps the engine, and what was said of it."""
    world = settled(FREE)
    before, told = running(world), world.status["tiers"][0]["sizing"]
    monkeypatch.setattr(
        revisions, "size", lambda tier, *rest: size(tier, *rest).model_copy(update={"gpus_per_engine": 8, "nodes": 1})
    )
    world.restart_operator()
    world.change(priced())
    world.settle()
    assert running(world) == before
    assert world.status["tiers"][0]["sizing"] == told


def test_a_report_on_a_revision_that_is_gone_says_nothing_of_the_one_that_runs() -> None:
    world = settled(FREE)
    [item] = [item for item in world.observed().children if item["kind"] == "ControllerRevision"]
    tier = Tier.model_validate(FREE)
    other = {**item["data"]["sizing"], "nodes": 7}
    for recorded, nodes in ((item["metadata"]["name"], 7), ("demo-small-gone", item["data"]["sizing"]["nodes"])):
        kept = keep(tier, [item], {"revision": recorded, "sizing": other})
        assert kept is not None
        assert (kept.name, kept.sizing.nodes) == (item["metadata"]["name"], nodes)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_revisions_for_one_spec_the_newest_runs(order: int) -> None:
    """Both are there while an update of the templates, once opted in to, rolls out."""
    world = settled(FREE)
    [older] = [item for item in world.observed().children if item["kind"] == "ControllerRevision"]
    newer = {**older, "metadata": {**older["metadata"], "name": "newer"}, "revision": older["revision"] + 1}
    revisions = [older, newer][::order]
    tier = Tier.model_validate({**FREE, "replicas": {"min": 3, "max": 5}, "scaling": {"queueLength": 7}})
    assert choose(cluster(), spec(FREE), tier, revisions, None, Config(), {}).name == "newer"
    kept = keep(tier, revisions, {})
    assert kept is not None
    assert kept.name == "newer"
    assert (kept.tier.replicas, kept.tier.scaling) == (tier.replicas, tier.scaling), "the numbers are of the new spec"
