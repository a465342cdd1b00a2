"""What can be set from outside: every option is a flag and an environment variable; the flag wins."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from heterollm_controllers.api.installation import Config

__all__ = ["PrometheusSettings", "Settings", "add_options", "from_options", "prometheus_url"]

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_CORE = Config()


@dataclass(frozen=True)
class PrometheusSettings:
    """Where figures come from, and how often.

    Attributes:
        url: of the server, without a slash at its end.
        token_file: file with the bearer token; None to send none.
        ca_file: file with the certificates to trust; None for those of the system.
        poll: seconds from one tick to the next.
        scrape: seconds between two scrapes of a pod.
    """

    url: str
    token_file: Path | None
    ca_file: Path | None
    poll: float
    scrape: float


@dataclass(frozen=True)
class Settings:
    """One operator process.

    Attributes:
        namespaces: namespaces served; empty for all.
        identity: unique to this process, also across restarts of its container.
        host: address to serve health and metrics on; empty for all addresses.
        resync: longest time between two reconciles of a cluster, in seconds.
        prometheus: where figures come from; None for nowhere.
        status_page: whether clusters are shown at / beside the metrics.
        core: what the pure core needs to know.
    """

    namespaces: tuple[str, ...]
    lease_namespace: str
    lease_name: str
    identity: str
    host: str
    port: int
    workers: int
    resync: float
    log_level: str
    kubeconfig: str | None
    prometheus: PrometheusSettings | None
    status_page: bool
    core: Config


def add_options(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
    """Add the operator's options, with defaults from the environment."""

    def option(flag: str, default: Any, text: str, type_: Callable[[str], Any] = str, **more: Any) -> None:
        variable = f"HETEROLLM_{flag.upper().replace('-', '_')}"
        # argparse converts textual defaults with `type`, so both sources are checked alike.
        value = environ.get(variable) or default
        parser.add_argument(f"--{flag}", default=value, type=type_, help=f"{text} [{variable}]", **more)

    parser.add_argument(
        "--namespace",
        action="append",
        dest="namespaces",
        metavar="NS",
        help="serve only this namespace (repeatable; default: all) [HETEROLLM_NAMESPACES, comma-separated]",
    )
    parser.set_defaults(environ_namespaces=environ.get("HETEROLLM_NAMESPACES", ""))
    option("lease-namespace", _own_namespace(), "namespace of the leader's Lease (default: the pod's)", metavar="NS")
    option("lease-name", "heterollm-operator", "name of the leader's Lease (default: %(default)s)", metavar="NAME")
    option("identity", _identity(), "unique name of this process (default: host name and a random part)", metavar="ID")
    option("listen", ":8080", "where to serve /healthz, /readyz, /metrics (default: %(default)s)", _address)
    option("status-page", "off", "on: show clusters at / beside the metrics (default: %(default)s)", _on_or_off)
    option("workers", "8", "clusters reconciled side by side (default: %(default)s)", _positive(int))
    option("resync", "600", "seconds between reconciles of unchanged clusters (default: %(default)s)", _positive(float))
    option("log-level", "INFO", "least severe log records to write (default: %(default)s)", _level, metavar="LEVEL")
    option("engine-image", _CORE.engine_image, "default image of engines (default: %(default)s)", metavar="IMAGE")
    option("router-image", _CORE.router_image, "image of routers (default: %(default)s)", metavar="IMAGE")
    option("sglang-version", _CORE.sglang_version, "SGLang release in the engine image (default: %(default)s)")
    option("cluster-domain", _CORE.cluster_domain, "DNS domain of the Kubernetes cluster (default: %(default)s)")
    option(
        "prometheus-url",
        "",
        "Prometheus's address; empty: clusters are not steered by figures",
        prometheus_url,
        metavar="URL",
    )
    option("prometheus-token-file", "", "file with a bearer token for Prometheus", metavar="FILE")
    option("prometheus-ca-file", "", "file with the certificates to trust for it", metavar="FILE")
    option("poll-seconds", "5", "seconds between two ticks (default: %(default)s)", _seconds(1, 60))
    option("scrape-seconds", "15", "how often Prometheus scrapes pods (default: %(default)s)", _seconds(1, 60))
    parser.add_argument(
        "--kubeconfig", default=environ.get("KUBECONFIG"), metavar="FILE", help="only outside a cluster [KUBECONFIG]"
    )


def from_options(options: argparse.Namespace) -> Settings:
    """The settings a parsed command line asks for."""
    named = options.namespaces or options.environ_namespaces.split(",")
    host, port = options.listen
    return Settings(
        namespaces=tuple(dict.fromkeys(name.strip() for name in named if name.strip())),
        lease_namespace=options.lease_namespace,
        lease_name=options.lease_name,
        identity=options.identity,
        host=host,
        port=port,
        workers=options.workers,
        resync=options.resync,
        log_level=options.log_level,
        kubeconfig=options.kubeconfig,
        prometheus=_prometheus(options),
        status_page=options.status_page,
        core=Config(
            options.engine_image,
            options.router_image,
            options.cluster_domain,
            options.sglang_version,
            prometheus=bool(options.prometheus_url),
        ),
    )


def _prometheus(options: argparse.Namespace) -> PrometheusSettings | None:
    if not options.prometheus_url:
        return None
    return PrometheusSettings(
        url=options.prometheus_url,
        token_file=Path(options.prometheus_token_file) if options.prometheus_token_file else None,
        ca_file=Path(options.prometheus_ca_file) if options.prometheus_ca_file else None,
        poll=options.poll_seconds,
        scrape=options.scrape_seconds,
    )


def _own_namespace() -> str:
    return _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.exists() else "default"


def _identity() -> str:
    # Not the pod's name alone: a restarted container must not take the lease of its former self for its own.
    return f"{socket.gethostname()}_{secrets.token_hex(4)}"


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT or :PORT")
    return host, int(port)


def prometheus_url(text: str) -> str:
    """An address of Prometheus as an option gives it; empty for none. Raises ArgumentTypeError."""
    if not text:
        return ""
    found = urlsplit(text)
    try:
        whole = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:  # a port that is none shows when it is asked for
        whole = False
    if not whole:
        raise argparse.ArgumentTypeError(f"{text!r} is not http://HOST:PORT/PATH or https://...")
    if found.username is not None or found.query or found.fragment:
        raise argparse.ArgumentTypeError("the address of Prometheus takes no credentials, no query and no fragment")
    return text.rstrip("/")


def _on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither on nor off")
    return text == "on"


def _level(text: str) -> str:
    # Not argparse's `choices`, which do not check what comes from the environment.
    if text not in _LEVELS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(_LEVELS)}")
    return text


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
        return value

    convert.__name__ = "number of seconds"  # argparse names it in "invalid ... value"
    return convert


def _positive(type_: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        value = type_(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text} is not more than 0")
        return value

    convert.__name__ = f"positive {type_.__name__}"  # argparse names it in "invalid ... value"
    return convert
