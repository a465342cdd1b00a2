"""Levels 2 and 3 answer no fewer requests than the routers' own retries do without them. SIMULATED_TICKS says in how
many scenes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from heterollm_cli.main import main
from heterollm_controllers.simulation.run import TICK
from tests.simulation.paired import scene

SAMPLE = (Path(__file__).parents[2] / "manifests" / "samples" / "qwen3.yaml").read_text()
TOLERANCE = 0.5
"""In per cent of all requests."""
TICKS_OF_A_PAIR = 2 * 5_400 // TICK
FIRST = 13
"""So that the scenes of a short run tell: a fallback that diverts all requests for a whole rest fails three of five."""
SCENES = max(1, int(os.environ.get("SIMULATED_TICKS", "12000")) // TICKS_OF_A_PAIR)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SCENES))
def test_never_fewer_answers_than_its_dry_run(seed: int) -> None:
    of = scene(seed)
    assert of.answered(dry_run=False) >= of.answered(dry_run=True) - TOLERANCE, of


class Command:
    """`heterollm simulate` with the fallback in force, or its dry run."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def ran(self, *arguments: str, dry_run: bool = False, sample: str = SAMPLE) -> dict[str, Any]:
        """What it prints as JSON."""
        file = self.folder / f"{dry_run}.yaml"
        file.write_text(sample + ("\n  fallback: {dryRun: true}\n" if dry_run else ""))
        with pytest.raises(SystemExit) as ended:
            main(["simulate", "-f", str(file), "--traffic", "poisson", "--json", *arguments])
        assert not ended.value.code
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def pair(self, *arguments: str, sample: str = SAMPLE) -> tuple[dict[str, Any], dict[str, Any]]:
        """The summaries of both."""
        one, other = (self.ran(*arguments, dry_run=dry_run, sample=sample) for dry_run in (False, True))
        return one["summaries"]["HeteroLLM"], other["summaries"]["HeteroLLM"]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def test_a_repaired_tier_that_rests_answers_when_its_stand_in_dies(command: Command) -> None:
    faults = ("--fault", "fail:small:100@20m+8m", "--fault", "fail:large:100@30m+20m")
    enforced, dry_run = command.pair("--rate", "70", "--hours", "2", *faults)
    # The first seconds of the last tier's failure: nothing tells of it yet.
    assert enforced["failed"] < 1_000
    assert enforced["failed"] < dry_run["failed"] / 4
    assert enforced["answered"] > dry_run["answered"]


def test_a_tier_busy_with_long_prompts_grows_and_is_not_escalated(command: Command) -> None:
    faults = ("--fault", "slow:small:8@20m+60m")
    enforced, dry_run = command.pair("--rate", "60", "--hours", "2", *faults)
    assert enforced["decisions"]["ScaledUp"] >= 3
    assert not {"TierEscalated", "PureLarge"} & enforced["decisions"].keys()
    assert enforced["within_objective"] >= dry_run["within_objective"] - 0.005


@pytest.mark.parametrize("minutes", [2, 15])
def test_a_stand_in_gets_no_more_than_it_has_room_for(command: Command, minutes: int) -> None:
    fixed = SAMPLE.replace("replicas: {min: 1, max: 2}", "replicas: {fixed: 2}")
    faults = ("--fault", f"fail:small:100@20m+{minutes}m")
    enforced, dry_run = command.pair("--rate", "150", "--hours", "1", *faults, sample=fixed)
    assert enforced["answered"] >= dry_run["answered"] - 0.005 * dry_run["offered"]
    assert enforced["decisions"]["TierEscalated"] >= 1
