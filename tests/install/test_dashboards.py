"""Grafana's dashboards: as generated, understood by Prometheus, about metrics that exist, shipped if asked for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.monitoring.dashboards import Asked, asked, dashboards
from e2e.monitoring.rules import rule_groups
from helm.dashboards.files import FOLDER, dashboard_files
from helm.render import CHART, Manifest, render
from tests.docs.test_metrics import made
from tests.shell.prometheus_tools import needs, tool

_PAGES = "".join(path.read_text() for path in (CHART.parents[1] / "docs").glob("*.md"))
_UIDS = ["heterollm-cluster", "heterollm-cost", "heterollm-fleet", "heterollm-migration"]
_SUFFIX = re.compile(r"(_total|_bucket|_sum|_count)$")
_OF_OTHERS = {"ALERTS", "envoy_cluster_outlier_detection_ejections_active"}
"""Of Prometheus and of Envoy."""
_ALL = [pytest.param(item, id=f"{item.dashboard}-{item.panel}-{item.number}") for item in asked()]


def test_committed_files_are_up_to_date() -> None:
    assert {path: path.read_text() for path in FOLDER.iterdir()} == dashboard_files(), "run `make generate`"
    assert dashboard_files() == dashboard_files()


def test_there_are_four_each_with_titles_and_numbers_of_its_own() -> None:
    found = dashboards()
    assert sorted(board["uid"] for board in found) == _UIDS
    for board in found:
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert all(panel["title"] for panel in panels)
        assert [panel["title"] for panel in panels if panel["type"] != "text" and not panel["description"]] == []


def test_rows_of_a_table_are_joined_by_the_same_labels() -> None:
    tables = [panel for board in dashboards() for panel in board["panels"] if panel["type"] == "table"]
    assert len(tables) == 1
    for target in (target for panel in tables for target in panel["targets"]):
        assert re.match(r"(max|sum) by \(heterollm_namespace, heterollm_cluster\) \(", target["expr"]), target


def test_panels_do_not_overlap() -> None:
    for board in dashboards():
        places: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert at["x"] + at["w"] <= 24, panel["title"]
            assert not places & own, panel["title"]
            places |= own


def test_every_data_source_is_the_readers_choice() -> None:
    for board in dashboards():
        assert board["templating"]["list"][0]["type"] == "datasource"
        variables = {variable["id"] for variable in board["templating"]["list"]}
        assert variables == {"datasource", "namespace"} | ({"cluster"} if board["uid"] != "heterollm-fleet" else set())
        for source in _data_sources(board):
            assert source == {"type": "prometheus", "uid": "${datasource}"}, board["uid"]


def _data_sources(node: Any) -> Iterator[Any]:
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _data_sources(value)
    if isinstance(node, dict) and "datasource" in node:
        yield node["datasource"]


@needs("promtool")
def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"asked:{number}", "expr": item.filled("ns", "c", "1h")} for number, item in enumerate(asked(), 1)
    ]
    assert len(rules) > 80
    assert not [rule for rule in rules if "$" in rule["expr"].replace('"$1"', "")]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    promtool = tool("promtool")
    assert promtool is not None
    found = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("item", _ALL)
def test_what_is_asked_for_exists_and_is_explained(item: Asked) -> None:
    recorded = {rule["record"] for group in rule_groups() for rule in group["rules"] if "record" in rule}
    names = item.metrics()
    assert names
    for name in names - _OF_OTHERS:
        if ":" in name and not name.startswith("sglang:"):
            assert name in recorded
        else:
            assert _SUFFIX.sub("", name) in made() | _engines_metrics(), name
        assert _is_explained(name), name


def _engines_metrics() -> set[str]:
    """As SGLang's stand-in serves them, which a test compares with SGLang."""
    source = (CHART.parents[1] / "engine-image" / "simulated_engine" / "metrics.py").read_text()
    return {f"sglang:{name}" for name in re.findall(r'"(?:sglang:)?([a-z_]+)"', source)}


def _is_explained(name: str) -> bool:
    """Tables name metrics without what all of a table have in common."""
    short = re.sub(r"^heterollm_(router_)?|_(bucket|sum|count)$", "", name)
    words = (name, short, name.rpartition("_")[0])
    return any(f"`{word}" in _PAGES or f"({word}" in _PAGES for word in words)


def _config_maps(values: dict[str, Any]) -> list[Manifest]:
    return [document.manifest for document in render(values) if document.manifest["kind"] == "ConfigMap"]


def test_none_is_installed_unless_asked_for() -> None:
    assert _config_maps({}) == []


def test_a_config_map_for_each_as_grafanas_sidecar_wants_it() -> None:
    found = _config_maps({"dashboards": {"enabled": True}})
    assert len(found) == len(_UIDS)
    for manifest in found:
        assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert manifest["metadata"]["namespace"] == "heterollm-system"
        assert "annotations" not in manifest["metadata"]
    files = {name: text for manifest in found for name, text in manifest["data"].items()}
    assert files == {path.name: text for path, text in dashboard_files().items()}


def test_the_sidecars_own_label_namespace_and_folder() -> None:
    chosen = {
        "namespace": "monitoring",
        "label": "example.com/dash",
        "labelValue": "",
        "annotations": {"folder": "LLM"},
    }
    for manifest in _config_maps({"dashboards": {"enabled": True, **chosen}}):
        assert manifest["metadata"]["labels"]["example.com/dash"] == ""
        assert "grafana_dashboard" not in manifest["metadata"]["labels"]
        assert manifest["metadata"]["namespace"] == "monitoring"
        assert manifest["metadata"]["annotations"] == {"folder": "LLM"}


def test_the_counterfactual_stands_beside_the_saving() -> None:
    (board,) = (board for board in dashboards() if board["uid"] == "heterollm-cost")
    (text,) = (panel["options"]["content"] for panel in board["panels"] if panel["type"] == "text")
    assert "ceil(1.05 x all answers per second" in text


def test_decisions_are_marked_at_their_time() -> None:
    for board in dashboards():
        marks = board["annotations"].get("list", [])
        if board["uid"] == "heterollm-fleet":
            assert marks == []
        else:
            (mark,) = marks
            assert mark["useValueForTime"]
            assert mark["expr"].startswith("1000 * max by (action, subject)")
            assert json.dumps(mark["datasource"]) == '{"type": "prometheus", "uid": "${datasource}"}'
