"""Wrong values are refused with a message that names them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest

from helm.render import CHART, render


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"operator": {"replcas": 1}}, "at '/operator': additional properties 'replcas' not allowed"),
        ({"replicas": 1}, "at '': additional properties 'replicas' not allowed"),
        ({"operator": {"replicas": "two"}}, "at '/operator/replicas': got string, want integer"),
        ({"operator": {"workers": 0}}, "at '/operator/workers': minimum: got 0, want 1"),
        ({"operator": {"resyncSeconds": "10m"}}, "at '/operator/resyncSeconds': got string, want integer"),
        ({"operator": {"logLevel": "LOUD"}}, "at '/operator/logLevel': value must be one of 'DEBUG', 'INFO'"),
        ({"watch": {"namespaces": "team-a"}}, "at '/watch/namespaces': got string, want array"),
        ({"watch": {"namespaces": ["Team A"]}}, "at '/watch/namespaces/0': 'Team A' does not match pattern"),
        ({"watch": {"namespaces": ["a", "a"]}}, "at '/watch/namespaces': items at 0 and 1 are equal"),
        ({"operator": {"image": {"repository": "a:0.1.0"}}}, "at '/operator/image/repository': 'a:0.1.0' does not"),
        ({"engine": {"image": {"tag": "not a tag"}}}, "at '/engine/image/tag': 'not a tag' does not match pattern"),
        ({"crds": {"enabled": "false"}}, "at '/crds/enabled': got string, want boolean"),
        ({"operator": {"podLabels": {"a": 1}}}, "at '/operator/podLabels/a': got number, want string"),
        ({"metrics": {"serviceMonitor": {"interval": 30}}}, "at '/metrics/serviceMonitor/interval': got number"),
        ({"prometheus": {"url": "prometheus:9090"}}, "at '/prometheus/url': 'prometheus:9090' does not match pattern"),
        ({"prometheus": {"url": "http://a:b@prometheus"}}, "at '/prometheus/url': 'http://a:b@prometheus' does not"),
        ({"prometheus": {"pollSeconds": 0}}, "at '/prometheus/pollSeconds': minimum: got 0, want 1"),
        ({"metrics": {"podMonitor": {"create": "yes"}}}, "at '/metrics/podMonitor/create': value must be one of"),
        ({"dashboards": {"enable": True}}, "at '/dashboards': additional properties 'enable' not allowed"),
        ({"dashboards": {"labelValue": 1}}, "at '/dashboards/labelValue': got number, want string"),
        ({"dashboards": {"label": "a b"}}, "at '/dashboards/label': 'a b' does not match pattern"),
        ({"dashboards": {"namespace": "Grafana"}}, "at '/dashboards/namespace': 'Grafana' does not match pattern"),
        ({"networkPolicy": {"apiServerPorts": []}}, "at '/networkPolicy/apiServerPorts': minItems: got 0, want 1"),
    ],
)
def test_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(helm_python.HelmValuesError) as refused:
        render(values)
    assert message in str(refused.value)


def test_an_umbrella_charts_globals_are_let_through() -> None:
    assert render({"global": {"imageRegistry": "example.com"}})


def test_the_schema_describes_exactly_the_values() -> None:
    with helm_python.Chart.load(CHART) as chart:
        values: dict[str, Any] = chart.values
    properties = _schema()["properties"]
    del properties["global"]
    assert set(_schema_paths(properties)) == set(_value_paths(values))


def test_every_value_is_described() -> None:
    undescribed = [path for path, schema in _properties(_schema()["properties"]) if "description" not in schema]
    assert not undescribed


def test_every_object_of_the_schema_is_closed() -> None:
    """Only free-form Kubernetes objects, which have no properties listed here, are open."""
    for path, schema in _properties({"": _schema()}):
        if "properties" in schema:
            assert schema.get("additionalProperties") is False, path


def _schema() -> dict[str, Any]:
    """The schema with its references resolved."""
    schema: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    definitions = schema.pop("$defs")

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        own = {key: resolve(value) for key, value in node.items() if key != "$ref"}
        if "$ref" in node:
            return resolve(definitions[node["$ref"].removeprefix("#/$defs/")]) | own
        return own

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def _properties(properties: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in properties.items():
        yield f"{prefix}/{name}", schema
        yield from _properties(schema.get("properties", {}), f"{prefix}/{name}")


def _schema_paths(properties: dict[str, Any]) -> Iterator[str]:
    return (path for path, schema in _properties(properties) if "properties" not in schema)


def _value_paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of the leaves; maps whose keys are the user's are leaves too."""
    for name, value in values.items():
        path = f"{prefix}/{name}"
        if isinstance(value, dict) and value and path != "/operator/resources":
            yield from _value_paths(value, path)
        else:
            yield path
