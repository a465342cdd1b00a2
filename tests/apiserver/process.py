"""The operator as its users run it: a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp

from e2e.ports import free_port

__all__ = ["OperatorProcess"]


class OperatorProcess:
    """One replica. With `restart` it is started again whenever it ends by itself, as a kubelet does."""

    def __init__(
        self,
        kubeconfig: Path,
        namespace: str,
        log: Path,
        *options: str,
        restart: bool = False,
        module: str = "heterollm_cli.main",
    ) -> None:
        self._port = free_port()
        self._command = (
            *(sys.executable, "-m", module, "operator", f"--kubeconfig={kubeconfig}"),
            *(f"--lease-namespace={namespace}", f"--listen=127.0.0.1:{self._port}", *options),
        )
        self._log = log
        self._restart = restart
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.starts = 0

    async def start(self) -> OperatorProcess:
        await self._spawn()
        if self._restart:
            self._keeper = asyncio.create_task(self._keep())
        return self

    async def kill(self) -> None:
        """By signal 9: it can do nothing about it."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """By SIGTERM, as a kubelet does; returns the exit status."""
        if self._keeper is not None:
            self._keeper.cancel()
        return await self._end(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.returncode if self._process is not None else None

    async def ended(self) -> int:
        """Wait until it ends by itself; returns the exit status."""
        assert self._process is not None
        return await self._process.wait()

    async def metric(self, name: str) -> float:
        """The sum of a metric's series whose text begins so; 0 when the process does not answer."""
        try:
            text = await self.read("/metrics")
        except aiohttp.ClientError:
            return 0.0
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    async def leads(self) -> bool:
        return await self.metric("heterollm_leader{") == 1

    async def ready(self) -> bool:
        return (await self.read("/readyz")).strip() == "ok"

    async def read(self, path: str) -> str:
        url = f"http://127.0.0.1:{self._port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stderr=log)
        self.starts += 1

    async def _keep(self) -> None:
        while True:
            await self.ended()
            await self._spawn()

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        process = self._process
        if process.returncode is None:
            process.send_signal(number)
        return await process.wait()
