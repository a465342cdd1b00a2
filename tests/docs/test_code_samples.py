"""What the pages show can be used: clusters are valid, commands and options exist, Python and shell can be parsed."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from heterollm_cli.main import main
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from tests.docs.repository import ROOT, code_blocks, pages
from tests.docs.schema import unknown_or_wrong

_CRD = yaml.safe_load((ROOT / "crds" / "heterollmclusters.yaml").read_text(encoding="utf-8"))
_SCHEMA = _CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
_SPEC = _SCHEMA["properties"]["spec"]


def _blocks(*languages: str) -> list[tuple[str, str]]:
    """Page and text of every block in one of the languages."""
    found = [(page.name, text) for page in pages() for language, text in code_blocks(page) if language in languages]
    assert len(found) > 0
    return found


def test_yaml_of_clusters_is_valid() -> None:
    """A part of a cluster is held against the schema where it would stand; anything else has to be YAML."""
    documents = [(page, item) for page, text in _blocks("yaml") for item in yaml.safe_load_all(text)]
    checked = [(page, item) for page, item in documents if _part(item) is not None]
    assert len(checked) >= 4
    assert [(page, problem) for page, item in checked for problem in _problems(item)] == []


def _part(document: Any) -> str | None:
    """Which part of a cluster a document is."""
    if not isinstance(document, dict):
        return None
    if document.get("kind") == "HeteroLLMCluster":
        return "cluster"
    if document.keys() == {"spec"} and document["spec"].keys() <= _SPEC["properties"].keys():
        return "spec"
    return "model" if document.keys() == {"model"} else None


def _problems(document: dict[str, Any]) -> list[str]:
    part = _part(document)
    if part == "cluster":
        HeteroLLMClusterSpec.model_validate(document["spec"])
        return unknown_or_wrong(document, _SCHEMA, "")
    if part == "spec":
        return unknown_or_wrong(document["spec"], _SPEC, "spec")
    return unknown_or_wrong(document["model"], _SPEC["properties"]["tiers"]["items"]["properties"]["model"], "model")


def test_whole_clusters_can_be_sized(tmp_path: Path) -> None:
    whole = [(page, item) for page, text in _blocks("yaml") for item in yaml.safe_load_all(text)]
    whole = [(page, item) for page, item in whole if _part(item) == "cluster"]
    assert len(whole) >= 2
    for page, cluster in whole:
        file = tmp_path / page
        file.write_text(yaml.safe_dump(cluster))
        assert _status("size", "-f", str(file)) == 0, page


def _status(*command: str) -> object:
    with contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as ended:
        main([*command])
    return ended.value.code


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))
    pattern = re.compile(r"(?:^|[`\s=])make ([a-z][a-z0-9-]+)(?=[`\s,.;:)]|$)", re.MULTILINE)
    named = {(page.name, target) for page in pages() for target in pattern.findall(_commands(page))}
    assert len(named) > 20
    assert sorted((page, target) for page, target in named if target not in targets) == []


def test_commands_of_heterollm_exist_with_these_options() -> None:
    pattern = re.compile(r"^[`$ ]*(heterollm [a-z].*?)`?$", re.MULTILINE)
    lines = [(page.name, line) for page in pages() for line in pattern.findall(_commands(page))]
    assert len(lines) > 10
    assert [(page, line) for page, line in lines if not _is_known(line)] == []


def _commands(page: Path) -> str:
    """What stands between backticks, and the lines of shell blocks."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    blocks = [block for language, block in code_blocks(page) if language in ("", "sh")]
    return "\n".join(f"`{' '.join(item.split())}`" for item in inline) + "\n" + "\n".join(blocks)


def _is_known(line: str) -> bool:
    words = shlex.split(line.partition("#")[0])
    name, options = words[1], [word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)]
    return name in _help() and all(re.search(rf"(^|\s){option}\b", _help(name)) for option in options)


@cache
def _help(*command: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([*command, "--help"])
    return said.getvalue()


def test_python_compiles() -> None:
    for page, text in _blocks("python"):
        compile(text, page, "exec")


def test_shell_can_be_parsed() -> None:
    for page, text in _blocks("sh"):
        parsed = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert parsed.returncode == 0, (page, parsed.stderr)
