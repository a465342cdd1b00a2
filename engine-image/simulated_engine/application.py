"""The HTTP application of the leader (rank 0) and of the other ranks."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry

from .config import Secrets
from .control import Control, metrics_response
from .engine import Engine
from .errors import ApiError, error_response
from .inference import Inference
from .metrics import registry

__all__ = ["leader", "worker"]

OPEN_PATHS = ("/health", "/ready", "/metrics")
"""Prefixes that need no key, as in SGLang."""

ADMIN_PATHS = frozenset({"/flush_cache", "/abort_request", "/pause_generation", "/continue_generation", "/sim/faults"})

MAX_BODY_BYTES = 256 * 2**20


async def _mark(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["x-simulated"] = "true"


def leader(engine: Engine) -> web.Application:
    """All endpoints."""
    guard = _guard(engine.config.secrets)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[guard, _errors])
    app.on_response_prepare.append(_mark)
    control, inference = Control(engine), Inference(engine)
    app.add_routes(
        [
            web.get("/ready", control.ready),
            web.get("/health", control.health),
            web.get("/health_generate", control.health),
            web.get("/ping", control.ping),
            web.get("/server_info", control.server_info),
            web.get("/get_server_info", control.server_info),
            web.get("/model_info", control.model_info),
            web.get("/get_model_info", control.model_info),
            web.get("/v1/models", control.models),
            web.get("/v1/models/{model:.+}", control.model),
            web.get("/v1/loads", control.loads),
            web.route("*", "/flush_cache", control.flush_cache),
            web.post("/abort_request", control.abort),
            web.post("/pause_generation", control.pause),
            web.post("/continue_generation", control.resume),
            web.post("/v1/chat/completions", inference.chat),
            web.post("/v1/completions", inference.completion),
            web.post("/generate", inference.generate),
        ]
    )
    if engine.config.metrics:
        _add_metrics(app, registry(engine))
    if engine.config.faults is not None:
        app.add_routes([web.get("/sim/faults", control.faults), web.post("/sim/faults", control.faults)])
    return app


def worker(metrics: bool) -> web.Application:
    """The other ranks: health only; /ready is unknown there, so it answers 404."""
    app = web.Application()
    app.on_response_prepare.append(_mark)

    async def healthy(_: web.Request) -> web.Response:
        return web.Response()

    app.add_routes([web.get(path, healthy) for path in ("/health", "/health_generate", "/ping")])
    if metrics:
        # The real one exposes its processes' metrics here; the request metrics are the leader's alone.
        _add_metrics(app, CollectorRegistry())
    return app


def _add_metrics(app: web.Application, source: CollectorRegistry) -> None:
    async def metrics(_: web.Request) -> web.Response:
        return metrics_response(source)

    app.add_routes([web.get("/metrics", metrics), web.get("/metrics/", metrics)])


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error)
    except web.HTTPException as error:
        # FastAPI's shape for unknown paths and methods.
        return web.json_response({"detail": error.reason}, status=error.status)


def _guard(secrets: Secrets) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        key = secrets.api_key
        if request.path in ADMIN_PATHS and secrets.admin_api_key:
            key = secrets.admin_api_key
        if not key or request.path.startswith(OPEN_PATHS) or _carries(request, key):
            return await handler(request)
        return web.json_response({"error": "Unauthorized"}, status=HTTPStatus.UNAUTHORIZED)

    return guard


def _carries(http: web.Request, key: str) -> bool:
    scheme, _, token = http.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), key.encode())
