"""`make mutants` runs in an environment of its own, which must have whatever every test run imports."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions

from tests.docs.repository import ROOT


def test_mutation_runs_have_what_conftest_imports() -> None:
    tree = ast.parse((ROOT / "conftest.py").read_text())
    modules = {
        node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    modules |= {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    known = packages_distributions()
    wanted = {known[module][0] for module in modules - {*sys.stdlib_module_names}}
    locked = {*re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/mutants.txt").read_text(), re.MULTILINE)}
    assert wanted
    assert wanted <= locked
