"""Every field of the spec, edited: engines of a new revision come beside the old ones, or no engine is touched.

The rows are those of docs/rolling.md. `pytest -s` prints what has come of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heterollm_operator.kube.kinds import CLUSTER, Kind, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.engines import Engine, Engines, Look
from tests.apiserver.kube import Kube, eventually
from tests.core.edits import Edit, Effect, Wire, edited, pod_changes
from tests.core.field_edits import BASE, CONFIG_MAPS, EDITS, FREE, FREE_MAP, MAP
from tests.core.rolling_page import engine_of

CONFIG_MAP = find("v1", "ConfigMap")
RUNTIME_CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses")
TIERS = 8
"""Most tiers of one cluster."""
DROPPED: Wire = {"spec": {"nodeSelector": None, "priorityClassName": "", "tolerations": []}}
"""What API servers like to drop from a pod template."""


@dataclass(frozen=True)
class Trial:
    """Edits of one effect, and the tier that they are made to."""

    edits: tuple[Edit, ...]
    cluster: str
    tier: str

    @property
    def effect(self) -> Effect:
        return self.edits[0].effect

    @property
    def before(self) -> Wire:
        return self._named(self.edits[0].before)

    @property
    def after(self) -> Wire:
        spec = self.edits[0].before
        for edit in self.edits:
            spec = edited(spec, edit.path, edit.value)
        return self._named(spec)

    @property
    def key(self) -> tuple[str, str]:
        return self.cluster, self.tier

    def _named(self, spec: Wire) -> Wire:
        """With its own name for the tier, unless that is what is edited."""
        tier, *_ = spec["tiers"]
        return spec if self.effect is Effect.RENAMED else {**spec, "tiers": [{**tier, "name": self.tier}]}


def _trials() -> list[Trial]:
    """Tiers of few clusters, those that read ConfigMaps in the first; engines' keys are of whole clusters."""
    tiers = [edit for edit in EDITS if edit.of_a_tier]
    keys = [edit for edit in EDITS if edit.effect.rolls and not edit.of_a_tier]
    groups = sorted(_grouped(tiers), key=lambda group: "configMap" not in group[0].before["tiers"][0]["model"])
    return [
        *(Trial(group, f"c{number // TIERS}", _tier(group[0], number)) for number, group in enumerate(groups)),
        *(Trial((edit,), f"key{number}", _tier(edit, number)) for number, edit in enumerate(keys)),
    ]


def _grouped(edits: Iterable[Edit]) -> list[tuple[Edit, ...]]:
    """What shall touch no engine is done to one tier at once; whatever else, to a tier of its own."""
    groups: list[tuple[Edit, ...]] = []
    for edit in edits:
        former = groups[-1][0] if groups else edit
        together = edit.effect in _TOUCH_NOTHING and (former.effect, former.before) == (edit.effect, edit.before)
        if together and groups:
            groups[-1] += (edit,)
        else:
            groups.append((edit,))
    return groups


_TOUCH_NOTHING = (Effect.SAME, Effect.REPORT, Effect.DECISION)


def _tier(edit: Edit, number: int) -> str:
    return str(edit.before["tiers"][0]["name"]) if edit.effect is Effect.RENAMED else f"t{number}"


def _specs(trials: Iterable[Trial], moment: str) -> dict[str, Wire]:
    """Of the clusters by name, before or after all edits."""
    specs: dict[str, Wire] = {}
    for trial in trials:
        spec: Wire = getattr(trial, moment)
        specs.setdefault(trial.cluster, {**spec, "tiers": []})["tiers"] += spec["tiers"]
    return specs


async def _neighbours(kube: Kube, cluster: str) -> None:
    """What the specs name: ConfigMaps of one cluster, and a RuntimeClass, without which no pod of it is admitted."""
    for name, data in CONFIG_MAPS.items():
        metadata = {"name": name, "labels": {"serving.heterollm.io/cluster": cluster}}
        await kube.apply(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "n"}
    path, query = RUNTIME_CLASS.path(None, "nvidia"), {"fieldManager": "user"}
    content = "application/apply-patch+yaml"
    await kube.api.request("PATCH", path, body=runtime, query=query, content_type=content, limit=20)


def _same(before: Mapping[str, Engine], now: Mapping[str, Engine]) -> bool:
    """Whether every engine that was there is there, and nothing has been done to it."""
    return all(name in now and now[name].identity == engine.identity for name, engine in before.items())


def _new(trial: Trial, before: Look, now: Look) -> Mapping[str, Engine]:
    """Engines of the tier that were not there."""
    [tier] = trial.after["tiers"]
    there = now.get((trial.cluster, tier["name"]), {})
    return {name: engine for name, engine in there.items() if name not in before[trial.key]}


def _added(trial: Trial) -> int:
    """How many engines more are wanted, at the height of the roll-out if there is one."""
    if trial.effect is Effect.COUNT:
        [edit] = trial.edits
        return int(edit.value) - (edit.path != "tiers[].replicas.standby")
    return int(trial.effect.rolls)


async def test_edits_of_tiers(kube: Kube, operator: StartOperator) -> None:
    engines, trials = Engines(kube), _trials()
    process = await operator(restart=True)
    await eventually(process.leads, 60)
    await _neighbours(kube, trials[0].cluster)
    specs = _specs(trials, "before")
    for name, spec in specs.items():
        await engines.apply({name: spec})
        await engines.serve(name)
    before, told = await engines.look(), await engines.sizings(specs)

    await engines.apply(_specs(trials, "after"))
    during = await eventually(lambda: _at_the_height(engines, trials, before), 240)
    for trial in trials:
        if trial.effect is not Effect.RENAMED:
            assert _same(before[trial.key], during[trial.key]), f"{trial}: nothing leaves before the new serves"

    await engines.serve(*specs)
    after, tells = await engines.look(), await engines.sizings(specs)
    for trial in trials:
        _judge(trial, before, during, after)
        if not trial.effect.rolls:
            assert (tells[trial.key] != told[trial.key]) == (trial.effect is Effect.REPORT), trial
    assert await engines.say("UpdateAvailable", "False", *specs)


async def _at_the_height(engines: Engines, trials: list[Trial], before: Look) -> Look:
    """Once all clusters have taken the edits in, and all engines that come have pods; none of these is ready."""
    assert await engines.say("Accepted", "True", *{trial.cluster for trial in trials})
    now = await engines.look()
    for trial in trials:
        new = _new(trial, before, now)
        assert len(new) == _added(trial), trial
        assert all(len(engine.pods) == engine.manifest["spec"]["replicas"] for engine in new.values())
    return now


def _judge(trial: Trial, before: Look, during: Look, after: Look) -> None:
    """What has become of the tier is what its rows say; printed as lines of a table."""
    old, new = before[trial.key], _new(trial, before, during)
    if not trial.effect.rolls:
        for edit in trial.edits:
            print(f"{edit.path:52} in place  {edit.effect.words}")
        assert _same(old, after[trial.key]), trial
        assert len(after[trial.key]) == len(old) + _added(trial), trial
        return
    [edit], [was], [now] = trial.edits, old.values(), new.values()
    assert not old.keys() & after.get(trial.key, {}).keys(), f"{edit}: the old engine is drained"
    [tier] = trial.after["tiers"]
    assert _same(new, after[trial.cluster, tier["name"]]), edit
    assert now.revision != was.revision
    if edit.effect is Effect.ROLLS:
        changed = pod_changes(was.manifest, now.manifest)
        print(f"{edit.path:52} rolls     {', '.join(changed)}")
        assert changed == pod_changes(engine_of(edit.before), engine_of(edit.after)), edit


async def test_edits_of_the_rest(kube: Kube, operator: StartOperator) -> None:
    """One field after the other, each on top of the former: exactly the stated children change, and no engine."""
    engines = Engines(kube)
    process = await operator(restart=True)
    await eventually(process.leads, 60)
    wanted = BASE
    await engines.apply({"demo": wanted})
    await engines.serve("demo")
    before = await engines.look()
    children, compatible = await _contents(kube), await _compatible(kube)
    for group in _grouped(edit for edit in EDITS if edit.before is BASE):
        for edit in group:
            wanted = edited(wanted, edit.path, edit.value)
            print(f"{edit.path:52} in place  {edit.effect.words}")
        await engines.apply({"demo": wanted})
        await eventually(lambda: kube.programmed("demo"), 60)
        now, says = await _contents(kube), await _compatible(kube)
        changed = {name.split("/")[0] for name in {*children, *now} if children.get(name) != now.get(name)}
        assert changed == group[0].effect.children, group
        assert (says != compatible) == (group[0].effect is Effect.CONDITION), group
        children, compatible = now, says
    after = await engines.look()
    assert after.keys() == before.keys()
    assert all(after[tier].keys() == before[tier].keys() and _same(before[tier], after[tier]) for tier in before)


async def _contents(kube: Kube) -> dict[str, Any]:
    """What is asked for by each child: its status and what controllers note on it are left out."""
    found = {}
    for name, item in (await kube.children("demo")).items():
        annotations = item["metadata"].get("annotations", {})
        own = {key: value for key, value in annotations.items() if not key.startswith("deployment.kubernetes.io/")}
        found[name] = item["metadata"].get("labels"), own, item.get("spec"), item.get("data")
    return found


async def _compatible(kube: Kube) -> tuple[str | None, ...]:
    condition = await kube.condition("demo", "TiersCompatible")
    return condition.get("status"), condition.get("reason")


async def test_what_is_no_field_of_the_spec(kube: Kube, operator: StartOperator) -> None:
    """Labels, annotations, a model's config in a ConfigMap, the order of tiers, an upgrade and a price after it."""
    engines = Engines(kube)
    first = await operator("--engine-image=registry.example/engine:1", restart=True)
    await eventually(first.leads, 60)
    await _neighbours(kube, "demo")
    tiers = [
        {**MAP, "name": "stated", "engine": {"gpus": 4}, "podTemplate": DROPPED},
        {**FREE_MAP, "name": "free"},
        {**FREE, "name": "priced"},
    ]
    await engines.apply({"demo": {"tiers": tiers}})
    await engines.serve("demo")
    before, told = await engines.look(), await engines.sizings(["demo"])

    await kube.patch(CLUSTER, "demo", {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}})
    await kube.patch(CONFIG_MAP, "maps", {"data": {"config.json": CONFIG_MAPS["large"]["config.json"]}})
    await eventually(lambda: engines.say("UpdateAvailable", "True", "demo"), 60)
    condition = await kube.condition("demo", "UpdateAvailable")
    assert "free" in condition["message"], "where the engine would come out different, it is said and not done"
    assert "stated" not in condition["message"]
    tells = await engines.sizings(["demo"])
    assert {tier for cluster, tier in told if told[cluster, tier] != tells[cluster, tier]} == {"stated"}
    await kube.patch(CONFIG_MAP, "maps", {"data": CONFIG_MAPS["maps"]})
    await eventually(lambda: engines.say("UpdateAvailable", "False", "demo"), 60)

    policy = await kube.get(CONFIG_MAP, "demo-policy")
    await engines.apply({"demo": {"tiers": tiers[::-1]}})
    await eventually(lambda: kube.programmed("demo"), 60)
    assert (await kube.get(CONFIG_MAP, "demo-policy"))["data"] != policy["data"]

    await first.stop()
    second = await operator("--engine-image=registry.example/engine:2", restart=True)
    await eventually(second.leads, 60)
    await eventually(lambda: engines.say("UpdateAvailable", "True", "demo"), 60)
    tiers[2]["accelerator"] = {"type": "A100-80GB", "dollarsPerHour": "9.5"}
    await engines.apply({"demo": {"tiers": tiers}})
    await eventually(lambda: engines.say("Accepted", "True", "demo"), 60)
    tells = await engines.sizings(["demo"])
    assert {tier for cluster, tier in told if told[cluster, tier] != tells[cluster, tier]} == {"priced"}
    assert await engines.say("UpdateAvailable", "True", "demo")

    after = await engines.look()
    assert after.keys() == before.keys()
    assert all(after[tier].keys() == before[tier].keys() and _same(before[tier], after[tier]) for tier in before)
