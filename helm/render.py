"""Generate what is copied from one source of truth: `python -m helm.render` (part of `make generate`).

- The chart's copy of the CRD comes from `crds/`.
- The plain manifests in `manifests/install/` are the chart, rendered with its default values.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
import yaml

__all__ = ["CHART", "Document", "generated_files", "render"]

_ROOT = Path(__file__).resolve().parent.parent
CHART = _ROOT / "helm" / "heterollm"
_CRD = Path("crds") / "heterollmclusters.yaml"
_CHART_CRD = Path("helm") / "heterollm" / "files" / "heterollmclusters.yaml"
_INSTALL = Path("manifests") / "install"
_HEADER = "# Generated from helm/heterollm by `make generate`; do not edit.\n"
_RELEASE = "heterollm"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """One rendered object and the template it comes from, such as `deployment.yaml`."""

    template: str
    manifest: Manifest


@dataclass(frozen=True)
class _Variant:
    """A set of plain manifests: a folder, the namespace it installs into, and the chart's values for it."""

    folder: str
    namespace: str
    values: Mapping[str, Any]
    creates_namespace: bool


# The CRD is not among them but comes from `crds/`: deleting the operator's manifests must never delete all clusters.
_VARIANTS = (
    _Variant("cluster-wide", "heterollm-system", {"crds": {"enabled": False}}, creates_namespace=True),
    # Only namespaced objects, so that whoever owns one namespace can apply it there.
    _Variant(
        "namespaced",
        "heterollm",
        {
            "crds": {"enabled": False},
            "watch": {"namespaces": ["heterollm"]},
            "rbac": {"aggregateToDefaultRoles": False},
        },
        creates_namespace=False,
    ),
)


def render(
    values: Mapping[str, Any] | None = None, *, release: str = _RELEASE, namespace: str = "heterollm-system"
) -> list[Document]:
    """Render the chart as `helm install` would, without Helm's hooks and notes.

    Raises
    ------
    helm_python.HelmError
        The values are refused by the schema, or a template fails.
    """
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(dict(values or {}))
        files: dict[str, str] = chart.render(dict(values or {}), name=release, namespace=namespace)
    return list(_documents(files))


def _documents(files: Mapping[str, str]) -> Iterator[Document]:
    for path in sorted(files):
        template = path.partition("/templates/")[2]
        if not template.endswith(".yaml"):
            continue
        for manifest in yaml.safe_load_all(files[path]):
            if manifest and "helm.sh/hook" not in manifest["metadata"].get("annotations", {}):
                yield Document(template, manifest)


def generated_files() -> dict[Path, str]:
    """Return the text of every generated file by its path relative to the repository's root."""
    files = {_CHART_CRD: (_ROOT / _CRD).read_text()}
    for variant in _VARIANTS:
        files |= _variant_files(variant)
    return files


def _variant_files(variant: _Variant) -> dict[Path, str]:
    objects: dict[str, list[Manifest]] = {}
    if variant.creates_namespace:
        objects["namespace.yaml"] = [_namespace(variant.namespace)]
    for document in render(variant.values, namespace=variant.namespace):
        objects.setdefault(document.template, []).append(_without_helm(document.manifest))
    objects["kustomization.yaml"] = [_kustomization(sorted(objects))]
    return {_INSTALL / variant.folder / name: _HEADER + _dump(manifests) for name, manifests in objects.items()}


def _namespace(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }


def _kustomization(resources: list[str]) -> Manifest:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}


def _without_helm(manifest: Manifest) -> Manifest:
    """Drop the labels that say Helm manages the object: here it does not."""
    labels = manifest["metadata"]["labels"]
    del labels["helm.sh/chart"], labels["app.kubernetes.io/managed-by"]
    return manifest


def _dump(manifests: list[Manifest]) -> str:
    return yaml.safe_dump_all(manifests, sort_keys=False, width=110)


def main() -> None:
    """Write the generated files and remove what is no longer generated."""
    argparse.ArgumentParser(prog="python -m helm.render", description=__doc__).parse_args()
    files = generated_files()
    for folder in (_ROOT / _INSTALL / variant.folder for variant in _VARIANTS):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in set(folder.iterdir()) - {_ROOT / path for path in files}:
            stale.unlink()
    for path, text in files.items():
        (_ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
