"""The bill of a period, and what it would have been otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heterollm_cli.reporting.document import Section, Table
from heterollm_cli.reporting.figures import Figures
from heterollm_cli.reporting.words import ABSENT, count, dollars
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.external import ExternalTier, TokenPrices
from heterollm_controllers.cost.saving import HEADROOM, counterfactual, engines_needed, saving

__all__ = ["money"]


def money(spec: HeteroLLMClusterSpec, figures: Figures) -> Section:
    """By tier, and altogether against the last tier alone."""
    answers: dict[str, float] = {}
    for flow in figures.flows:
        if flow.answered and flow.tier:
            answers[flow.tier] = answers.get(flow.tier, 0.0) + flow.count
    names = [tier.name for tier in spec.tiers]
    names += sorted({*answers, *figures.gpu_seconds} - {*names})
    prices = {tier.name: tier.external.dollars_per_million_tokens for tier in spec.external_tiers}
    bills = {name: _bill(name, answers.get(name, 0.0), figures, prices.get(name)) for name in names}
    rows = [
        (
            name,
            f"{figures.gpu_seconds[name] / 3600:,.2f}" if name in figures.gpu_seconds else ABSENT,
            dollars(bill),
            dollars(1000 * bill / answers[name]) if bill is not None and answers.get(name) else ABSENT,
        )
        for name, bill in bills.items()
    ]
    unknown = [name for name, bill in bills.items() if bill is None]
    whole, all_answers = sum(bill or 0.0 for bill in bills.values()), sum(answers.values())
    if unknown:
        told = f"At least {dollars(whole)}: what {', '.join(unknown)} costs is not known. So no saving is."
        return _section(rows, (told,))
    each = f", {dollars(1000 * whole / all_answers)} per 1,000 answers" if all_answers else ""
    return _section(rows, (f"{dollars(whole)}{each}, idle GPUs included.", _saving(spec, figures, whole, all_answers)))


def _section(rows: Sequence[tuple[str, ...]], sentences: tuple[str, ...]) -> Section:
    return Section("Cost", sentences, Table(("tier", "GPU-hours", "cost", "per 1,000 answers"), tuple(rows)))


def _bill(name: str, answers: float, figures: Figures, prices: TokenPrices | None) -> float | None:
    """Dollars of the period; None if nobody knows."""
    if prices is not None and name in figures.tokens:
        return _billed(prices, figures.tokens[name])
    if name in figures.dollars:
        return figures.dollars[name]
    # GPUs without a price, or answers of a service that nobody has put a price on.
    return None if figures.gpu_seconds.get(name) or answers else 0.0


def _billed(prices: TokenPrices, tokens: Mapping[str, float]) -> float:
    """By a service outside of the cluster, for these tokens."""
    return (tokens.get("prompt", 0.0) * prices.input + tokens.get("completion", 0.0) * prices.output) / 1e6


def _saving(spec: HeteroLLMClusterSpec, figures: Figures, paid: float, answers: float) -> str:
    service = spec.external_tiers[-1:]
    if service and service[0] is spec.tiers[-1]:
        return _saving_of_a_service(service[0], figures, paid)
    last, hours = spec.tiers[-1].name, figures.minutes / 60
    rate, price = figures.engine_rate.get(last), figures.engine_dollars.get(last)
    if hours <= 0 or not rate or price is None:
        return f"No saving is known: what an engine of {last} does, or costs, is not."
    asked = answers / hours / 3600
    otherwise = counterfactual(asked, rate, price)
    share = saving(paid / hours, otherwise)
    if share is None or otherwise is None:
        return "No saving is known: nothing was answered."
    engines = count(engines_needed(asked, rate))
    return (
        f"Saving: {100 * share:.0f} % of {dollars(otherwise * hours)}. That is the counterfactual, {last} alone:"
        f" {HEADROOM:g} x {asked:.3g} answers/s, at {rate:g} per engine, are {engines} engines at {dollars(price)} per"
        f" hour, each at its full rate, for as long as Prometheus knows ({hours:.1f} h)."
    )


def _saving_of_a_service(last: ExternalTier, figures: Figures, paid: float) -> str:
    prices = last.external.dollars_per_million_tokens
    otherwise = sum(_billed(prices, tokens) for tokens in figures.tokens.values()) if prices is not None else None
    share = saving(paid, otherwise)
    if share is None or otherwise is None:
        return f"No saving is known: what {last.name} bills is not, or nothing was answered."
    return (
        f"Saving: {100 * share:.0f} % of {dollars(otherwise)}. That is the counterfactual, {last.name} alone: the"
        " tokens of all tiers at its prices, as far as routers count them."
    )
