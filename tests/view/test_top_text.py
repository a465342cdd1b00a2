"""What `heterollm top` prints: aligned, within the terminal, and nothing that steers it."""

from __future__ import annotations

import re

import pytest

from heterollm_cli.top_text import cluster_lines, fleet_lines
from heterollm_controllers.view.cluster_view import ClusterView, cluster_view
from tests.view.clusters import NOW, RECORDED, chart, cluster, figures

LONG = "a-cluster-whose-name-is-as-long-as-kubernetes-lets-it-be-63-lon"


def fleet() -> list[ClusterView]:
    views = [cluster_view(cluster(name, name), figures()) for name in RECORDED]
    return [*views, cluster_view(cluster("serving", LONG, "a-namespace-with-quite-a-long-name"))]


def test_columns_are_aligned() -> None:
    lines = fleet_lines(fleet(), None)[: len(fleet()) + 1]
    for title in ("STATE", "FALLBACK"):
        start = lines[0].index(title)
        assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines[1:])
    for title in ("ENGINES", "REQ/S", "$/H"):
        end = lines[0].index(title) + len(title)
        assert all(line[end - 1] != " " and line[end : end + 1] in (" ", "") for line in lines[1:])


@pytest.mark.parametrize("width", [80, 100, 200])
def test_it_fits_the_terminal(width: int) -> None:
    assert max(map(len, fleet_lines(fleet(), width))) <= width
    hour = chart(small=range(60), large=[None] * 30 + [5.0] * 30)
    for name in RECORDED:
        view = cluster_view(cluster(name, LONG), figures(), [hour])
        assert max(map(len, cluster_lines(view, NOW, width))) <= width


def test_names_are_cut_only_where_there_is_no_room() -> None:
    assert any("…" in line for line in fleet_lines(fleet(), 80))
    assert any(LONG in line for line in fleet_lines(fleet(), None))
    row = next(line for line in fleet_lines(fleet(), 80) if line.startswith("a-na"))
    assert "Ready" in row
    assert row.split()[-3:] == ["Normal", "-", "-"], "what is unknown is a dash"


def test_one_namespace_needs_no_column() -> None:
    assert fleet_lines(fleet(), 80, with_namespaces=False)[0].startswith("NAME ")
    assert fleet_lines([], 80) == ["no HeteroLLMClusters"]


def test_a_stalled_cluster_says_why() -> None:
    assert any(line.startswith("team/pure-large: PolicyRefused: ") for line in fleet_lines(fleet(), 80))


def test_colours_only_where_asked_for() -> None:
    views = fleet()
    coloured = "\n".join(fleet_lines(views, 100, colour=True))
    plain = "\n".join(fleet_lines(views, 100))
    assert "\x1b[31mStalled\x1b[0m" in coloured
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_figures_and_the_counterfactual() -> None:
    text = "\n".join(cluster_lines(cluster_view(cluster("serving"), figures()), NOW, None))
    assert re.search(r"^requests per second +42\.5$", text, re.MULTILINE)
    assert re.search(r"^failed +0\.04 %$", text, re.MULTILINE)
    assert re.search(r"^saving of the last hour +66 %, against 3 engine\(s\).*\(\$384 per hour\)$", text, re.MULTILINE)
    assert re.search(r"^small +2/2 +100 % +38\.4 +3 +\$3\.70 ", text, re.MULTILINE)
    nothing = "\n".join(cluster_lines(cluster_view(cluster("serving")), NOW, None))
    assert "requests per second" not in nothing


def test_gates_say_what_is_missing() -> None:
    text = "\n".join(cluster_lines(cluster_view(cluster("migration-rolled-back")), NOW, None))
    assert "gate Errors: Failed, evidence 0.00338 (20 is enough); 12 of 600 failed" in text
    assert "gate FirstByte: Undecided, evidence 1 (20 is enough), 380 more requests needed" in text
    assert "   57m  MigrationRollsBack cluster: Errors Failed" in text


def test_an_hour_as_bars() -> None:
    hour = chart(small=[0.0] * 29 + [None] + [7.0] * 30)
    (line,) = [line for line in cluster_lines(cluster_view(cluster("serving"), None, [hour]), NOW, None) if "▁" in line]
    assert line.split("  ", 1)[1].startswith("▁" * 29 + " " + "█" * 30)
    assert line.split()[-2:] == ["7", "7"]


def test_what_others_wrote_does_not_steer_the_terminal() -> None:
    body = cluster("serving", "demo\x1b[2J", "te\ram")
    body["status"]["conditions"][2]["message"] = "\x1b]0;owned\x07 ready\nfake line"
    body["status"]["decisions"][-1]["message"] = "\x9b31m red‮"
    lines = cluster_lines(cluster_view(body), NOW, 80) + fleet_lines([cluster_view(body)], 80)
    assert all(line.isprintable() for line in lines)
