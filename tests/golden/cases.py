"""What the golden files are made from: every case is a name and a function that gives the text of its file."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from heterollm_cli import main as cli
from tests.golden.reports import REPORTS
from tests.golden.scenes import SCENES

__all__ = ["CASES", "EXPECTED"]

EXPECTED = Path(__file__).with_name("expected")
_ROOT = Path(__file__).resolve().parents[2]
_SAMPLES = sorted((_ROOT / "manifests" / "samples").glob("*.yaml"))
_CLUSTERS = sorted(Path(__file__).with_name("clusters").glob("*.yaml"))
_SAMPLE = _ROOT / "manifests" / "samples" / "qwen3.yaml"
_SIMULATIONS = {
    "spike": "--traffic spike --rate 60 --hours 2",
    "broken-tier": "--traffic poisson --rate 30 --hours 2 --fault fail:small:100@20m+15m",
    "no-node": "--traffic spike --rate 40 --hours 2 --fault nonodes:small@25m+60m",
}
_POLICY = "ConfigMap"


def _command(*arguments: str) -> str:
    """What a command prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.main(list(arguments))
    assert printed.getvalue(), f"{arguments} printed nothing"
    return printed.getvalue()


def _rendered(path: Path) -> str:
    """The objects of a cluster, the routers' policy left out."""
    return yaml.safe_dump_all(
        [item for item in _objects(path) if item["kind"] != _POLICY], sort_keys=False, explicit_start=True, width=120
    )


def _policy(path: Path) -> str:
    """The files of Envoy, with their JSON laid out for readers."""
    (policy,) = [item for item in _objects(path) if item["kind"] == _POLICY]
    files = {name: _readable(text) for name, text in sorted(policy["data"].items())}
    return json.dumps(files, indent=1, ensure_ascii=False) + "\n"


def _objects(path: Path) -> list[Mapping[str, Any]]:
    return list(yaml.safe_load_all(_command("render", "-f", str(path))))


def _readable(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _scene(name: str) -> str:
    """The status that a scene ends with; the policy's digest is left out, as the policies have files of their own."""
    status = SCENES[name]().status
    routing = {key: value for key, value in status["routing"].items() if key != "policyDigest"}
    return yaml.safe_dump({**status, "routing": routing}, sort_keys=False, width=120)


CASES: Mapping[str, Callable[[], str]] = {
    **{f"rendered/{path.stem}.yaml": partial(_rendered, path) for path in (*_SAMPLES, *_CLUSTERS)},
    **{f"policy/{path.stem}.json": partial(_policy, path) for path in _CLUSTERS},
    **REPORTS,
    **{f"status/{name}.yaml": partial(_scene, name) for name in SCENES},
    **{
        f"simulated/{name}.txt": partial(_command, "simulate", "-f", str(_SAMPLE), *options.split())
        for name, options in _SIMULATIONS.items()
    },
}
