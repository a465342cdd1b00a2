"""One look at a cluster: from what is observed to what to record and what to do. Pure: same input, same outcome."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError

from heterollm_controllers.api import names
from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Delete, Event, Failure, Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import (
    Decision,
    HeteroLLMClusterStatus,
    PlacementStatus,
    RoutingStatus,
)
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.engines.gang_placement import (
    Candidate,
    Placement,
    as_placed,
    place_gangs,
)
from heterollm_controllers.engines.gang_restart import KILL_GRACE_SECONDS, check_gang
from heterollm_controllers.engines.revisions import Chosen, choose, keep
from heterollm_controllers.engines.rollout import next_step
from heterollm_controllers.engines.standby import on_standby
from heterollm_controllers.engines.tier_engines import TierEngines, lost_since, tier_state_of
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.earlier_status import earlier_engines, earlier_status, earlier_tier
from heterollm_controllers.observation.engines import ObservedEngine, engines_of
from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_controllers.reconcile.control_loop import Steering, SteeringInput, steer
from heterollm_controllers.reconcile.control_state import control_state_of
from heterollm_controllers.reconcile.internal_error import described
from heterollm_controllers.render.cluster import cluster_objects, policy_object, tier_objects
from heterollm_controllers.render.diff import differs, digest, stamped
from heterollm_controllers.render.engine import engine_from
from heterollm_controllers.render.owner import Cluster
from heterollm_controllers.render.revision import revision_again
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.translate import routing_policy
from heterollm_controllers.routing.versioning import Publication, publish
from heterollm_controllers.sizing import ConfigMaps
from heterollm_controllers.status.cluster_conditions import cluster_conditions
from heterollm_controllers.status.conditions import ConditionUpdate, conditions, previous, transitions
from heterollm_controllers.status.decisions import journal
from heterollm_controllers.status.metrics_available import metrics_available
from heterollm_controllers.status.ready import Wait
from heterollm_controllers.status.tier_status import tier_status
from heterollm_controllers.status.tiers_compatible import UNCHECKED, compatible, family_mismatch
from heterollm_controllers.traffic.plan import state_in_force

__all__ = ["reconcile"]


def reconcile(observed: Observed, config: Config, now: datetime) -> Outcome:
    """Decide what to do about one cluster at `now` (timezone-aware)."""
    status = observed.cluster.get("status") or {}
    if "deletionTimestamp" in observed.cluster["metadata"]:
        return Outcome(status=dict(status))  # the garbage collector deletes the children
    if observed.unseen:
        return _unseen(observed, now)
    try:
        spec = HeteroLLMClusterSpec.model_validate(observed.cluster["spec"])
    except ValidationError as error:
        return _invalid(observed, str(error), config, now)
    return _Look(observed, spec, config, now).outcome()


def _invalid(observed: Observed, message: str, config: Config, now: datetime) -> Outcome:
    """A spec that an older schema let in: say so, and touch nothing."""
    cluster = Cluster(observed.cluster)
    known = earlier_status(observed.cluster)
    refusal = Impossible(Reason.INVALID_SPEC, message)
    before = previous(known)
    figures = metrics_available("", config.prometheus, read=False, before=before.get(ConditionType.METRICS_AVAILABLE))
    after = conditions(
        cluster_conditions([refusal], [], [], [], False, UNCHECKED, figures), before, cluster.generation, now
    )
    updated = known.model_copy(update={"observed_generation": cluster.generation, "conditions": after})
    return Outcome(status=updated.to_wire(), events=tuple(transitions(before, after)))


def _unseen(observed: Observed, now: datetime) -> Outcome:
    """Children that nobody sees may exist: say so, and touch nothing."""
    cluster = Cluster(observed.cluster)
    known = earlier_status(observed.cluster)
    what = ", ".join(observed.unseen)
    message = f"nothing is changed while the operator cannot watch the {what} of namespace {cluster.namespace}"
    before = previous(known)
    update = ConditionUpdate(ConditionType.PROGRAMMED, False, Reason.WATCH_REFUSED, message)
    after = conditions([update], before, cluster.generation, now)
    kept = [condition for condition in known.conditions if condition.type != ConditionType.PROGRAMMED]
    updated = known.model_copy(update={"conditions": (*kept, *after)})
    return Outcome(status=updated.to_wire(), events=tuple(transitions(before, after)))


_MAY_END_UNSEEN = {Reason.POD_TEMPLATE_INVALID, Reason.FORBIDDEN, Reason.NOT_CHECKED, Reason.INTERNAL_ERROR}
"""Refusals by what no watch shows: a quota is raised, a policy goes, a webhook answers again."""

_WARNED = {
    Reason.ENGINE_RESTARTED,
    Reason.ENGINE_RELEASED,
    Reason.SCALING_LIMITED,
    Reason.TIER_ESCALATED,
    Reason.PURE_LARGE,
}
"""Decisions that somebody should hear of."""


@dataclass
class _Look:
    """The steps of one look; each method does one of them and reads only what the earlier ones found."""

    observed: Observed
    spec: HeteroLLMClusterSpec
    config: Config
    now: datetime
    decisions: list[Decision] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    defects: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.observed.cluster)
        self.status = earlier_status(self.observed.cluster)
        self.conditions = previous(self.status)
        self.owned = [child for child in self.observed.children if _owned_by(child, self.cluster.uid)]
        pods = [child for child in self.observed.children if child["kind"] == "Pod"]
        self.engines = engines_of([*self.owned, *pods])
        self.mismatch = family_mismatch(self.spec, self._config_maps())
        self.known = earlier_engines(self.status)

    def outcome(self) -> Outcome:
        chosen, refusals = self._choose()
        checks = self._unchecked(chosen)
        if checks:
            return Outcome(status=dict(self.observed.cluster.get("status") or {}), check=tuple(checks))
        placements = self._placements(chosen)
        crews = [self._tier_engines(item, placements) for item in chosen]
        steering, steered_by = self._steer(crews)
        views = [self._view(crew, placements, steering) for crew in crews]
        removed = self._removed_engines(views)
        publication = self._publication(views, steering)
        policy = policy_object(self.cluster, publication.files, publication.version)
        wanted = self._wanted(views, policy)
        apply, conflicts = self._to_apply(wanted)
        failures = (*self.observed.failures, *conflicts)
        publishing = any(item["kind"] == "ConfigMap" for item in apply)
        waits = self._waits(removed, publishing)
        status = self._status(views, refusals, failures, bool(apply), waits, publication, steering)
        return Outcome(
            status=status.to_wire(),
            events=(*self.events, *transitions(self.conditions, status.conditions)),
            apply=tuple(apply),
            delete=(*self._departures(views, removed), *self._prune(wanted)),
            requeue_after=self._next_deadline(views, steering),
            steering=steered_by,
            retry=any(refusal.reason in _MAY_END_UNSEEN for refusal in refusals),
            defects=tuple(self.defects),
        )

    # --- which revision each tier should run -------------------------------------------------------------------

    def _choose(self) -> tuple[list[Chosen], list[Impossible]]:
        chosen: list[Chosen] = []
        refusals: list[Impossible] = []
        for tier in self.spec.tiers:
            try:
                chosen.append(self._new_choice(tier))
            except Impossible as refusal:
                refusals.append(refusal)
            except Exception as error:  # a defect met by this tier: the others, and its engines, must go on
                self.defects.append(error)
                refusals.append(Impossible(Reason.INTERNAL_ERROR, f"tier {tier.name}: {described(error)}"))
            else:
                continue
            former = keep(tier, self._revisions(tier.name), earlier_tier(self.status, tier.name))
            chosen += [former] if former is not None else []
        return chosen, refusals

    def _new_choice(self, tier: Tier) -> Chosen:
        """The revision that the tier's spec asks for. Raises Impossible where it cannot be carried out."""
        self._refuse_other_families()
        chosen = choose(
            self.cluster,
            self.spec,
            tier,
            self._revisions(tier.name),
            self._recorded(tier),
            self.config,
            self._config_maps(),
        )
        self._refuse_by_dry_run(chosen)
        return chosen

    def _revisions(self, tier: str) -> list[Mapping[str, Any]]:
        return [
            child
            for child in self.owned
            if child["kind"] == "ControllerRevision" and child["data"]["tier"]["name"] == tier
        ]

    def _refuse_other_families(self) -> None:
        if self.spec.family_check == "Refuse" and self.mismatch:
            raise Impossible(Reason.FAMILY_MISMATCH, self.mismatch)

    def _config_maps(self) -> ConfigMaps:
        """Those that carry the cluster's label, whoever made them."""
        maps = (child for child in self.observed.children if child["kind"] == "ConfigMap")
        return {item["metadata"]["name"]: item.get("data") or {} for item in maps}

    def _known_revision(self, tier: str) -> str | None:
        known = earlier_tier(self.status, tier)
        return known.revision if known is not None else None

    def _recorded(self, tier: Tier) -> str | None:
        """The tier's recorded revision, if it was recorded for an accepted spec of exactly this generation."""
        return self._known_revision(tier.name) if self._held(ConditionType.ACCEPTED) else None

    def _held(self, kind: ConditionType) -> bool:
        """Whether a condition was recorded to hold for exactly this generation."""
        known = self.conditions.get(kind)
        return known is not None and known.status == "True" and known.observed_generation == self.cluster.generation

    def _trial(self, chosen: Chosen) -> Manifest:
        """The next engine of a new revision, for the API server's dry run."""
        taken = {engine.ordinal for engine in self.engines if engine.tier == chosen.tier.name}
        ordinal = next(number for number in range(len(taken) + 1) if number not in taken)
        name = names.engine_name(self.cluster.name, chosen.tier.name, ordinal)
        return engine_from(self.cluster, chosen.revision, name)

    def _refuse_by_dry_run(self, chosen: Chosen) -> None:
        refusal = self.observed.dry_run_results.get(digest(self._trial(chosen))) if chosen.is_new else None
        if refusal is not None:
            raise Impossible(refusal.reason, f"tier {chosen.tier.name}: {refusal.message}")

    def _unchecked(self, chosen: Sequence[Chosen]) -> list[Manifest]:
        trials = [self._trial(item) for item in chosen if item.is_new]
        return [trial for trial in trials if digest(trial) not in self.observed.dry_run_results]

    # --- engines ------------------------------------------------------------------------------------------------

    def _placements(self, chosen: Sequence[Chosen]) -> dict[str, Placement]:
        """How the engines of all tiers, which may want the same GPUs, find their nodes."""
        placements = place_gangs((item for view in chosen for item in self._candidates(view.tier)), self.now)
        for name, placement in placements.items():
            if placement.released:
                self._decide(Reason.ENGINE_RELEASED, name, placement.released)
            if placement.retried:
                self._decide(Reason.ENGINE_RETRIED, name, placement.retried)
        return placements

    def _candidates(self, tier: Tier) -> Iterable[Candidate]:
        pool = f"{tier.accelerator.resource_name} {tier.accelerator.type}"
        time = timedelta(seconds=tier.engine.placement_seconds)
        for engine in self.engines:
            if engine.tier == tier.name:
                known = self.known.get(engine.name)
                memory = known.placement if known is not None else None
                yield Candidate(engine, memory or PlacementStatus(), pool, time)

    def _tier_engines(self, chosen: Chosen, placements: Mapping[str, Placement]) -> TierEngines:
        """A tier's engines, and which of them are whole."""
        tier = chosen.tier.name
        seen = [engine for engine in self.engines if engine.tier == tier]
        off = {name for name, placement in placements.items() if placement.off}
        gangs = {
            engine.name: check_gang(engine, self.known.get(engine.name), self.now, engine.name in off)
            for engine in seen
        }
        broken = off | {name for name, gang in gangs.items() if gang.why}
        engines = tuple(replace(engine, broken=engine.name in broken) for engine in seen)
        reserves = frozenset(engine.name for engine in seen if self._phase_before(engine.name) == "Standby")
        lost_at = lost_since(engines, earlier_tier(self.status, tier), self.now)
        return TierEngines(chosen, engines, gangs, reserves, lost_at)

    def _steer(self, crews: Sequence[TierEngines]) -> tuple[Steering, SteeringInput]:
        """How many engines each tier should have, and which fallback is in force."""
        facts = tuple(tier_state_of(crew) for crew in crews)
        steering = steer(self.spec, facts, control_state_of(self.status), self.observed.readings, self.now)
        for decision in steering.decisions:
            self._decide(Reason(decision.action), decision.subject, decision.message)
        return steering, SteeringInput(self.spec, facts, steering.state, steering.missing, steering.refused)

    def _view(self, crew: TierEngines, placements: Mapping[str, Placement], steering: Steering) -> TierView:
        chosen, engines, tier = crew.chosen, crew.engines, crew.name
        scaling = steering.state.scaling.get(tier)
        desired = steering.state.target(chosen.tier)
        # Engines on standby have nothing to do, those without figures may have much.
        load = {item.name: 0.0 if item.name in crew.reserves else math.inf for item in engines} | dict(steering.load)
        reserve = chosen.tier.replicas.standby
        step = next_step(desired + reserve, chosen.name, engines, load)
        added = tuple(names.engine_name(self.cluster.name, tier, ordinal) for ordinal in step.add)
        drained = frozenset(engine.name for engine in step.drain)
        if chosen.name != self._known_revision(tier):
            self._decide(Reason.NEW_REVISION, tier, f"{chosen.name}: {_differences(chosen)}")
        new = [name for name in added if name not in self.known]
        if new:
            self._decide(Reason.ENGINE_ADDED, tier, f"{', '.join(new)}: {step.why}")
        for engine in step.drain:
            if self._phase_before(engine.name) != "Draining":
                self._decide(Reason.ENGINE_DRAINED, engine.name, step.why)
        for name, gang in crew.gangs.items():
            if gang.pods_to_delete:
                self._decide(Reason.ENGINE_RESTARTED, name, f"restart {gang.restarts}: {gang.why}")
        staying = [engine for engine in engines if engine.name not in drained]
        standby = on_standby(staying, desired, crew.reserves, load) if reserve else frozenset[str]()
        return TierView(
            chosen, desired, engines, crew.gangs, placements, added, drained, standby, scaling, crew.lost_at
        )

    def _removed_engines(self, views: Sequence[TierView]) -> list[ObservedEngine]:
        """Engines of tiers that the spec no longer has; a tier that is merely not accepted keeps its engines."""
        tiers = {tier.name for tier in self.spec.tiers} | {view.chosen.tier.name for view in views}
        removed = [engine for engine in self.engines if engine.tier not in tiers]
        for tier in sorted({engine.tier for engine in removed} & {item.name for item in self.status.tiers}):
            self._decide(Reason.TIER_REMOVED, tier, "the spec no longer has this tier")
        return removed

    def _phase_before(self, engine: str) -> str | None:
        known = self.known.get(engine)
        return known.phase if known else None

    def _decide(self, action: Reason, subject: str, message: str) -> None:
        text = message[:1024]
        self.decisions.append(Decision(time=self.now, action=action, subject=subject, message=text))
        kind = "Warning" if action in _WARNED else "Normal"
        self.events.append(Event(kind, action, f"{subject}: {text}"))

    # --- objects ------------------------------------------------------------------------------------------------

    def _publication(self, views: Sequence[TierView], steering: Steering) -> Publication:
        """The routing policy, and its version."""
        policy = routing_policy(self.cluster.name, self.spec, views, steering.state.fallback)
        live = self._live("ConfigMap", names.policy_name(self.cluster.name)) or {}
        return publish(partial(envoy_files, policy), live.get("data") or {}, self.status.routing)

    def _live(self, kind: str, name: str) -> Mapping[str, Any] | None:
        return next((item for item in self.owned if item["kind"] == kind and item["metadata"]["name"] == name), None)

    def _wanted(self, views: Sequence[TierView], policy: Manifest) -> list[Manifest]:
        """Every object the cluster should have, in the order in which to apply them: the policy before the routers."""
        revisions = {
            item["metadata"]["name"]: item for view in views for item in self._revisions(view.chosen.tier.name)
        }
        wanted: list[Manifest] = [policy, *cluster_objects(self.cluster, self.spec, self.config)]
        for tier in self.spec.tiers:
            wanted += tier_objects(self.cluster, tier)
        for view in views:
            revisions[view.chosen.name] = view.chosen.revision
            used = {view.chosen.name, *(engine.revision for engine in view.engines)}
            wanted += [revision_again(self.cluster, revisions[name]) for name in sorted(used) if name in revisions]
            staying = [engine for engine in view.engines if not engine.leaving and engine.name not in view.drained]
            for engine in staying:
                if engine.revision in revisions:
                    whole = engine_from(self.cluster, revisions[engine.revision], engine.name)
                    wanted.append(as_placed(whole, view.placement(engine)))
            wanted += [engine_from(self.cluster, view.chosen.revision, name) for name in view.added]
        return [stamped(manifest) for manifest in wanted]

    def _to_apply(self, wanted: Iterable[Manifest]) -> tuple[list[Manifest], list[Failure]]:
        """What differs from its live state; an object of the same name that is not ours is left alone and reported."""
        apply: list[Manifest] = []
        conflicts: list[Failure] = []
        everything = {(item["kind"], item["metadata"]["name"]): item for item in self.observed.children}
        for manifest in wanted:
            key = manifest["kind"], manifest["metadata"]["name"]
            live = everything.get(key)
            if live is not None and not _owned_by(live, self.cluster.uid):
                conflicts.append(Failure.not_ours(*key))
            elif differs(manifest, live):
                apply.append(manifest)
        return apply, conflicts

    def _departures(self, views: Sequence[TierView], removed: Sequence[ObservedEngine]) -> list[Delete]:
        """Engines to drain (the routers let go first: the policy is applied before that) and pods to restart."""
        leaving = [engine for view in views for engine in view.engines if engine.name in view.drained]
        gone = [engine for engine in [*leaving, *removed] if not engine.leaving]
        # Foreground: the StatefulSet, and with it the name, stays taken until the last pod is gone.
        deletes = [Delete("apps/v1", "StatefulSet", engine.name, engine.uid, foreground=True) for engine in gone]
        pods_to_delete = [
            pod
            for view in views
            for engine in view.engines
            for pod in (*view.gangs[engine.name].pods_to_delete, *view.placement(engine).pods_to_delete)
        ]
        return deletes + [
            Delete("v1", "Pod", pod.name, pod.uid, grace_seconds=KILL_GRACE_SECONDS) for pod in pods_to_delete
        ]

    def _prune(self, wanted: Iterable[Manifest]) -> list[Delete]:
        """Our objects that are no longer wanted. Engines have their own way to go."""
        keys = {(item["kind"], item["metadata"]["name"]) for item in wanted}
        return [
            Delete(item["apiVersion"], item["kind"], item["metadata"]["name"], item["metadata"]["uid"])
            for item in self.owned
            if item["kind"] not in ("Pod", "StatefulSet")
            and (item["kind"], item["metadata"]["name"]) not in keys
            and "deletionTimestamp" not in item["metadata"]
        ]

    # --- status -------------------------------------------------------------------------------------------------

    def _status(
        self,
        views: Sequence[TierView],
        refusals: Sequence[Impossible],
        failures: Sequence[Failure],
        pending: bool,
        waits: Sequence[Wait],
        publication: Publication,
        steering: Steering,
    ) -> HeteroLLMClusterStatus:
        figures = metrics_available(
            steering.missing,
            self.config.prometheus,
            self.observed.readings is not None,
            self.conditions.get(ConditionType.METRICS_AVAILABLE),
        )
        family = compatible(self.spec, self.mismatch)
        applying = pending and not self._held(ConditionType.PROGRAMMED)
        updates = cluster_conditions(
            refusals, views, waits, failures, applying, family, figures, refused=steering.refused
        )
        fallback = steering.state.fallback
        service = self.spec.routing.service
        port = "" if service.port == 80 else f":{service.port}"
        host = f"{self.cluster.name}.{self.cluster.namespace}.svc.{self.config.cluster_domain}"
        return HeteroLLMClusterStatus(
            observed_generation=self.cluster.generation,
            mode=state_in_force(fallback),
            engines=f"{sum(len(view.serving) for view in views)}/{sum(view.desired for view in views)}",
            conditions=conditions(updates, self.conditions, self.cluster.generation, self.now),
            tiers=tuple(tier_status(view) for view in views),
            routing=RoutingStatus(
                url=f"http://{host}{port}",
                policy_version=publication.version,
                policy_digest=publication.digest,
                routers=self._routers()[1],
            ),
            fallback=fallback,
            decisions=journal(self.status.decisions, self.decisions),
        )

    def _waits(self, removed: Sequence[ObservedEngine], publishing: bool) -> list[Wait]:
        """What Ready waits for beside the engines of the tiers."""
        waits: list[Wait] = []
        if removed:
            older = ", ".join(engine.name for engine in removed)
            waits.append(Wait(Reason.ENGINES_DRAINING, f"{older} of removed tiers finish their requests"))
        routers, _ = self._routers()
        if routers is not None:
            waits.append(Wait(Reason.ROUTERS_STARTING, routers))
        if publishing:
            waits.append(Wait(Reason.APPLYING, "the routing policy is being published"))
        return waits

    def _routers(self) -> tuple[str | None, int]:
        """What the routers still wait for, and how many are ready."""
        deployment = self._live("Deployment", names.router_name(self.cluster.name))
        if deployment is None:
            return "the routers are being created", 0
        status = deployment.get("status") or {}
        ready, wanted = status.get("readyReplicas", 0), self.spec.routing.replicas
        current = status.get("observedGeneration") == deployment["metadata"].get("generation")
        done = current and ready == wanted == status.get("updatedReplicas", 0) == status.get("replicas", 0)
        return (None if done else f"{ready}/{wanted} routers are ready"), ready

    def _next_deadline(self, views: Sequence[TierView], steering: Steering) -> float | None:
        """Seconds until a back-off of a broken or waiting engine ends, the time of one half placed, or a fallback."""
        deadlines = [gang.not_before for view in views for gang in view.gangs.values() if gang.why and gang.not_before]
        placements = (view.placement(engine) for view in views for engine in view.engines)
        deadlines += [placement.deadline for placement in placements if placement.deadline is not None]
        deadlines += [steering.deadline] if steering.deadline is not None else []
        later = [(deadline - self.now).total_seconds() for deadline in deadlines if deadline > self.now]
        return min(later, default=None)


def _owned_by(child: Mapping[str, Any], uid: str) -> bool:
    return any(owner["uid"] == uid for owner in child["metadata"].get("ownerReferences") or [])


def _differences(chosen: Chosen) -> str:
    sizing = chosen.sizing
    return (
        f"{chosen.tier.model.id} on {sizing.gpus_per_engine} x {chosen.tier.accelerator.type} per engine"
        f" over {sizing.nodes} node(s)"
    )
