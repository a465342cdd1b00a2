"""Steps 5 and 6: every object the cluster should have, what of it to apply, and what to delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from heterollm_controllers.api import names
from heterollm_controllers.api.objects import Delete, Failure, Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.engines.gang_placement import as_placed
from heterollm_controllers.engines.gang_restart import KILL_GRACE_SECONDS
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.engines import ObservedEngine
from heterollm_controllers.reconcile.context import ReconcileContext
from heterollm_controllers.reconcile.control_loop import Steering
from heterollm_controllers.reconcile.journal import Journal
from heterollm_controllers.render.cluster import cluster_objects, policy_object, tier_objects
from heterollm_controllers.render.diff import differs, stamped
from heterollm_controllers.render.engine import engine_from
from heterollm_controllers.render.revision import revision_again
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.translate import routing_policy
from heterollm_controllers.routing.versioning import Publication, publish

__all__ = ["Wanted", "engines_to_delete", "publication", "to_apply", "to_prune", "wanted_children"]


def publication(
    context: ReconcileContext, spec: HeteroLLMClusterSpec, views: Sequence[TierView], steering: Steering
) -> Publication:
    """The routing policy, and its version. `spec`: with the tiers that the routers shall know."""
    policy = routing_policy(context.cluster.name, spec, views, steering.traffic.shares)
    live = context.live("ConfigMap", names.policy_name(context.cluster.name))
    return publish(partial(envoy_files, policy), live.data if live is not None else {}, context.status.routing)


@dataclass(frozen=True)
class Wanted:
    """Children in the order in which to apply them: the policy before the routers.

    Attributes:
        complete: whether these are all; where a part could not be rendered, nobody knows what else is wanted.
    """

    children: tuple[Manifest, ...]
    complete: bool


def wanted_children(
    context: ReconcileContext, views: Sequence[TierView], policy: Publication | None, journal: Journal
) -> Wanted:
    """Every object the cluster should have, as far as it can be rendered. A `policy` of None leaves the live one."""
    parts: list[tuple[str, Callable[[], list[Manifest]]]] = [
        ("shared objects", lambda: cluster_objects(context.cluster, context.spec, context.config)),
    ]
    if policy is not None:
        parts.insert(0, ("routing policy", lambda: [policy_object(context.cluster, policy.files, policy.version)]))
    for tier in context.spec.engine_tiers:
        parts.append((f"objects of tier {tier.name}", partial(tier_objects, context.cluster, tier)))
    for view in views:
        parts.append((f"engines of tier {view.chosen.tier.name}", partial(_engines, context, view)))
    failed = len(journal.failed)
    children = [
        stamped(manifest) for what, render in parts for manifest in journal.attempt(what, render, list[Manifest])
    ]
    return Wanted(tuple(children), complete=policy is not None and len(journal.failed) == failed)


def _engines(context: ReconcileContext, view: TierView) -> list[Manifest]:
    """The revisions that a tier's engines are made from, the engines that stay, and those that are added."""
    revisions = {revision.name: revision for revision in context.revisions(view.chosen.tier.name)}
    revisions[view.chosen.name] = view.chosen.revision
    used = {view.chosen.name, *(engine.revision for engine in view.engines)}
    again = [revision_again(context.cluster, revisions[name]) for name in sorted(used) if name in revisions]
    wanted = [dict(revision.manifest) for revision in again]
    staying = [engine for engine in view.engines if not engine.leaving and engine.name not in view.drained]
    for engine in staying:
        if engine.revision in revisions:
            whole = engine_from(context.cluster, revisions[engine.revision], engine.name)
            wanted.append(as_placed(whole, view.placement(engine)))
    return wanted + [engine_from(context.cluster, view.chosen.revision, name) for name in view.added]


def to_apply(context: ReconcileContext, wanted: Wanted) -> tuple[list[Manifest], list[Failure]]:
    """What differs from its live state; an object of the same name that is not ours is left alone and reported."""
    apply: list[Manifest] = []
    conflicts: list[Failure] = []
    everything = {child.key: child for child in context.children}
    for manifest in wanted.children:
        key = manifest["kind"], manifest["metadata"]["name"]
        live = everything.get(key)
        if live is not None and not context.owns(live):
            conflicts.append(Failure.not_ours(*key))
        elif differs(manifest, live.manifest if live is not None else None):
            apply.append(manifest)
    return apply, conflicts


def engines_to_delete(views: Sequence[TierView], removed: Iterable[ObservedEngine]) -> list[Delete]:
    """Engines to drain (the routers let go first: the policy is applied before that) and pods to restart."""
    drained = [engine for view in views for engine in view.engines if engine.name in view.drained]
    leaving = [engine for engine in [*drained, *removed] if not engine.leaving]
    # Foreground: the StatefulSet, and with it the name, stays taken until the last pod is gone.
    deletes = [Delete("apps/v1", "StatefulSet", engine.name, engine.uid, foreground=True) for engine in leaving]
    pods = [
        pod
        for view in views
        for engine in view.engines
        for pod in (*view.gangs[engine.name].pods_to_delete, *view.placement(engine).pods_to_delete)
    ]
    return deletes + [Delete("v1", "Pod", pod.name, pod.uid, grace_seconds=KILL_GRACE_SECONDS) for pod in pods]


def to_prune(context: ReconcileContext, wanted: Wanted) -> list[Delete]:
    """Our objects that are no longer wanted. Engines have their own way to go."""
    if not wanted.complete:
        return []
    keys = {(item["kind"], item["metadata"]["name"]) for item in wanted.children}
    return [
        Delete(child.api_version, child.kind, child.name, child.uid)
        for child in context.owned
        if child.kind not in ("Pod", "StatefulSet") and child.key not in keys and not child.leaving
    ]
