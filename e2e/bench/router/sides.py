"""The gateways that are compared, each as the command that starts it on loopback with one worker thread."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from e2e.bench.router.cases import KEY, MODEL
from e2e.bench.router.installs import environment
from e2e.bench.router.parts import PARTS, ResourceFiles
from e2e.ports import free_port
from heterollm_agent.policy import parse
from heterollm_agent.secret_mounts import CLIENTS_FILE, ENGINE_FILE, client_filter, engine_filter
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import Endpoint, Retries, RetryChange, RoutingPolicy, TierRoute
from tests.router.envoy import BINARY, module_environment, relocate

__all__ = ["DEFAULT", "SIDES", "Command", "Place", "Side"]

_BOOTSTRAP = Path(__file__).parents[3] / "router-image" / "envoy.json"
_LITELLM = "litellm[proxy]"
_EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"


@dataclass(frozen=True)
class Place:
    """Where a side runs: a directory of its own, the port to listen on, and the engines' ports (four)."""

    directory: Path
    port: int
    engine_ports: Sequence[int]

    def write(self, name: str, text: str) -> Path:
        """A file in the directory."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


@dataclass(frozen=True)
class Command:
    """How a side is started."""

    words: Sequence[str | Path]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One gateway; `model`: what its requests ask for, `package`: what must be installed for it."""

    command: Callable[[Place], Command] | None
    model: str = MODEL
    package: str | None = None


def _envoy(configuration: Path) -> Command:
    words: list[str | Path] = [BINARY, "-c", configuration, "--concurrency", "1", "--disable-hot-restart"]
    # As in the router's image.
    return Command([*words, "--log-level", "warning", "--component-log-level", "misc:critical"], module_environment())


def _plain_envoy(place: Place) -> Command:
    """A listener, a route, a cluster: what Envoy costs at least."""
    manager = {
        "@type": f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "plain",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "engines", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{_EXTENSIONS}.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "address": _address(place.port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    endpoints = [{"endpoint": {"address": _address(port)}} for port in place.engine_ports]
    cluster = {
        "name": "engines",
        "load_assignment": {"cluster_name": "engines", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    return _envoy(
        place.write("envoy.json", json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    )


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _ours(without: str | None = None) -> Callable[[Place], Command]:
    """Our router with everything on, or all but one part."""

    def command(place: Place) -> Command:
        data = {**envoy_files(_policy(place), 1), "version": "1"}
        files: ResourceFiles = {name: json.loads(text) for name, text in parse(data, None).files.items()}
        if without is not None:
            PARTS[without](files)
        for name, resources in files.items():
            place.write(f"policy/{name}", _relocated(json.dumps(resources, separators=(",", ":")), place))
        place.write(f"keys/{CLIENTS_FILE}", client_filter({"bench": KEY}))
        place.write(f"keys/{ENGINE_FILE}", engine_filter("engine"))
        # The administration port is not asked for anything.
        bootstrap = _BOOTSTRAP.read_text(encoding="utf-8").replace("9901", "0")
        return _envoy(place.write("envoy.json", relocate(bootstrap, place.directory)))

    return command


def _relocated(text: str, place: Place) -> str:
    return relocate(text, place.directory).replace('"port_value":0', f'"port_value":{place.port}')


def _policy(place: Place) -> RoutingPolicy:
    """Two tiers of two engines, and every feature used."""
    engines = [Endpoint(f"engine-{port}", "127.0.0.1", port) for port in place.engine_ports]
    half = len(engines) // 2
    return RoutingPolicy(
        "bench",
        (
            TierRoute("small", "model/small", tuple(engines[:half]), diverted_percent=10),
            TierRoute("large", "model/large", tuple(engines[half:])),
        ),
        retries=Retries(changes=(RetryChange(temperature=0.2), RetryChange(temperature=0.0, max_tokens_factor=0.5))),
        reserved_percent=20,
        reserved_clients=("someone",),
    )


def _gateway(package: str) -> Callable[[Place], Command]:
    """One of SGLang's Rust gateways, with the policy they are made for."""

    def command(place: Place) -> Command:
        urls = [f"http://127.0.0.1:{port}" for port in place.engine_ports]
        words: list[str | Path] = [
            environment(package) / package,
            "launch",
            "--host",
            "127.0.0.1",
            "--port",
            str(place.port),
        ]
        words += ["--policy", "cache_aware", "--prometheus-port", str(free_port()), "--log-level", "error"]
        return Command([*words, "--worker-urls", *urls], {"TOKIO_WORKER_THREADS": "1"})

    return command


def _litellm(place: Place) -> Command:
    """LiteLLM's proxy, which is configured as a list of deployments."""
    models = [
        {
            "model_name": MODEL,
            "litellm_params": {
                "model": f"openai/{MODEL}",
                "api_base": f"http://127.0.0.1:{port}/v1",
                "api_key": "engine",
            },
        }
        for port in place.engine_ports
    ]
    configuration = place.write("litellm.json", json.dumps({"model_list": models}))
    words: list[str | Path] = [
        environment(_LITELLM) / "litellm",
        "--config",
        configuration,
        "--telemetry",
        "False",
    ]
    words += ["--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
    # Its list of prices is in the package; it would look for a newer one. Without a key it does not start.
    settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": KEY}
    return Command(words, settings)


def _python_proxy(place: Place) -> Command:
    ports = [str(port) for port in (place.port, *place.engine_ports)]
    return Command([sys.executable, "-m", "e2e.bench.router.python_proxy", *ports])


SIDES: dict[str, Side] = {
    "direct": Side(None),
    "envoy": Side(_plain_envoy),
    "ours": Side(_ours()),
    "smg": Side(_gateway("smg"), package="smg"),
    "sglang-router": Side(_gateway("sglang-router"), package="sglang-router"),
    "litellm": Side(_litellm, package=_LITELLM),
    "aiohttp": Side(_python_proxy),
    # Asked for by name, to see what a part of ours costs.
    "ours-explicit": Side(_ours(), "small"),
    **{f"ours-without-{part}": Side(_ours(part)) for part in PARTS},
}
DEFAULT = ("direct", "envoy", "ours", "smg", "sglang-router", "litellm", "aiohttp")
