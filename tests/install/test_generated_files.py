"""The committed copies are what the generator writes, and the CRD survives its way through the chart."""

from __future__ import annotations

import pytest
import yaml

from hack.api_reference import PAGE, api_reference
from helm.render import CHART, generated_files, render

_ROOT = CHART.parent.parent


def test_committed_files_are_up_to_date() -> None:
    stale = [str(path) for path, text in generated_files().items() if _committed(str(path)) != text]
    assert not stale, "run `make generate`"


def test_the_api_reference_is_up_to_date() -> None:
    crd = yaml.safe_load((_ROOT / "crds" / "heterollmclusters.yaml").read_text())
    assert PAGE.read_text() == api_reference(crd), "run `make generate`"


def _committed(path: str) -> str | None:
    file = _ROOT / path
    return file.read_text() if file.exists() else None


@pytest.mark.parametrize("folder", ["cluster-wide", "namespaced"])
def test_nothing_else_lies_among_them(folder: str) -> None:
    there = {path.relative_to(_ROOT) for path in (_ROOT / "manifests" / "install" / folder).iterdir()}
    assert there == {path for path in generated_files() if path.parent.name == folder}


def test_the_charts_crd_differs_only_in_labels_and_annotations() -> None:
    source = yaml.safe_load((_ROOT / "crds" / "heterollmclusters.yaml").read_text())
    (rendered,) = (document.manifest for document in render() if document.manifest["kind"] == source["kind"])
    assert rendered["metadata"].pop("annotations") == {
        "helm.sh/resource-policy": "keep",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    }
    del rendered["metadata"]["labels"]
    assert rendered == source


def test_plain_manifests_do_not_claim_to_be_helms() -> None:
    for path, text in generated_files().items():
        if path.is_relative_to("manifests"):
            assert "helm.sh/" not in text, path
            assert "managed-by" not in text, path
