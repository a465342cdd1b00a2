"""What `e2e.install` tells and when it returns; the test plays the kubelet by making pods ready."""

from __future__ import annotations

import json

import pytest

from e2e.install import InstallError, install, uninstall
from tests.install.kube import CRD, Kube

pytestmark = pytest.mark.apiserver

_NAMESPACE = "helper"
_SELECTOR = ("-n", _NAMESPACE, "-l", "app.kubernetes.io/name=heterollm-operator")
_READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


class _Kubelet:
    """Takes the lines of progress, and makes one more pod ready at each report of how many are."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if "pods ready" in line and not line.endswith("2 of 2 pods ready"):
            self._make_one_ready()

    def _make_one_ready(self) -> None:
        while True:
            for pod in self._kube.get("pods", *_SELECTOR)["items"]:
                if not any(condition["type"] == "Ready" for condition in pod["status"].get("conditions", [])):
                    patch = ("--subresource=status", "--type=strategic", "--patch", json.dumps(_READY))
                    self._kube.run("patch", "pod", pod["metadata"]["name"], "-n", _NAMESPACE, *patch)
                    return


@pytest.fixture(autouse=True)
def _clean(kube: Kube) -> None:
    uninstall(kube.kubeconfig, _NAMESPACE)
    kube.run("delete", "crd", CRD, "--ignore-not-found")


def _pods(kube: Kube) -> set[str]:
    return {pod["metadata"]["uid"] for pod in kube.get("pods", *_SELECTOR)["items"]}


def test_install_returns_when_the_operator_is_ready_and_upgrade_when_all_of_it_is_new(kube: Kube) -> None:
    first = _Kubelet(kube)
    install(kube.kubeconfig, _NAMESPACE, {}, report=first)
    assert first.lines == [
        "installing release heterollm into namespace helper",
        "heterollm-operator: 0 of 2 pods ready",
        "heterollm-operator: 1 of 2 pods ready",
        "heterollm-operator: 2 of 2 pods ready",
    ]
    old = _pods(kube)

    second = _Kubelet(kube)
    install(kube.kubeconfig, _NAMESPACE, {"operator": {"workers": 3}}, report=second)
    assert second.lines[0] == "upgrading release heterollm in namespace helper"
    assert second.lines[-1] == "heterollm-operator: 2 of 2 pods ready"
    new = _pods(kube)
    assert len(new) == 2
    assert not new & old


def test_an_operator_that_does_not_get_ready_is_an_error_that_says_why(kube: Kube) -> None:
    with pytest.raises(InstallError) as failed:
        install(kube.kubeconfig, _NAMESPACE, {}, timeout_s=0, report=lambda _: None)
    lines = str(failed.value).splitlines()
    assert lines[0] == "heterollm-operator: 0 of 2 pods ready after 0 s"


def test_an_unschedulable_operator_is_named_so(kube: Kube) -> None:
    with pytest.raises(InstallError, match="no nodes available to schedule pods"):
        install(kube.kubeconfig, _NAMESPACE, {}, timeout_s=3, report=lambda _: None)


def test_wrong_values_are_an_error_that_names_them(kube: Kube) -> None:
    with pytest.raises(InstallError, match="'replcas' not allowed"):
        install(kube.kubeconfig, _NAMESPACE, {"operator": {"replcas": 1}})


def test_uninstalling_what_is_not_there_is_fine(kube: Kube) -> None:
    uninstall(kube.kubeconfig, _NAMESPACE)
