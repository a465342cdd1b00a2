"""Which tiers that are services outside of the cluster the routers shall know, and what is reported of them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.external import ExternalTier
from heterollm_controllers.api.v1alpha1.status import ExternalTierStatus
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.reconcile.context import ReconcileContext
from heterollm_controllers.reconcile.routers import Routers, routers_of
from heterollm_controllers.render.external import key_mounts

__all__ = ["ExternalTiers", "external_tiers"]


@dataclass(frozen=True)
class ExternalTiers:
    """What was decided on the services outside of a cluster.

    Attributes:
        spec: the cluster's, with the tiers that the routers shall know.
        refusals: why tiers cannot be carried out.
        status: what is reported.
    """

    spec: HeteroLLMClusterSpec
    refusals: tuple[Impossible, ...] = ()
    status: tuple[ExternalTierStatus, ...] = ()


def external_tiers(context: ReconcileContext) -> ExternalTiers:
    """Decide.

    The routers learn of a tier once all of them have mounted its key: one without it could not answer for it. A tier
    that cannot be carried out is left out, and so are its requests answered by the others.
    """
    spec, routers = context.spec, routers_of(context)
    refusals = tuple(refusal for tier in spec.external_tiers if (refusal := _refusal(tier)) is not None)
    refused = {tier.name for tier in spec.external_tiers if _refusal(tier) is not None}
    status = tuple(
        _status(tier, routed=tier.name not in refused and _has_key(context, tier, routers))
        for tier in spec.external_tiers
    )
    unknown = {item.name for item in status if not item.routed}
    routed = spec.model_copy(update={"tiers": tuple(tier for tier in spec.tiers if tier.name not in unknown)})
    return ExternalTiers(routed, refusals, status)


def _refusal(tier: ExternalTier) -> Impossible | None:
    """Certificates that Envoy would refuse, and with them the whole policy."""
    bundle = tier.external.ca_bundle
    if bundle is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError) as error:
        why = f"tier {tier.name}: external.caBundle holds no certificates that can be read: {error}"
        return Impossible(Reason.INVALID_CA_BUNDLE, why)
    return None


def _has_key(context: ReconcileContext, tier: ExternalTier, routers: Routers) -> bool:
    """Whether all routers have mounted the service's key: for good, once they have."""
    before = next((item for item in context.status.external_tiers or () if item.name == tier.name), None)
    known = before is not None and before.routed and before.secret == _secret(tier)
    mounts = key_mounts([tier])
    if known or not mounts or routers.volumes is None:  # the first routers start with all keys
        return True
    return routers.waits is None and all(
        any(
            volume["name"] == mount.name
            and (volume.get("secret") or {}).get("secretName") == mount.secret["secretName"]
            and volume["secret"].get("items") == mount.secret["items"]
            for volume in routers.volumes
        )
        for mount in mounts
    )


def _status(tier: ExternalTier, routed: bool) -> ExternalTierStatus:
    service = tier.external
    return ExternalTierStatus(name=tier.name, url=service.url, model=service.model, secret=_secret(tier), routed=routed)


def _secret(tier: ExternalTier) -> str | None:
    key = tier.external.api_key_secret
    return f"{key.name}/{key.key}" if key is not None else None
