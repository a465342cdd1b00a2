"""Which engine revision a tier should run. An operator upgrade never changes it; the user's spec or opt-in does.

A revision is a ControllerRevision that holds what the user asked for and the rendered engine. As long as the generation
is the one last accepted and the opt-in annotation is the same, the recorded revision stays. Otherwise a revision stands
for the spec if the user asked for the same (defaults left out, so that a new default is not a change), or if this
operator would make the same engine of both: an engine is restarted only when what its pods run changes, and neither a
price nor a newer operator is that. Templates and constants of this operator meet on both sides of that comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.engine import EngineSpec
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.status import TierStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.cost.prices import engine_dollars_per_hour
from heterollm_controllers.engines.nesting import DEEPEST, nests_deeper
from heterollm_controllers.observation.revision import Revision
from heterollm_controllers.render.diff import digest
from heterollm_controllers.render.engine import engine_body
from heterollm_controllers.render.owner import Cluster
from heterollm_controllers.render.revision import revision_again, revision_object
from heterollm_controllers.sizing import ConfigMaps, gpu_price, size

__all__ = ["Chosen", "asked_of", "choose", "keep"]


@dataclass(frozen=True)
class Chosen:
    """The revision a tier should run, the tier spec it stands for, and whether newer templates would change it."""

    tier: Tier
    sizing: Sizing
    revision: Revision
    is_new: bool
    update_available: bool

    @property
    def name(self) -> str:
        """Name of the ControllerRevision."""
        return self.revision.name

    @property
    def engine_dollars_per_hour(self) -> float | None:
        """Price of one engine; None when nobody knows."""
        return engine_dollars_per_hour(self.sizing.gpus_per_engine, gpu_price(self.tier.accelerator))

    @property
    def engine_rate(self) -> float | None:
        """Requests per second of a full engine: as measured, else as estimated; None where nothing was sized either."""
        measured, estimated = self.tier.engine.measured, self.sizing.performance
        told = measured.requests_per_second if measured is not None else None
        return told or (estimated.requests_per_second if estimated is not None else None) or None


def asked_of(spec: HeteroLLMClusterSpec, tier: Tier) -> dict[str, Any]:
    """Everything a user says that an engine may depend on; how many there are, and how patiently, is not."""
    engine = tier.engine.model_copy(update={"placement_seconds": EngineSpec().placement_seconds})
    lasting = tier.model_copy(update={"engine": engine})
    asked = lasting.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"replicas", "scaling"})
    key = spec.security.api_key_secret
    return {"tier": asked, "apiKeySecret": key.model_dump(by_alias=True) if key else None}


def choose(
    cluster: Cluster,
    spec: HeteroLLMClusterSpec,
    tier: Tier,
    revisions: Sequence[Revision],
    recorded: str | None,
    config: Config,
    config_maps: ConfigMaps,
) -> Chosen:
    """The tier's revision.

    Args:
        revisions: the tier's ControllerRevisions.
        config_maps: data of the ConfigMaps that a model's config may be read from, by name.
        recorded: name of the revision recorded for exactly this generation of an accepted spec, else None.

    Raises:
        Impossible: the tier cannot be sized, or its patch cannot be merged.
    """
    _check_nesting(tier)
    sizing = size(tier, config_maps, config.sglang_version)
    _check_pod_template(tier)
    asked = asked_of(spec, tier)
    body = engine_body(cluster, spec, tier, sizing, config)
    opted = [item for item in revisions if _opted_in(cluster, item)]
    found = (
        _named(opted, recorded)
        or _newest(item for item in opted if item.spec_hash == digest(asked))
        or _newest(item for item in opted if _engine_of(item, cluster, config, config_maps) == body)
    )
    if found is None and (same := _newest(item for item in revisions if _runs(item, body))) is not None:
        # Opting in where there is nothing new.
        found = revision_again(cluster, same, cluster.annotations.get(names.UPDATE, ""))
    if found is None:
        number = max((item.number for item in revisions), default=0)
        fresh = revision_object(cluster, tier, sizing, body, asked, number + 1)
        return Chosen(tier, sizing, fresh, is_new=True, update_available=False)
    return Chosen(tier, _report(found, sizing), found, is_new=False, update_available=not _runs(found, body))


def keep(tier: Tier, revisions: Sequence[Revision], before: TierStatus | None) -> Chosen | None:
    """What a tier goes on running while its new spec cannot be carried out; None when it never ran.

    Only the number of engines, and when it changes, follows the new spec.

    Args:
        before: what is recorded of the tier; None if it is not. Where it does not name one of the
            revisions, the newest of these is what runs.
    """
    recorded = _named(revisions, before.revision) if before is not None else None
    found = recorded or _newest(revisions)
    if found is None:
        return None
    former = found.tier.model_copy(update={"replicas": tier.replicas, "scaling": tier.scaling})
    # The report may be newer than the revision, whose price or measured speed was edited since.
    report = before.sizing if before is not None and recorded is not None else None
    return Chosen(former, report or found.sizing, found, is_new=False, update_available=False)


def _engine_of(revision: Revision, cluster: Cluster, config: Config, config_maps: ConfigMaps) -> Manifest | None:
    """What this operator would make of the spec that a revision was made for; None if it cannot."""
    asked = revision.asked
    if asked is None:
        return None  # by an earlier version of the operator
    try:
        spec = HeteroLLMClusterSpec.model_validate(
            {"tiers": [asked["tier"]], "security": {"apiKeySecret": asked.get("apiKeySecret")}}
        )
        [tier] = spec.engine_tiers
        return engine_body(cluster, spec, tier, size(tier, config_maps, config.sglang_version), config)
    except Exception:  # of whatever kind: what this operator cannot make is not the same as what it can
        return None


def _runs(revision: Revision, body: Manifest) -> bool:
    """Whether the engines of a revision are exactly these."""
    return revision.engine == body


_PLAN = (
    *("gpus_per_engine", "nodes", "gpus_per_node", "tensor_parallel", "attention_data_parallel"),
    *("expert_parallel", "pipeline_parallel", "moe_a2a_backend"),
)
"""What a report says that the engine is; the rest is what is known or estimated of it."""


def _report(revision: Revision, fresh: Sizing) -> Sizing:
    """The report on a revision's engine: a fresh one, unless this operator would size another engine today."""
    recorded = revision.sizing
    same = all(getattr(recorded, field) == getattr(fresh, field) for field in _PLAN)
    return fresh if same else recorded


def _check_nesting(tier: Tier) -> None:
    """Far below the depth at which recursion ends, or from which on the operator does not read a document."""
    for field, value, reason in (
        ("podTemplate", tier.pod_template, Reason.POD_TEMPLATE_INVALID),
        ("model.config", tier.model.config, Reason.UNREADABLE_MODEL),
    ):
        if nests_deeper(value, DEEPEST):
            raise Impossible(reason, f"tier {tier.name}: {field} nests more than {DEEPEST} levels deep")


def _check_pod_template(tier: Tier) -> None:
    """What the labels are put into; the rest of a patch is for the API server to judge."""
    metadata = (tier.pod_template or {}).get("metadata")
    inner = [metadata.get(name) for name in ("labels", "annotations")] if isinstance(metadata, Mapping) else []
    if not all(item is None or isinstance(item, Mapping) for item in (metadata, *inner)):
        raise Impossible(
            Reason.POD_TEMPLATE_INVALID,
            f"tier {tier.name}: podTemplate.metadata must be a map, and so must its labels and annotations",
        )


def _opted_in(cluster: Cluster, revision: Revision) -> bool:
    """Whether a revision was made for the cluster's opt-in annotation; taking the annotation away asks for nothing."""
    asked = cluster.annotations.get(names.UPDATE)
    return not asked or revision.update == asked


def _named(revisions: Sequence[Revision], name: str | None) -> Revision | None:
    return next((item for item in revisions if item.name == name), None)


def _newest(revisions: Iterable[Revision]) -> Revision | None:
    return max(revisions, key=lambda item: item.number, default=None)
