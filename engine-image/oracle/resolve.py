"""Ask SGLang's own resolver about launches on a pretended GPU: resolve.py GPU < cases.json > answers.json.

Run once per GPU, for SGLang remembers what the GPU is; every case runs in a forked child, because resolving also
writes environment variables and settings of the process. Nothing is loaded and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cases import CONFIGS, Case, arguments
from pretend import GPUS, pretend

os.environ["HF_HUB_OFFLINE"] = "1"

FIELDS = {
    "tp": "tp_size",
    "attn_dp": "attn_dp_size",
    "dp": "dp_size",
    "ep": "ep_size",
    "pp": "pp_size",
    "nnodes": "nnodes",
    "a2a": "moe_a2a_backend",
    "mem_fraction_static": "mem_fraction_static",
    "chunked_prefill_size": "chunked_prefill_size",
    "max_running_requests": "max_running_requests",
    "max_total_tokens": "max_total_tokens",
    "page_size": "page_size",
    "kv_cache_dtype": "kv_cache_dtype",
    "attention_backend": "attention_backend",
    "moe_runner_backend": "moe_runner_backend",
    "moe_dense_tp_size": "moe_dense_tp_size",
    "disable_overlap_schedule": "disable_overlap_schedule",
}
"""Recorded name: field of SGLang's server arguments."""


def write_models(folder: Path) -> None:
    """The configurations as the folders that SGLang reads, named as on the hub: it looks at names too."""
    for model, config in CONFIGS.items():
        (folder / model).mkdir(parents=True)
        (folder / model / "config.json").write_text(json.dumps(config))


def resolved(case: Case, folder: Path) -> Any:
    """The server arguments of one launch, resolved and checked.

    Raises:
        Exception: whatever the resolver raises, which is its refusal.
    """
    from sglang.srt.server_args import prepare_server_args

    launch = ["--model-path", str(folder / case.model), "--device", "cuda", *arguments(case.flags)]
    server = prepare_server_args(launch)
    server.resolve_once()
    server.check_server_args()
    return server


def resolve(case: Case, folder: Path) -> dict[str, Any]:
    """The resolved values of one launch that sizing needs."""
    from sglang.srt.arg_groups.overrides import model_config_of

    server = resolved(case, folder)
    values = server.resolved_dict()
    graphs = values["cuda_graph_config"]
    decode, prefill = graphs["decode"], graphs["prefill"]
    model = model_config_of(server)
    return {name: values[field] for name, field in FIELDS.items()} | {
        "context_length": model.context_len,
        "kv_heads": model.get_total_num_kv_heads(),
        "decode_graph": decode["backend"],
        "decode_max_bs": decode["max_bs"],
        "prefill_graph": prefill["backend"],
        "prefill_max_bs": prefill["max_bs"],
        "prefill_bs_count": len(prefill["bs"]),
    }


Work = Callable[[Case, Path], dict[str, Any]]


def answer(work: Work, case: Case, folder: Path) -> dict[str, Any]:
    """The verdict: the resolved values, or the first line of the refusal."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return {"verdict": "ok", "resolved": work(case, folder)}
    except SystemExit:
        # argparse ends the process after its usage text; the last line says why.
        return {"verdict": "error", "error": said.getvalue().strip().splitlines()[-1]}
    except Exception as failure:
        if os.environ.get("ORACLE_TRACE"):
            traceback.print_exc()
        # A bare assertion says nothing, but its source line does.
        bare = traceback.extract_tb(failure.__traceback__)[-1].line or ""
        first = (str(failure).strip() or bare).splitlines()[0]
        return {"verdict": "error", "error": f"{type(failure).__name__}: {first}".replace(f"{folder}/", "")}


def apart(work: Work, case: Case, folder: Path) -> dict[str, Any]:
    """The answer, worked out in a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with os.fdopen(writer, "w") as stream:
            json.dump(answer(work, case, folder), stream)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        found: dict[str, Any] = json.load(stream)
    os.waitpid(child, 0)
    return found


def serve(work: Work, needs: tuple[str, ...]) -> None:
    """Answer the cases of standard input for the GPU that the command line names.

    Args:
        needs: modules to import once, with the GPU already pretended, so that no child has to.
    """
    gpu = GPUS[sys.argv[1]]
    cases = [Case(**case) for case in json.load(sys.stdin)]
    pretend(gpu)
    for module in needs:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder)
        json.dump([apart(work, case, folder) for case in cases], sys.stdout)


if __name__ == "__main__":
    serve(resolve, ("sglang.srt.arg_groups.pipeline", "sglang.srt.server_args"))
