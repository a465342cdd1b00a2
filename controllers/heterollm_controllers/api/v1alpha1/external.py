"""A tier that is a service outside of the cluster: whatever speaks OpenAI's protocol."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import ConfigDict, Field

from heterollm_controllers.api.schema import Positive, WireType, rules
from heterollm_controllers.api.v1alpha1.security import SecretKey
from heterollm_controllers.api.v1alpha1.tier import TierName

__all__ = ["ExternalService", "ExternalTier", "TokenPrices"]

_HOST = "([a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?[.])*[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_PORT = "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_URL = f"^https?://{_HOST}{_PORT}(/[-a-zA-Z0-9._~/]*)?$"
_PARTS = re.compile("(?P<scheme>[a-z]+)://(?P<host>[^:/]+)(:(?P<port>[0-9]+))?(?P<path>.*)")


class TokenPrices(WireType):
    """What a service bills, in dollars per million tokens. Decimals are text on the wire."""

    input: Annotated[Positive, Field(description="Of prompts.")]
    output: Annotated[Positive, Field(description="Of answers.")]


class ExternalService(WireType):
    """An OpenAI-compatible service, and how the routers ask it."""

    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            description=(
                "What OpenAI's clients call the base URL, with the /v1 that most services have: to"
                " https://host/v1 the routers send /v1/chat/completions."
            ),
            pattern=_URL,
            json_schema_extra=rules(
                (
                    f"self.matches('{_URL}')",
                    "url must be http:// or https://, a host, and optionally a port and a path,"
                    ' for example "https://llm.example.com/v1"; no user, query or fragment',
                )
            ),
        ),
    ]
    model: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
            description="Name of the model at the service; clients may use it as `model`, too.",
        ),
    ]
    api_key_secret: Annotated[
        SecretKey | None,
        Field(
            description=(
                "Key that the routers send as bearer token; none if absent. The client's own never leaves the routers."
            ),
            json_schema_extra=rules(
                (
                    "self.key.matches('^[-._a-zA-Z0-9]+$') && !self.key.startsWith('..') && self.key != '.'",
                    "apiKeySecret.key must be a key of a Secret: letters, digits, '-', '_' and '.'",
                )
            ),
        ),
    ] = None
    max_requests: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, description="Most requests in flight of all routers together; more get 429."),
    ] = None
    ca_bundle: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=65_536,
            description="Certificates (PEM) that sign the service's; those that the router image trusts if absent.",
            json_schema_extra=rules(
                (
                    "self.contains('-----BEGIN CERTIFICATE-----')",
                    "caBundle must be certificates in PEM: -----BEGIN CERTIFICATE----- ...",
                )
            ),
        ),
    ] = None

    dollars_per_million_tokens: Annotated[
        TokenPrices | None, Field(description="What the service bills; absent: its cost is not known.")
    ] = None

    @property
    def host(self) -> str:
        """Name or IPv4 address."""
        return self._part("host").lower()

    @property
    def tls(self) -> bool:
        """Whether it is asked by HTTPS."""
        return self.url.startswith("https:")

    @property
    def port(self) -> int:
        """TCP port."""
        return int(self._part("port") or (443 if self.tls else 80))

    @property
    def path(self) -> str:
        """What stands in place of /v1 in the paths of requests."""
        return self._part("path").rstrip("/")

    def _part(self, name: str) -> str:
        parts = _PARTS.fullmatch(self.url)
        return (parts[name] or "") if parts is not None else ""


_ONE = "has(self.external) || has(self.model) && has(self.accelerator)"
_OF_ENGINES = ("model", "accelerator", "engine", "replicas", "scaling", "podTemplate")
_ALONE = f"!has(self.external) || !({' || '.join(f'has(self.{field})' for field in _OF_ENGINES)})"


class ExternalTier(WireType):
    """Or, by `external`, a service outside of the cluster that speaks OpenAI's protocol."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (_ONE, "a tier must have model and accelerator, for engines of its own, or external, for a service"),
            (
                _ALONE,
                f"a tier with external cannot have {', '.join(_OF_ENGINES[:-1])} or {_OF_ENGINES[-1]}:"
                " they are about engines, and it has none",
            ),
        )
    )
    name: TierName
    external: Annotated[ExternalService, Field(description="A service that answers for the tier; it has no engines.")]
