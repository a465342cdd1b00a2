"""The native module in Envoy: its filters, and what routes tell them."""

from __future__ import annotations

from heterollm_controllers.routing.envoy.resources import Json, typed

__all__ = ["module_filter", "module_logger", "module_route"]

# Envoy looks for lib<name>.so where its environment says.
_MODULE: Json = {"name": "heterollm_router", "do_not_close": True, "metrics_namespace": "heterollm_router"}
_KIND = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"


def module_filter(name: str) -> Json:
    """One of the module's filters; `name` says which, and is the name under which routes give it its data."""
    config = typed(_KIND, dynamic_module_config=_MODULE, filter_name=name)
    return {"name": name, "typed_config": config}


def module_logger(condition: Json) -> Json:
    """The module's logger, for what meets the condition."""
    kind = "envoy.extensions.access_loggers.dynamic_modules.v3.DynamicModuleAccessLog"
    return {
        "name": "envoy.access_loggers.dynamic_modules",
        "filter": condition,
        "typed_config": typed(kind, dynamic_module_config=_MODULE, logger_name="lost"),
    }


def module_route(name: str, told: Json) -> Json:
    """What routes tell the filter `name`; the module reads it once, and refuses the routes if it cannot."""
    value = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": told}
    return typed(f"{_KIND}PerRoute", dynamic_module_config=_MODULE, per_route_config_name=name, filter_config=value)
