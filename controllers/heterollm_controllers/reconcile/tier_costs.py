"""What each tier of a cluster costs at the moment, for the operator's counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heterollm_controllers.api.v1alpha1.accelerator import Accelerator
from heterollm_controllers.api.v1alpha1.external import ExternalService
from heterollm_controllers.cost.tier_cost import TierCost, gpus_held
from heterollm_controllers.engines.revisions import Chosen
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.engines import ObservedEngine
from heterollm_controllers.observation.revision import Revision
from heterollm_controllers.reconcile.context import ReconcileContext
from heterollm_controllers.sizing import gpu_price

__all__ = ["tier_costs"]


def tier_costs(
    context: ReconcileContext, views: Sequence[TierView], removed: Sequence[ObservedEngine]
) -> tuple[TierCost, ...]:
    """By tier, also of tiers that the spec no longer has, as long as they have engines."""
    last = context.spec.tiers[-1].name
    recorded = _recorded(context)
    costs = [_of_tier(view, recorded, last=view.chosen.tier.name == last) for view in views]
    services = {tier.name: tier.external for tier in context.spec.external_tiers}
    for tier in sorted({engine.tier for engine in removed} | services.keys()):
        engines = [engine for engine in removed if engine.tier == tier]
        costs.append(_of_leftovers(tier, engines, recorded, services.get(tier), last=tier == last))
    return tuple(costs)


def _recorded(context: ReconcileContext) -> dict[str, Accelerator]:
    """The accelerators that revisions were made for, by the revision's name."""
    found = (Revision(child.manifest) for child in context.owned if child.kind == "ControllerRevision")
    return {revision.name: revision.accelerator for revision in found}


def _of_tier(view: TierView, recorded: Mapping[str, Accelerator], *, last: bool) -> TierCost:
    chosen = view.chosen
    gpus, price = _bill(view.engines, recorded, chosen)
    return TierCost(
        tier=chosen.tier.name,
        gpus=gpus,
        dollars_per_hour=price,
        engine_dollars_per_hour=chosen.engine_dollars_per_hour,
        engine_rate=chosen.engine_rate,
        last=last,
    )


def _of_leftovers(
    tier: str,
    engines: Sequence[ObservedEngine],
    recorded: Mapping[str, Accelerator],
    service: ExternalService | None,
    *,
    last: bool,
) -> TierCost:
    """Of a tier that has engines no longer, and is a service outside of the cluster or has gone."""
    # Its revisions may go before its engines do.
    known = all(engine.revision in recorded for engine in engines)
    gpus, dollars = _bill(engines, recorded, None) if known else (None, None)
    prices = service.dollars_per_million_tokens if service is not None else None
    return TierCost(
        tier=tier,
        gpus=gpus,
        dollars_per_hour=dollars if engines else None,
        last=last,
        token_prices=(prices.input, prices.output) if prices is not None else None,
    )


def _bill(
    engines: Sequence[ObservedEngine], recorded: Mapping[str, Accelerator], chosen: Chosen | None
) -> tuple[int, float | None]:
    """GPUs that the engines hold, and dollars per hour for them; `chosen` is None where the tier has gone."""
    current = chosen.tier.accelerator if chosen is not None else None
    gpus, dollars = 0, 0.0
    known = current is None or gpu_price(current) is not None
    for engine in engines:
        asked = engine.gpus if engine.gpus is not None or chosen is None else chosen.sizing.gpus_per_engine
        if held := gpus_held(engine, asked or 0):
            # Other GPUs that make no difference to the pods make no new revision.
            own = None if chosen is not None and engine.revision == chosen.name else recorded.get(engine.revision)
            price = _price_of(own, current)
            known = known and price is not None
            gpus, dollars = gpus + held, dollars + held * (price or 0.0)
    return gpus, dollars if known else None


def _price_of(recorded: Accelerator | None, current: Accelerator | None) -> float | None:
    """Dollars per GPU-hour of an engine: today's price of its GPU, which may be another than its tier has now."""
    if current is not None and (recorded is None or recorded.type == current.type):
        return gpu_price(current)
    return gpu_price(recorded) if recorded is not None else None
