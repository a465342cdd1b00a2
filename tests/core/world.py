"""A whole small world: API server, controllers, kubelet and the operator's shell around the core, in steps of a tick.

The operator carries outcomes out as `outcome.py` says. It can look through stale views and die between any two
effects. The world checks what must hold at every moment: the policy's version, and that engines are un-routed first.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Delete, Event, Failure
from heterollm_controllers.api.timestamps import stamp
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_controllers.reconcile.pipeline import reconcile
from heterollm_controllers.render.diff import digest
from tests.core.builders import NOW, api_tier
from tests.core.fake_controllers import Controllers
from tests.core.fake_server import Body, Conflict, Invalid, Server

__all__ = ["NAME", "Crash", "View", "World", "settled"]

NAME = "demo"
TICK = timedelta(seconds=5)

View = Mapping[tuple[str, str], Body]


def settled(*tiers: dict[str, Any], **spec: Any) -> World:
    """A cluster that has been Ready for a while."""
    return _settled(json.dumps([tiers, spec])).copy()


@cache
def _settled(text: str) -> World:
    tiers, spec = json.loads(text)
    world = World(*tiers, **spec)
    world.settle()
    assert world.ready()
    return world


class Crash(Exception):
    """The operator dies here."""


class World:
    """One HeteroLLMCluster and everything around it."""

    def __init__(self, *tiers: dict[str, Any], config: Config | None = None, first_uid: int = 1, **spec: Any) -> None:
        self.server = Server(first_uid)
        self.controllers = Controllers(self.server)
        self.config = config or Config()
        self.now = NOW
        self.events: list[Event] = []
        self.failures: tuple[Failure, ...] = ()
        self.requeue_after: float | None = None
        self.retry = False
        self._quiet_since: tuple[int, datetime] | None = None
        self.metrics: Callable[[], Readings | None] = lambda: None
        """What the poller had from Prometheus at the last tick."""
        self.watch: Callable[[], None] = lambda: None
        """Called after every tick, for what must hold throughout a test."""
        self._published: dict[int, str] = {}
        cluster = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": NAME}}
        self.server.create({**cluster, "spec": {"tiers": list(tiers) or [api_tier()], **spec}})

    def copy(self) -> World:
        """A world that goes on from here on its own."""
        other = copy.copy(self)
        other.server = self.server.copy()
        other.controllers = self.controllers.copy(other.server)
        other.events, other._published = [*self.events], dict(self._published)
        return other

    # --- what users do

    def change(self, *tiers: dict[str, Any], **spec: Any) -> None:
        """Replace the spec."""
        new = {"tiers": list(tiers), **spec}
        self.server.edit(names.KIND, NAME, lambda live: live.update(spec=copy.deepcopy(new)))

    def annotate(self, key: str, value: str | None) -> None:
        """Set or remove an annotation of the cluster."""

        def change(live: Body) -> None:
            annotations = {**live["metadata"].get("annotations", {}), key: value}
            live["metadata"]["annotations"] = {k: v for k, v in annotations.items() if v is not None}

        self.server.edit(names.KIND, NAME, change)

    def scale_by_hand(self, engine: str, replicas: int) -> None:
        """As with kubectl scale."""
        self.server.edit("StatefulSet", engine, lambda live: live["spec"].update(replicas=replicas))
        self.controllers.tick()

    # --- time

    def tick(self, reconcile: bool = True) -> None:
        """The world moves, then the operator looks until it has nothing more to do at once."""
        self.now += TICK
        self.server.now = stamp(self.now)
        self.controllers.tick()
        if reconcile:
            self.reconcile_until_quiet()
        self.watch()

    def ticks(self, count: int) -> None:
        """Several of them."""
        for _ in range(count):
            self.tick()

    def settle(self, most: int = 120) -> None:
        """Tick until nothing changes any more."""
        quiet = 0
        for _ in range(most):
            before = self.server.version
            self.tick()
            waiting = self.requeue_after is not None
            quiet = quiet + 1 if before == self.server.version and not waiting else 0
            if quiet == 3:
                return
        raise AssertionError(f"does not settle: {self.server.writes[-10:]}, {self.status}")

    def until(self, condition: Callable[[], bool], most: int = 60) -> None:
        """Tick until the condition holds."""
        for _ in range(most):
            if condition():
                return
            self.tick()
        raise AssertionError(f"never: {self.status}")

    # --- the operator

    def view(self) -> View:
        """What a perfect cache holds. Bodies are never changed in place, so this stays as it is."""
        return dict(self.server.objects)

    def restart_operator(self) -> None:
        """A new process knows nothing but what the API server tells, and looks at everything once."""
        self.failures, self._quiet_since = (), None

    def upgrade_operator(self, config: Config) -> None:
        """Another version of the operator takes over."""
        self.config = config
        self.restart_operator()

    def reconcile_until_quiet(self) -> None:
        """Looks follow each other while they change anything; none begins while nothing has happened."""
        if self._nothing_happened():
            return
        for _ in range(12):
            failures, before = self.failures, len(self.server.writes)
            self.reconcile()
            quiet = before == len(self.server.writes)
            if self.failures == failures and (quiet or failures):
                self._quiet_since = self.server.version, self.now
                return
        raise AssertionError(f"looks never stop writing: {self.server.writes[-8:]}")

    def _nothing_happened(self) -> bool:
        if self._quiet_since is None or self.failures:
            return False
        if self.retry:
            return False
        version, since = self._quiet_since
        due = self.requeue_after is not None and self.now >= since + timedelta(seconds=self.requeue_after)
        return version == self.server.version and not due and self.metrics() is None

    def outcome(self, view: View | None = None) -> Outcome:
        """What the core decides on a view, with the API server's answers to its dry runs."""
        observed = self.observed(view)
        outcome = reconcile(observed, self.config, self.now)
        if not outcome.check:
            return outcome
        dry_run_results = {digest(manifest): self.server.dry_run(manifest) for manifest in outcome.check}
        outcome = reconcile(replace(observed, dry_run_results=dry_run_results), self.config, self.now)
        assert outcome.check == ()
        return outcome

    def observed(self, view: View | None = None) -> Observed:
        """What the core is given of a view."""
        view = self.view() if view is None else view
        cluster = view[names.KIND, NAME]
        children = tuple(
            body
            for (kind, _), body in view.items()
            if kind != names.KIND and (body["metadata"].get("labels") or {}).get(names.CLUSTER) == NAME
        )
        return Observed(cluster, children, failures=self.failures, readings=self.metrics())

    def reconcile(self, view: View | None = None, effects: int | None = None) -> None:
        """One look, dying before effect number `effects` if given."""
        view = self.view() if view is None else view
        cluster = view.get((names.KIND, NAME))
        if cluster is None or "deletionTimestamp" in cluster["metadata"]:
            return
        outcome = self.outcome(view)
        self.requeue_after, self.retry = outcome.requeue_after, outcome.retry or bool(outcome.defects)
        steps = self._steps(cluster, outcome)
        failures: list[Failure] = []
        try:
            for number, step in enumerate(steps):
                if number == effects:
                    raise Crash
                failures += filter(None, [step(failures)])
        except Conflict:
            return
        self.failures = tuple(failures)

    def _steps(self, cluster: Body, outcome: Outcome) -> Iterator[Callable[[list[Failure]], Failure | None]]:
        """Every effect of an outcome, in the order of the contract: first the status, or the proof that it is current.

        A step is told what failed before it, and answers why it fails itself.
        """
        if outcome.status != cluster.get("status", {}):
            yield lambda _: self.server.write_status(cluster, outcome.status)
        elif outcome.apply or outcome.delete:
            yield lambda _: self.server.fence(cluster)
        for event in outcome.events:
            yield lambda _, event=event: self.events.append(event)  # type: ignore[misc]
        for manifest in outcome.apply:
            yield lambda failed, manifest=manifest: self._apply(manifest, failed)  # type: ignore[misc]
        for item in outcome.delete:
            yield lambda failed, item=item: self._delete(item, failed)  # type: ignore[misc]

    def _apply(self, manifest: Body, failed: list[Failure]) -> Failure | None:
        revision = manifest["metadata"]["annotations"].get(names.REVISION)
        if any(why.kind == "ControllerRevision" and why.name == revision and not why.conflict for why in failed):
            return None
        live = self.server.get(manifest["kind"], manifest["metadata"]["name"])
        owners = live["metadata"].get("ownerReferences", []) if live is not None else []
        if live is not None and not any(owner["name"] == NAME for owner in owners):
            return Failure.not_ours(manifest["kind"], manifest["metadata"]["name"])
        try:
            applied = self.server.apply(manifest)
        except Invalid as error:
            return Failure(manifest["kind"], manifest["metadata"]["name"], f"is refused: {error}")
        if applied["kind"] == "ConfigMap":
            self._check_version(applied["data"])
        return None

    def _delete(self, item: Delete, failed: list[Failure]) -> None:
        if any(why.kind == "ConfigMap" and not why.conflict for why in failed):
            return
        live = self.server.get(item.kind, item.name)
        if live is not None and live["metadata"]["uid"] == item.uid:
            self._check_unrouted(live)
        self.server.delete(item.kind, item.name, item.uid, item.grace_seconds, item.foreground)

    # --- what must hold at every moment

    def _check_version(self, data: Mapping[str, str]) -> None:
        """A version stands for one content, and routers never see an older one after a newer."""
        version = int(data["version"])
        content = json.dumps(data, sort_keys=True)
        assert version >= max(self._published, default=0), "the policy version went back"
        assert self._published.setdefault(version, content) == content, "one version, two contents"

    def _check_unrouted(self, body: Body) -> None:
        """Whatever the operator deletes of an engine, the published policy has let go of it."""
        pods = {"Pod": [body], "StatefulSet": self.controllers.pods_of(body)}.get(body["kind"], [])
        addresses = {(pod.get("status") or {}).get("podIP") for pod in pods}
        assert not addresses & self.routed_addresses(), f"{body['metadata']['name']} is deleted while routed"

    # --- what there is

    @property
    def cluster(self) -> Body:
        """The HeteroLLMCluster."""
        return self.server.objects[names.KIND, NAME]

    @property
    def status(self) -> Body:
        """Its status."""
        status = self.cluster.get("status", {})
        assert isinstance(status, dict)
        return status

    def condition(self, kind: str) -> Body:
        """One condition of the status."""
        return next(item for item in self.status["conditions"] if item["type"] == kind)

    def holds(self, kind: str) -> bool:
        """Whether a condition is True, and said of the current generation."""
        if "conditions" not in self.status:
            return False
        condition = self.condition(kind)
        current = condition["observedGeneration"] == self.cluster["metadata"]["generation"]
        return bool(current and condition["status"] == "True")

    def ready(self) -> bool:
        """Whether the cluster says it is Ready."""
        return self.holds("Ready")

    def engines(self, tier: str = "small") -> dict[str, Body]:
        """StatefulSets of a tier by name."""
        prefix = f"{NAME}-{tier}-"
        sets = {item["metadata"]["name"]: item for item in self.server.of_kind("StatefulSet")}
        return {name: item for name, item in sets.items() if name.startswith(prefix)}

    def images(self, tier: str = "small") -> dict[str, str]:
        """What the leaders of a tier's engines really run."""
        pods = {pod["metadata"]["name"]: pod for pod in self.server.of_kind("Pod")}
        return {
            name: pods[f"{name}-0"]["spec"]["containers"][0]["image"]
            for name in self.engines(tier)
            if f"{name}-0" in pods
        }

    def uids(self, kind: str = "Pod") -> dict[str, str]:
        """Who is who, to see that nobody was replaced."""
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in self.server.of_kind(kind)}

    def serving(self, tier: str = "small") -> list[str]:
        """Engines that really answer what the published policy routes to them."""
        routed = self.routed_addresses()
        return [
            name
            for name, engine in self.engines(tier).items()
            if self.controllers.whole(engine) and self.controllers.pods_of(engine)[0]["status"]["podIP"] in routed
        ]

    def policy(self) -> Mapping[str, str]:
        """Data of the policy ConfigMap."""
        body = self.server.get("ConfigMap", f"{NAME}-policy")
        return body["data"] if body is not None else {}

    def routed_addresses(self) -> set[str]:
        """Addresses that the published policy sends requests to."""
        found: set[str] = set()
        for key, text in self.policy().items():
            if key.startswith("eds-"):
                for resource in json.loads(text)["resources"]:
                    for group in resource["endpoints"]:
                        for item in group["lb_endpoints"]:
                            found.add(item["endpoint"]["address"]["socket_address"]["address"])
        return found

    def actions(self) -> list[tuple[str, str]]:
        """The journal: what was decided, of what."""
        return [(item["action"], item["subject"]) for item in self.status["decisions"]]
