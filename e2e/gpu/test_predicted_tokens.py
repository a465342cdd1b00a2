"""On an NVIDIA GPU: a real SGLang server of a real model's shape holds as many KV tokens as sizing predicts.

The weights are random (`--load-format dummy`), so nothing is downloaded; their bytes are the real ones. SGLANG_PYTHON
names a Python that has SGLang; this one is taken if it does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2e.ports import free_port
from heterollm_controllers.sizing.accelerators import Gpu, accelerator
from heterollm_controllers.sizing.models import entry, known_model
from heterollm_controllers.sizing.plan import Split
from heterollm_controllers.sizing.requirements import Requirements
from heterollm_controllers.sizing.search import plan_for

MODELS = ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-4B")
START_SECONDS = 900.0
PYTHON = os.environ.get("SGLANG_PYTHON", sys.executable)


def _memory_mib() -> int:
    """Memory of the first GPU as the driver reports it; the test is skipped where there is none."""
    if shutil.which("nvidia-smi") is None:
        pytest.skip("no NVIDIA GPU here: nvidia-smi is missing, so the prediction was not compared with a real server")
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    return int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()[0])


@pytest.fixture(scope="module")
def gpu() -> Gpu:
    """The GPU at hand; of its figures only the memory matters here."""
    memory = _memory_mib()
    if subprocess.run([PYTHON, "-c", "import sglang"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no SGLang; name one that has in SGLANG_PYTHON")
    like = accelerator("H100")
    assert like is not None
    return replace(like, memory_mib=memory)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A server of the model in `folder`, ended with its whole process group."""
    port = free_port()
    command = [PYTHON, "-m", "sglang.launch_server", "--model-path", str(folder), "--load-format", "dummy"]
    command += ["--skip-tokenizer-init", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _server_info(url: str, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            time.sleep(2)
    pytest.fail(f"the server did not start:\n{log.read_text()[-4000:]}")


@pytest.mark.parametrize("model_id", MODELS)
def test_kv_tokens_are_as_predicted(gpu: Gpu, model_id: str, tmp_path: Path) -> None:
    model = known_model(model_id)
    assert model is not None
    predicted = plan_for(model, gpu, Requirements(), Split(1), 1).kv_tokens
    (tmp_path / "config.json").write_text(json.dumps(dict(entry(model_id).config)))
    with _server(tmp_path) as url:
        held = _server_info(url, tmp_path / "log")["max_total_num_tokens"]
    print(f"{model_id} on {gpu.memory_mib} MiB: predicted {predicted:,}, held {held:,} KV tokens")
    assert predicted == pytest.approx(held, rel=0.02)
