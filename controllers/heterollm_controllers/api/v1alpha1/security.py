"""Who may ask: the key of clients, and secrets that are named."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heterollm_controllers.api.schema import (
    ObjectName,
    WireType,
)

__all__ = ["ApiKeySecret", "SecretKey", "Security"]


class SecretKey(WireType):
    """One key of a Secret in the cluster's namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret.")]
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key inside the Secret.")]


class ApiKeySecret(SecretKey):
    """The Secret key that holds the engines' API key."""


class Security(WireType):
    """Keys and network rules."""

    api_key_secret: Annotated[
        ApiKeySecret | None,
        Field(description="API key that engines demand; clients send it as a bearer token, which the routers pass on."),
    ] = None
    network_policies: Annotated[
        bool,
        Field(description="Make NetworkPolicies; they take effect only where the cluster's CNI enforces them."),
    ] = True
