"""The endpoints that tell about the engine or steer it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from . import SGLANG_VERSION
from .engine import Engine
from .errors import ApiError
from .faults import FaultPlan
from .request_parsing import read_json

__all__ = ["Control", "metrics_response"]

SECTIONS = frozenset({"core", "memory", "spec", "lora", "disagg", "queues", "all"})
SECRET_OPTIONS = ("api_key", "admin_api_key")


def metrics_response(registry: CollectorRegistry) -> web.Response:
    """A registry in Prometheus' text format."""
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class Control:
    """Handlers bound to one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._started = int(time.time())

    async def ready(self, _: web.Request) -> web.Response:
        """GET /ready: whether new requests should come."""
        return _status(self._engine.ready)

    async def ping(self, _: web.Request) -> web.Response:
        """GET /ping: alive, also while paused."""
        return _status(self._engine.healthy)

    async def health(self, http: web.Request) -> web.Response:
        """GET /health and /health_generate: generate one token, unless the environment asks for the cheap check."""
        engine = self._engine
        if engine.draining or not engine.started:
            return _status(False)
        if http.path == "/health" and not engine.health_generates:
            return _status(True)
        return _status(await engine.produces_a_token())

    async def server_info(self, _: web.Request) -> web.Response:
        """GET /server_info: the options as given, what was made of them, live state."""
        config = self._engine.config
        options = {k: v for k, v in config.options.as_given().items() if k not in SECRET_OPTIONS}
        return web.json_response(
            {
                **options,
                "model_path": config.model_path,
                "served_model_name": config.identity.model,
                "host": config.host,
                "port": config.port,
                "max_running_requests": config.profile.slots,
                "max_total_num_tokens": config.profile.kv_tokens,
                "context_length": config.context_length,
                "launch_command": config.launch_command,
                "status": "ready" if self._engine.ready else "not ready",
                "internal_states": [self._core()],
                "version": SGLANG_VERSION,
                "simulated": True,
                "tier": config.identity.tier,
                "engine": config.identity.engine,
                "faults": self._engine.faults.as_dict(),
            }
        )

    async def model_info(self, _: web.Request) -> web.Response:
        """GET /model_info."""
        config = self._engine.config
        return web.json_response(
            {
                "model_path": config.model_path,
                "served_model_name": config.identity.model,
                "tokenizer_path": config.options.text("tokenizer_path", config.model_path),
                "is_generation": True,
                "preferred_sampling_params": None,
                "weight_version": "default",
                "load_format": config.options.text("load_format", "auto"),
                "reasoning_parser": None,
                "tool_call_parser": None,
                "disaggregation_mode": "null",
                "has_image_understanding": False,
                "has_audio_understanding": False,
                "model_type": "simulated",
                "architectures": ["Simulated"],
            }
        )

    async def models(self, _: web.Request) -> web.Response:
        """GET /v1/models."""
        return web.json_response({"object": "list", "data": [self._card()]})

    async def model(self, http: web.Request) -> web.Response:
        """GET /v1/models/{model}."""
        name = http.match_info["model"]
        if name == self._engine.config.identity.model:
            return web.json_response(self._card())
        error = {
            "message": f"The model '{name}' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
        return web.json_response({"error": error}, status=HTTPStatus.NOT_FOUND)

    async def loads(self, http: web.Request) -> web.Response:
        """GET /v1/loads?include=core,memory,queues: live load in SGLang's form."""
        include = {part.strip() for part in http.query.get("include", "all").split(",")}
        if unknown := include - SECTIONS:
            return web.json_response(
                {"detail": f"Invalid include sections: {sorted(unknown)}. Valid options: {sorted(SECTIONS)}"},
                status=HTTPStatus.BAD_REQUEST,
            )
        load = self._core()
        scheduler, profile = self._engine.scheduler, self._engine.config.profile
        if include & {"memory", "all"}:
            load["memory"] = {
                "weight_gb": 0.0,
                "kv_cache_gb": 0.0,
                "graph_gb": 0.0,
                "token_capacity": profile.kv_tokens,
            }
        if include & {"queues", "all"}:
            load["queues"] = {
                "waiting": scheduler.queued,
                "grammar": 0,
                "paused": scheduler.running if scheduler.paused else 0,
                "retracted": 0,
                "prealloc_ready": 0,
            }
        return web.json_response(
            {
                "timestamp": datetime.now(UTC).isoformat(),
                "version": SGLANG_VERSION,
                "accelerator": "simulated",
                "num_accelerators": self._engine.config.options.integer("tp_size", 1),
                "loads": [load],
            }
        )

    async def flush_cache(self, _: web.Request) -> web.Response:
        """GET or POST /flush_cache: works on an idle engine only."""
        if self._engine.scheduler.idle:
            self._engine.prefix_cache.clear()
            return web.Response(text="Cache flushed.\n")
        return web.Response(text="Requests are waiting or running.\n", status=HTTPStatus.BAD_REQUEST)

    async def abort(self, http: web.Request) -> web.Response:
        """POST /abort_request {rid, abort_all}; ids match by prefix, as in SGLang."""
        body = await read_json(http, strict_type=False)
        rid = body.get("rid")
        self._engine.scheduler.abort(rid if isinstance(rid, str) else "", body.get("abort_all") is True)
        return web.Response()

    async def pause(self, http: web.Request) -> web.Response:
        """POST /pause_generation {mode}: abort (default), retract or in_place."""
        body = await read_json(http, strict_type=False)
        mode = body.get("mode", "abort")
        if mode not in ("abort", "retract", "in_place"):
            raise ApiError(400, "mode must be abort, retract or in_place", "Bad Request")
        self._engine.scheduler.pause(abort=mode == "abort")
        return _done("Generation paused successfully.")

    async def resume(self, _: web.Request) -> web.Response:
        """POST /continue_generation."""
        self._engine.scheduler.resume()
        return _done("Generation continued successfully.")

    async def faults(self, http: web.Request) -> web.Response:
        """GET or POST /sim/faults: the fault plan; a post replaces it."""
        if http.method == "POST":
            try:
                self._engine.faults = FaultPlan.from_mapping(await read_json(http, strict_type=False))
            except ValueError as error:
                raise ApiError(400, str(error)) from None
        return web.json_response(self._engine.faults.as_dict())

    def _card(self) -> dict[str, object]:
        config = self._engine.config
        return {
            "id": config.identity.model,
            "object": "model",
            "created": self._started,
            "owned_by": "simulated",
            "root": config.identity.model,
            "parent": None,
            "max_model_len": config.context_length,
        }

    def _core(self) -> dict[str, object]:
        scheduler, profile = self._engine.scheduler, self._engine.config.profile
        used = scheduler.kv_used_tokens
        return {
            "timestamp": time.time(),
            "dp_rank": 0,
            "num_running_reqs": scheduler.running,
            "num_waiting_reqs": scheduler.queued,
            "num_waiting_uncached_tokens": scheduler.queued_tokens,
            "num_used_tokens": used,
            "num_total_tokens": used + scheduler.queued_tokens,
            "num_active_tokens": used + scheduler.queued_tokens,
            "max_total_num_tokens": profile.kv_tokens,
            "max_running_requests": profile.slots,
            "token_usage": used / profile.kv_tokens,
            "gen_throughput": scheduler.tokens_per_second,
            "cache_hit_rate": 0.0,
            "utilization": 0.0,
        }


def _status(good: bool) -> web.Response:
    return web.Response(status=HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE)


def _done(message: str) -> web.Response:
    return web.json_response({"message": message, "status": "ok"})
