"""All that one reconcile reads: what is observed, in the form in which the steps ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import Condition, EngineStatus, HeteroLLMClusterStatus, TierStatus
from heterollm_controllers.api.vocabulary import ConditionType
from heterollm_controllers.observation.child import Child
from heterollm_controllers.observation.earlier_status import earlier_engines, earlier_status, earlier_tier
from heterollm_controllers.observation.engines import ObservedEngine, engines_of
from heterollm_controllers.observation.revision import Revision
from heterollm_controllers.reconcile.contract import Observed
from heterollm_controllers.render.owner import Cluster
from heterollm_controllers.sizing import ConfigMaps
from heterollm_controllers.status.conditions import previous
from heterollm_controllers.status.tiers_compatible import family_mismatch

__all__ = ["ReconcileContext"]


@dataclass(frozen=True)
class ReconcileContext:
    """The inputs of a reconcile. No step changes them; what steps find they hand on by name."""

    observed: Observed
    spec: HeteroLLMClusterSpec
    config: Config
    now: datetime

    @cached_property
    def cluster(self) -> Cluster:
        return Cluster(self.observed.cluster)

    @cached_property
    def status(self) -> HeteroLLMClusterStatus:
        """The earlier status."""
        return earlier_status(self.observed.cluster)

    @cached_property
    def conditions(self) -> Mapping[str, Condition]:
        """The earlier conditions, by type."""
        return previous(self.status)

    @cached_property
    def children(self) -> list[Child]:
        """Every live object that carries the cluster's label, whoever owns it."""
        return [Child(manifest) for manifest in self.observed.children]

    @cached_property
    def owned(self) -> list[Child]:
        """The children that are the cluster's."""
        return [child for child in self.children if self.owns(child)]

    @cached_property
    def engines(self) -> list[ObservedEngine]:
        pods = [child for child in self.children if child.kind == "Pod"]
        return engines_of([*self.owned, *pods])

    @cached_property
    def known(self) -> Mapping[str, EngineStatus]:
        """What the earlier status says of engines, by name."""
        return earlier_engines(self.status)

    @cached_property
    def config_maps(self) -> ConfigMaps:
        """Those that carry the cluster's label, whoever made them."""
        return {child.name: child.data for child in self.children if child.kind == "ConfigMap"}

    @cached_property
    def family_mismatch(self) -> str:
        """Why requests should not move between the tiers; empty when they may."""
        return family_mismatch(self.spec, self.config_maps)

    def engines_in(self, tier: str) -> list[ObservedEngine]:
        return [engine for engine in self.engines if engine.tier == tier]

    def revisions(self, tier: str) -> list[Revision]:
        """The tier's."""
        found = (Revision(child.manifest) for child in self.owned if child.kind == "ControllerRevision")
        return [revision for revision in found if revision.tier_name == tier]

    def held(self, kind: ConditionType) -> bool:
        """Whether a condition was recorded to hold for exactly this generation."""
        known = self.conditions.get(kind)
        return known is not None and known.status == "True" and known.observed_generation == self.cluster.generation

    def tier_before(self, tier: str) -> TierStatus | None:
        """A tier in the earlier status."""
        return earlier_tier(self.status, tier)

    def revision_before(self, tier: str) -> str | None:
        """The tier's revision in the earlier status."""
        known = self.tier_before(tier)
        return known.revision if known is not None else None

    def phase_before(self, engine: str) -> str | None:
        known = self.known.get(engine)
        return known.phase if known else None

    def owns(self, child: Child) -> bool:
        """Whether a child is the cluster's. Anybody may give an object its label."""
        return self.cluster.uid in child.owners

    def live(self, kind: str, name: str) -> Child | None:
        """A child that is the cluster's."""
        return next((child for child in self.owned if child.key == (kind, name)), None)
