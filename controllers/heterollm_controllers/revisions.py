"""Which engine revision a tier should run. An operator upgrade never changes it; the user's spec or opt-in does.

A revision is a ControllerRevision that holds the tier's spec and the rendered engine. As long as the generation is the
one last accepted and the opt-in annotation is the same, the recorded revision stays. Otherwise the user's settings
(defaults left out, so that a new default is not a change) are hashed and compared with the revisions there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heterollm_controllers import names
from heterollm_controllers.diff import digest
from heterollm_controllers.outcome import Config, Manifest
from heterollm_controllers.reasons import Reason
from heterollm_controllers.render import Cluster, engine_body, revision_object
from heterollm_controllers.sizing import ConfigMaps, Impossible, size
from heterollm_controllers.status_v1alpha1 import Sizing
from heterollm_controllers.v1alpha1 import Engine, HeteroLLMClusterSpec, Tier

__all__ = ["Chosen", "choose", "keep", "spec_hash"]


@dataclass(frozen=True)
class Chosen:
    """The revision a tier should run, the tier spec it stands for, and whether newer templates would change it."""

    tier: Tier
    sizing: Sizing
    revision: Manifest
    is_new: bool
    update_available: bool

    @property
    def name(self) -> str:
        """Name of the ControllerRevision."""
        return str(self.revision["metadata"]["name"])


def spec_hash(spec: HeteroLLMClusterSpec, tier: Tier) -> str:
    """Hash of everything a user says that an engine depends on; how many there are, and how patiently, is not."""
    engine = tier.engine.model_copy(update={"placement_seconds": Engine().placement_seconds})
    lasting = tier.model_copy(update={"engine": engine})
    asked = lasting.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"replicas", "scaling"})
    key = spec.security.api_key_secret
    return digest({"tier": asked, "apiKeySecret": key.model_dump(by_alias=True) if key else None})


def choose(
    cluster: Cluster,
    spec: HeteroLLMClusterSpec,
    tier: Tier,
    revisions: Sequence[Mapping[str, Any]],
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
        Impossible: the tier cannot be sized.
    """
    sizing = size(tier, config_maps, config.sglang_version)
    _check_pod_template(tier)
    wanted_hash = spec_hash(spec, tier)
    body = engine_body(cluster, spec, tier, sizing, config)
    number = max((int(item["revision"]) for item in revisions), default=0)
    fresh = revision_object(cluster, tier, sizing, body, wanted_hash, number + 1)
    opted = [item for item in revisions if _opted_in(cluster, item)]
    found = _named(opted, recorded) or _newest_with(opted, wanted_hash)
    if found is None:
        return Chosen(tier, sizing, fresh, is_new=True, update_available=False)
    changed = found["metadata"]["name"] != fresh["metadata"]["name"]
    return Chosen(tier, _sizing_of(found), dict(found), is_new=False, update_available=changed)


def keep(tier: Tier, revisions: Sequence[Mapping[str, Any]], recorded: str | None) -> Chosen | None:
    """What a tier goes on running while its new spec cannot be carried out; None when it never ran.

    Only the number of engines, and when it changes, follows the new spec.
    """
    found = _named(revisions, recorded)
    if found is None:
        return None
    former = Tier.model_validate(found["data"]["tier"]).model_copy(
        update={"replicas": tier.replicas, "scaling": tier.scaling}
    )
    return Chosen(former, _sizing_of(found), dict(found), is_new=False, update_available=False)


def _check_pod_template(tier: Tier) -> None:
    """What the labels are put into; the rest of a patch is for the API server to judge."""
    metadata = (tier.pod_template or {}).get("metadata")
    inner = [metadata.get(name) for name in ("labels", "annotations")] if isinstance(metadata, Mapping) else []
    if not all(item is None or isinstance(item, Mapping) for item in (metadata, *inner)):
        raise Impossible(
            Reason.POD_TEMPLATE_INVALID,
            f"tier {tier.name}: podTemplate.metadata must be a map, and so must its labels and annotations",
        )


def _opted_in(cluster: Cluster, revision: Mapping[str, Any]) -> bool:
    """Whether a revision was made for the cluster's opt-in annotation; taking the annotation away asks for nothing."""
    asked = cluster.annotations.get(names.UPDATE)
    return not asked or (revision["metadata"].get("annotations") or {}).get(names.UPDATE) == asked


def _named(revisions: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any] | None:
    return next((item for item in revisions if item["metadata"]["name"] == name), None)


def _newest_with(revisions: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any] | None:
    matching = [item for item in revisions if item["data"]["specHash"] == wanted]
    return max(matching, key=lambda item: int(item["revision"]), default=None)


def _sizing_of(revision: Mapping[str, Any]) -> Sizing:
    return Sizing.model_validate(revision["data"]["sizing"])
