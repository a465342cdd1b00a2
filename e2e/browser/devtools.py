"""A browser's page by the DevTools protocol: what a test needs of it, over aiohttp."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from e2e.browser.binary import browser_environment, ensure_browser

__all__ = ["Tab", "browser_tab"]

_START_SECONDS, _LOAD_SECONDS = 60.0, 60.0
# As root there is no sandbox; the pages are our own, on loopback.
_FLAGS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-port=0")


class Tab:
    """The one tab of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the page's console said, what failed to load, and errors of scripts, since `open`."""

    async def open(self, url: str, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Show a page in a window of that size, and wait until it is there."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.send("Emulation.setDeviceMetricsOverride", **size)
        self.complaints = []
        await self.send("Page.navigate", url=url)
        async with asyncio.timeout(_LOAD_SECONDS):
            while (await self._receive()).get("method") != "Page.loadEventFired":
                pass

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, which runs beside the page's own policy."""
        found = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def picture(self, file: Path, *, whole: bool = True) -> None:
        """The page as a PNG: the whole of it, or what the window shows."""
        found = await self.send("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(found["data"]))

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command, and its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_LOAD_SECONDS):
            while True:
                message = await self._receive()
                if message.get("id") == number:
                    assert "error" not in message, message
                    result: dict[str, Any] = message["result"]
                    return result

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json()
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Log.entryAdded":
            self.complaints.append(str(params["entry"].get("text")))
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed"):
            self.complaints.append(f"{method}: {params}")
        elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
            self.complaints.append(f"{params['response']['status']} {params['response']['url']}")


@contextlib.asynccontextmanager
async def browser_tab() -> AsyncIterator[Tab]:
    """A tab of a new browser, which ends with the context. Raises BrowserError where there is none."""
    program = await asyncio.to_thread(ensure_browser)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            str(program),
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            env={**browser_environment(program), "HOME": str(Path.home()), "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile), process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                    tabs = await response.json()
                address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _port(profile: Path, process: asyncio.subprocess.Process) -> int:
    """Where it listens: it writes that down once it does."""
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(_START_SECONDS):
        while not file.exists() or not file.read_text().strip():
            assert process.returncode is None, f"the browser ended with {process.returncode}"
            await asyncio.sleep(0.05)
    return int(file.read_text().splitlines()[0])
