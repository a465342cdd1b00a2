"""The agent's process, as in the pod but on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

import aiohttp

from tests.router.patience import eventually

__all__ = ["Agent"]

_SOURCE = Path(__file__).parents[2] / "router-image" / "agent"
_EVERYWHERE = 'heterollm_cluster="demo",heterollm_namespace="here"'
_PORT = re.compile(r"health and metrics on port (\d+)")


class Agent:
    """One agent for the length of an `async with`; its process ends with it."""

    def __init__(
        self,
        policy_dir: Path,
        *,
        api_port: int = 1,
        admin: str = "http://127.0.0.1:1",
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        root = Path(self._temporary.name)
        self.seed, self.token = root / "seed", root / "token"
        self.seed.mkdir()
        (root / "keys").mkdir()
        self.token.write_text("first\n")
        self._env = os.environ | {
            "PYTHONPATH": str(_SOURCE),
            "CLUSTER": "demo",
            "POLICY_CONFIGMAP": "c-policy",
            "POLICY_NAMESPACE": "here",
            "POLICY_DIR": str(policy_dir),
            "SEED_DIR": str(self.seed),
            "KUBE_API_URL": f"http://127.0.0.1:{api_port}",
            "KUBE_TOKEN_FILE": str(self.token),
            "ENVOY_ADMIN": admin,
            "AGENT_PORT": "0",
            "KEYS_DIR": str(root / "keys"),
            **env,
        }
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.Task[None] | None = None
        self.lines: list[str] = []

    async def __aenter__(self) -> Agent:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        self._temporary.cleanup()

    def put_seed(self, data: dict[str, str]) -> None:
        """Mount this as the seed."""
        for name, text in data.items():
            (self.seed / name).write_text(text)

    async def start(self) -> None:
        """Start the process and wait for its port."""
        self.lines.clear()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "heterollm_agent", env=self._env, stderr=asyncio.subprocess.PIPE
        )
        self._log = asyncio.create_task(self._read())
        await self.until(lambda: _PORT.search("".join(self.lines)) is not None)
        found = _PORT.search("".join(self.lines))
        assert found is not None
        self.url = f"http://127.0.0.1:{found.group(1)}"

    async def kill(self) -> None:
        """End the process at once."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def terminate(self) -> None:
        """Ask it to end, as the kubelet does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for its end; its exit status."""
        assert self._process is not None
        async with asyncio.timeout(10):
            return await self._process.wait()

    async def get(self, path: str) -> tuple[int, str]:
        """One of its pages."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.text()

    async def metric(self, sample: str) -> float | None:
        """A figure of its own, by name and labels as written, without those that all figures have."""
        _, text = await self.get("/metrics")
        text = text.replace(f"{{{_EVERYWHERE}}}", "").replace(f"{_EVERYWHERE},", "")
        found = re.search(rf"^heterollm_router_{re.escape(sample)} (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else None

    async def shows(self, sample: str, value: float) -> None:
        """Wait until a figure has a value, at most 10 s."""

        async def look() -> bool:
            return await self.metric(sample) == value

        await eventually(look)

    async def becomes_unready(self) -> None:
        """Wait until it asks for no more requests, at most 10 s."""

        async def look() -> bool:
            return (await self.get("/readyz"))[0] != 200

        await eventually(look)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, at most 10 s."""

        async def look() -> bool:
            return condition()

        await eventually(look)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.lines.append(line.decode())
