"""`heterollm import-slime`: the tier on stdout, the remarks on stderr, 2 if there is no tier."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from heterollm_cli.main import main
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec

SCRIPTS = Path(__file__).parent / "scripts"
SMALL = str(SCRIPTS / "qwen3-4b-two-gpus.sh")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["import-slime", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_yaml_for_a_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SMALL) == 0
    output = capsys.readouterr()
    tier = HeteroLLMClusterSpec.model_validate(yaml.safe_load(output.out)["spec"]).engine_tiers[0]
    assert (tier.name, tier.model.id, tier.accelerator.type) == ("small", "Qwen/Qwen3-4B", "A100-80GB")
    assert (tier.engine.gpus, tier.engine.mem_fraction_static, tier.replicas.min) == (2, 0.7, 4)
    assert "- --rollout-num-gpus-per-engine 2: engine.gpus\n" in output.err


def test_json_with_a_name_and_an_accelerator(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SMALL, "--name", "cheap", "--accelerator", "L40S", "-o", "json") == 0
    tier = json.loads(capsys.readouterr().out)["spec"]["tiers"][0]
    assert (tier["name"], tier["accelerator"]) == ("cheap", {"type": "L40S"})


def test_a_script_from_stdin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("python3 train.py --hf-checkpoint org/m"))
    assert run("-") == 0
    assert yaml.safe_load(capsys.readouterr().out)["spec"]["tiers"][0]["model"] == {"id": "org/m"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe\x00", "this is not a text file"),
        (b"echo hello", "this is no SLIME launch script: it calls no train.py and has no arrays of flags"),
        (b"python3 train.py 'x", "line 1: the quotation that begins here never ends"),
    ],
)
def test_unreadable(content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "run.sh"
    if content is not None:
        script.write_bytes(content)
    assert run(str(script)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"heterollm import-slime: {script}: {message}\n"


def test_a_folder_is_no_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path)) == 2
    assert capsys.readouterr().err == f"heterollm import-slime: {tmp_path}: Is a directory\n"


def test_what_is_printed_can_be_sized(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(SMALL) == 0
    (tmp_path / "cluster.yaml").write_text(capsys.readouterr().out)
    with pytest.raises(SystemExit) as ended:
        main(["size", "-f", str(tmp_path / "cluster.yaml")])
    assert ended.value.code == 0
    assert "745,422 KV tokens" in capsys.readouterr().out
