"""How panels select the cluster that their reader has chosen, in each kind of series.

- Pods' own metrics: by `namespace`, which Prometheus gives them, so that no pod of another namespace is among them.
- Recorded series: by the routers' labels, which they carry.
- The operator's metrics: their `namespace` is the cluster's where Prometheus honours labels. Else it is the operator's,
  and the cluster's is `exported_namespace`.
"""

from __future__ import annotations

__all__ = ["IN_NAMESPACES", "OF_PODS", "OF_RECORDED", "by_routers_labels", "of_operator"]

OF_PODS = 'namespace="$namespace", heterollm_cluster="$cluster"'
OF_RECORDED = 'heterollm_namespace="$namespace", heterollm_cluster="$cluster"'
IN_NAMESPACES = 'heterollm_namespace=~"$namespace"'
"""Recorded series of all clusters in the namespaces chosen."""


def of_operator(metric: str, matchers: str = "") -> str:
    """A metric of the operator, of one cluster."""
    rest = ", ".join(filter(None, ('cluster="$cluster"', matchers)))
    honoured = f'{metric}{{namespace="$namespace", exported_namespace="", {rest}}}'
    return f'({honoured} or {metric}{{exported_namespace="$namespace", {rest}}})'


def by_routers_labels(metric: str, matchers: str = "") -> str:
    """A metric of the operator, of all clusters in the namespaces chosen, under the labels of recorded series."""
    honoured = ", ".join(filter(None, ('namespace=~"$namespace", exported_namespace=""', matchers)))
    renamed = ", ".join(filter(None, ('exported_namespace=~"$namespace"', matchers)))
    either = " or ".join(
        f'label_replace({metric}{{{chosen}}}, "heterollm_namespace", "$1", "{label}", "(.+)")'
        for label, chosen in (("namespace", honoured), ("exported_namespace", renamed))
    )
    return f'label_replace({either}, "heterollm_cluster", "$1", "cluster", "(.+)")'
