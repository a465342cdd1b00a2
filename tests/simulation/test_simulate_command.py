"""`heterollm simulate`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from heterollm_cli.main import main

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
QWEN3 = str(SAMPLES / "qwen3.yaml")
EXTERNAL = str(SAMPLES / "external.yaml")


def ran(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *arguments])
    return int(ended.value.code or 0)


def test_it_prints_engines_decisions_and_what_they_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("-f", QWEN3, "--hours", "1", "--traffic", "spike", "--rate", "40", "--r9") == 0
    shown = capsys.readouterr().out
    for part in ("SIMULATED", "R9", "ScaledUp", "within the objective", "GPU-hours", "hindsight", "Normal"):
        assert part in shown


def test_a_gpu_without_a_price_is_simulated_without_dollars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(Path(QWEN3).read_text().replace("type: A100-80GB", "type: H20"))
    assert ran("-f", str(file), "--hours", "0.2", "--traffic", "poisson", "--r9") == 0
    shown = capsys.readouterr().out
    assert "no dollars" in shown
    assert "saving     unknown" in shown
    assert ran("-f", str(file), "--hours", "0.2", "--traffic", "poisson", "--r9", "--json") == 0
    summary = json.loads(capsys.readouterr().out)["summaries"]["HeteroLLM"]
    assert summary["dollars"] is None
    assert summary["gpu_hours"] > 0


def test_the_same_seed_gives_the_same_answer_and_another_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    def said(seed: str) -> str:
        assert ran("-f", QWEN3, "--hours", "0.5", "--traffic", "poisson", "--seed", seed, "--json") == 0
        return capsys.readouterr().out

    assert said("1") == said("1")
    assert said("1") != said("2")


def test_json_has_decisions_and_summaries_of_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("-f", QWEN3, "--hours", "0.5", "--traffic", "ramp", "--against", "hpa", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["simulated"] is True
    assert set(data["summaries"]) == {"HeteroLLM", "hpa"}
    ours, theirs = data["summaries"]["HeteroLLM"], data["summaries"]["hpa"]
    assert ours["offered"] == pytest.approx(theirs["offered"]), "not the same traffic"
    assert {"time", "action", "subject", "message"} <= data["decisions"][0].keys()


def test_a_fault_shows_in_the_decisions(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ("--fault", "fail:small:100@10m+5m")
    assert ran("-f", QWEN3, "--hours", "0.6", "--traffic", "poisson", "--rate", "30", "--r9", *faults) == 0
    shown = capsys.readouterr().out
    assert "TierEscalated" in shown
    assert "TierRecovered" in shown


def test_a_recording_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "week.csv"
    recording.write_text("second,rate,large_share\n0,10,0\n600,20,0.5\n")
    assert ran("-f", QWEN3, "--hours", "0.5", "--traffic", str(recording), "--json") == 0
    offered = json.loads(capsys.readouterr().out)["summaries"]["HeteroLLM"]["offered"]
    assert offered == pytest.approx(600 * 10 + 1200 * 20, rel=0.03)


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    chart = tmp_path / "day.svg"
    assert ran("-f", QWEN3, "--hours", "0.5", "--chart", str(chart)) == 0
    assert ElementTree.parse(chart).getroot().tag.endswith("svg")


def test_the_sources_tables_need_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--tables") == 0
    shown = capsys.readouterr().out
    for part in ("EMULATED", "f = 9.7 %", "f = 25.4 %", "580", "15.2", "must not be quoted"):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name the cluster's file with -f"),
        (("-f", "nowhere.yaml"), "nowhere.yaml"),
        (("-f", EXTERNAL), "a service outside of the cluster answers for tier large"),
        (("-f", QWEN3, "--traffic", "tide"), "give one of wave, spike"),
        (("-f", QWEN3, "--traffic", "nowhere.csv"), "nowhere.csv"),
        (("-f", QWEN3, "--hours", "0"), "--hours must be above 0"),
        (("-f", QWEN3, "--large-share", "2"), "--large-share must be from 0 to 1"),
        (("-f", QWEN3, "--chart", "day.png"), "name a file that ends with .svg"),
        (("-f", QWEN3, "--fault", "fail:medium@10m"), "there is no tier medium; there are small, large"),
        (("-f", QWEN3, "--cold-start", "medium=10"), "there is no tier medium"),
        (("-f", QWEN3, "--fault", "fire:small@10m"), "no kind of fault; there are fail"),
        (("-f", QWEN3, "--fault", "fail@10m"), "must say of which tier"),
        (("-f", QWEN3, "--fault", "fail:small:200@10m"), "must be per cent from 0 to 100"),
        (("-f", QWEN3, "--fault", "restart:small@10m"), "says too much"),
        (("-f", QWEN3, "--fault", "fail:small@soon"), "is no time"),
        (("-f", QWEN3, "--cold-start", "small"), "is not TIER=SECONDS"),
    ],
)
def test_what_cannot_be_simulated_is_said(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(*arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("second,rate\n0,many\n", "line 2: rate is 'many'"),
        ("second,rate\n0,1\n0,2\n", "line 3: seconds must grow"),
        ("second,rate\n0,-1\n", "must not be negative"),
        ("second,rate\n0,nan\n", "must be finite"),
        ("time,rps\n0,1\n", "second is None"),
        ("second,rate\n", "no rows"),
    ],
)
def test_a_recording_that_cannot_be_read_is_named_with_its_line(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "bad.csv"
    recording.write_text(text)
    assert ran("-f", QWEN3, "--traffic", str(recording)) == 2
    assert said in capsys.readouterr().err
