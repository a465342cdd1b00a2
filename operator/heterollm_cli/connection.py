"""How commands that look at a running cluster reach the API server and Prometheus."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heterollm_operator.process.config import prometheus_url

if TYPE_CHECKING:
    from heterollm_operator.kube.client import Api
    from heterollm_operator.prometheus.client import Prometheus

__all__ = ["Unavailable", "add_options", "connected", "namespace_of", "prometheus_of"]

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Unavailable(Exception):
    """There is nobody to ask; the message says why."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where Prometheus and the kubeconfig are."""
    parser.add_argument(
        "--prometheus",
        type=prometheus_url,
        default=os.environ.get("HETEROLLM_PROMETHEUS_URL", ""),
        metavar="URL",
        help="address of Prometheus, as seen from here; without one there are no figures [HETEROLLM_PROMETHEUS_URL]",
    )
    for what, text in (("token", "file with a bearer token for it"), ("ca", "file with the certificates to trust")):
        variable = f"HETEROLLM_PROMETHEUS_{what.upper()}_FILE"
        parser.add_argument(
            f"--prometheus-{what}-file",
            default=os.environ.get(variable, ""),
            metavar="FILE",
            help=f"{text} [{variable}]",
        )
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG"), metavar="FILE", help="[KUBECONFIG]")


async def connected(options: argparse.Namespace) -> Api:
    """The API server; the caller closes it. Raises Unavailable."""
    # Imported here: other commands start faster without it.
    from heterollm_operator.kube.client import Api

    try:
        return await Api.connect(options.kubeconfig)
    except Exception as error:  # the client raises what it likes: a missing file, bad YAML, a plug-in that failed
        raise Unavailable(f"no access to a Kubernetes cluster: {error}") from error


def prometheus_of(options: argparse.Namespace) -> Prometheus | None:
    """Prometheus, if its address was given."""
    from heterollm_operator.prometheus.client import Prometheus

    if not options.prometheus:
        return None
    token, certificates = options.prometheus_token_file, options.prometheus_ca_file
    return Prometheus(
        options.prometheus,
        lambda: datetime.now(UTC),
        Path(token) if token else None,
        Path(certificates) if certificates else None,
    )


def namespace_of(options: argparse.Namespace) -> str:
    """The one that was named, else that of the kubeconfig's context, or of the pod."""
    from kubernetes.aio.config import kube_config

    if options.namespace:
        return str(options.namespace)
    if options.kubeconfig is None and _POD_NAMESPACE.exists():
        return _POD_NAMESPACE.read_text().strip()
    # The client publishes no types.
    config: Any = kube_config
    _, active = config.list_kube_config_contexts(options.kubeconfig)
    return str((active or {}).get("context", {}).get("namespace") or "default")
