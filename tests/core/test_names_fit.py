"""Names and labels stay within Kubernetes' limits with the longest names that admission lets in."""

from __future__ import annotations

import re
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.crd import custom_resource_definition
from heterollm_controllers.api.installation import Config
from heterollm_controllers.render.cluster import cluster_objects, tier_objects
from heterollm_controllers.render.engine import engine_body, engine_from
from heterollm_controllers.render.revision import revision_object
from heterollm_controllers.sizing import size
from heterollm_controllers.sizing.plan import MOST_NODES
from tests.core.builders import api_tier, cluster, spec

_LABEL = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_DNS_LABEL = re.compile(r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
_CLUSTER = "c" * 30
_TIER = "t" * 12
_HASH = "-" + "0" * 10
_POD_SUFFIX = "-" + "0" * 5


def _objects() -> list[dict[str, Any]]:
    owner = cluster(_CLUSTER)
    wanted = spec(api_tier(_TIER, engine={"gpus": MOST_NODES}, accelerator={"type": "H100", "perNode": 1}))
    tier = wanted.engine_tiers[0]
    sizing = size(tier)
    body = engine_body(owner, wanted, tier, sizing, Config())
    revision = revision_object(owner, tier, sizing, body, {}, 1)
    engine = engine_from(owner, revision, names.engine_name(_CLUSTER, _TIER, 511))
    return [*cluster_objects(owner, wanted, Config()), *tier_objects(owner, tier), dict(revision.manifest), engine]


def test_admission_allows_no_longer_names_than_tested_here() -> None:
    [version] = custom_resource_definition()["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    assert f"self.metadata.name.size() <= {len(_CLUSTER)}" in [
        rule["rule"] for rule in schema["x-kubernetes-validations"]
    ]
    tier = schema["properties"]["spec"]["properties"]["tiers"]["items"]["properties"]["name"]
    assert tier["maxLength"] == len(_TIER)


def test_all_names_are_dns_labels() -> None:
    assert [item["metadata"]["name"] for item in _objects() if not _DNS_LABEL.match(item["metadata"]["name"])] == []


def test_all_labels_fit() -> None:
    for item in _objects():
        template = item.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        for key, value in {**item["metadata"]["labels"], **template}.items():
            assert _LABEL.match(value), (item["kind"], key, value)


def test_pods_and_what_their_controllers_add_fit() -> None:
    for item in _objects():
        name = item["metadata"]["name"]
        if item["kind"] == "StatefulSet":
            rank = f"-{item['spec']['replicas'] - 1}"
            # The pod's name is a label and its host name; the controller-revision-hash label has the hash.
            assert len(name + rank) <= 63
            assert len(name + _HASH) <= 63
        if item["kind"] == "Deployment":
            assert len(name + _HASH + _POD_SUFFIX) <= 63


def test_engines_of_different_clusters_never_share_a_name() -> None:
    """Tiers have no dash and start with a letter, so a name splits in one way only."""
    made = {
        names.engine_name(c, t, n): (c, t, n)
        for c in ("a", "a-b", "a-b-0", "a-b-0-c")
        for t in ("b", "c", "b0", "engines")
        for n in (0, 1, 10)
    }
    assert len(made) == 4 * 4 * 3
    for name, parts in made.items():
        head, tier, ordinal = name.rsplit("-", 2)
        assert (head, tier, int(ordinal)) == parts
