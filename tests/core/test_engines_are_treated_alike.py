"""Simulated and real engines differ by what their samples say, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.render.engine import engine_body
from heterollm_controllers.sizing import size
from tests.core.builders import cluster

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"


def _engine(sample: str, tier: int) -> tuple[dict[str, Any], Manifest]:
    """A tier's engine as written in a sample, and as rendered."""
    written = yaml.safe_load((SAMPLES / f"demo-{sample}.yaml").read_text())["spec"]
    spec = HeteroLLMClusterSpec.model_validate(written)
    rendered = engine_body(cluster(), spec, spec.engine_tiers[tier], size(spec.engine_tiers[tier]), Config())
    return written["tiers"][tier]["engine"], rendered


def _without_what_the_user_said(written: dict[str, Any], rendered: Manifest) -> Manifest:
    [container] = rendered["spec"]["template"]["spec"]["containers"]
    assert container.pop("image") == written["image"]
    args = container.pop("args")
    assert args[-len(written["args"]) :] == written["args"]
    derived = args[: -len(written["args"])]
    container["flags"] = {arg for arg in derived if arg.startswith("--")} - {"--model-path"}
    for amounts in container["resources"].values():
        amounts.pop("memory", None)
        amounts.pop("cpu", None)
    return rendered


@pytest.mark.parametrize("tier", [0, 1])
def test_only_image_flags_and_amounts_differ(tier: int) -> None:
    simulated, real = _engine("simulated", tier), _engine("sglang", tier)
    assert simulated[1] != real[1]
    assert _without_what_the_user_said(*simulated) == _without_what_the_user_said(*real)
