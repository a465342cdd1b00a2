"""The request path: the Service, retries, keys of clients and the choice of a tier."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.features import FEATURES
from heterollm_controllers.api.schema import (
    KEYS,
    Fraction,
    ObjectName,
    Share,
    Text,
    WireType,
    rules,
)
from heterollm_controllers.api.v1alpha1.engine import Resources

__all__ = ["ApiKeys", "ParameterChange", "Retries", "Routing", "RoutingService"]


class RoutingService(WireType):
    """The Service that clients call."""

    type: Annotated[Literal["ClusterIP", "NodePort", "LoadBalancer"], Field(description="Service type.")] = "ClusterIP"
    port: Annotated[int, Field(ge=1, le=65_535, description="Port that clients call.")] = 80
    annotations: Annotated[
        dict[str, Text] | None,
        Field(max_length=32, description="Annotations, for example for a load balancer.", json_schema_extra=KEYS),
    ] = None


class ParameterChange(WireType):
    """How a request differs on one retry. Absent fields stay as the client sent them."""

    temperature: Annotated[Share | None, Field(description="Sampling temperature, a decimal from 0 to 2.")] = None
    max_tokens_factor: Annotated[
        Share | None, Field(description="What max_tokens is multiplied with, where the client gave one.")
    ] = None
    new_seed: Annotated[bool, Field(description="Replace a seed by another.")] = False


class Retries(WireType):
    """Level 1 of the fallback: another engine, then the next tier, within the client's request."""

    limit: Annotated[int, Field(ge=0, le=3, description="Most retries of one request.")] = 3
    deadline_seconds: Annotated[
        int, Field(ge=1, le=86_400, description="No attempt starts later than this after the first.")
    ] = 600
    budget_percent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Retries of failed answers, at most this share of the good ones; 3 per second always may.",
        ),
    ] = 50
    changes: Annotated[
        tuple[ParameterChange, ...],
        Field(
            max_length=3,
            description="What changes on the first, second, third retry after a bad answer; the last for further ones.",
        ),
    ] = (
        ParameterChange(temperature="0.2"),
        ParameterChange(temperature="0", max_tokens_factor="0.5"),
        ParameterChange(temperature="0", max_tokens_factor="0.5", new_seed=True),
    )
    change_on_every_failure: Annotated[
        bool, Field(description="Change parameters after transport failures too, which are resent unchanged otherwise.")
    ] = False
    check_quality: Annotated[
        bool,
        Field(
            description=(
                "Retry answers that are not streamed and in which the model did wrong: they are empty, or no JSON where"
                " JSON was asked for, or call a tool that was not declared, with arguments that are no JSON, or not at"
                " all where a call was demanded. What was cut, filtered, refused or only reasoned is not retried."
            )
        ),
    ] = True


class ApiKeys(WireType):
    """Keys that clients must send as bearer tokens."""

    secret_name: Annotated[ObjectName, Field(description="Secret whose entries are client names and their keys.")]
    reserved: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...],
        Field(max_length=64, description="Clients that may use the reserved share of the capacity."),
    ] = ()


class Routing(WireType):
    """How requests find their tier."""

    complexity_threshold: Annotated[
        Fraction,
        Field(
            description="Requests that score above this (0 to 1) go to the last tier, others to the first.",
            json_schema_extra=rules(
                (
                    "self.matches('^(0(\\\\.[0-9]{1,4})?|1(\\\\.0{1,4})?)$')",
                    'complexityThreshold must be a decimal from 0 to 1 with at most four places, for example "0.7"',
                )
            ),
        ),
    ] = DecimalNumber("0.7")
    scorer_weights: Annotated[
        dict[str, Share] | None,
        Field(
            max_length=16,
            description="Weights of the complexity score by feature, decimals from 0 to 2; our own for those left out.",
            json_schema_extra=rules(
                (
                    f"self.all(key, key in [{', '.join(repr(feature.name) for feature in FEATURES)}])",
                    f"must name features of the score: {', '.join(feature.name for feature in FEATURES)}",
                )
            ),
        ),
    ] = None
    trust_headers: Annotated[
        bool,
        Field(
            description=(
                "Obey the headers x-llm-tier and x-llm-priority of every client: for routers behind a gateway that"
                " sets or removes them. Otherwise they are ignored."
            )
        ),
    ] = False
    retries: Annotated[Retries, Field(description="Retries within a request.")] = Retries()
    reserved_percent: Annotated[
        int, Field(ge=0, le=90, description="Share of the capacity kept for reserved clients.")
    ] = 0
    body_limit_mib: Annotated[
        int, Field(alias="bodyLimitMiB", ge=1, le=256, description="Largest request body in MiB; larger ones get 413.")
    ] = 16
    api_keys: Annotated[ApiKeys | None, Field(description="Keys of clients; none are asked for if absent.")] = None
    tls_secret: Annotated[
        ObjectName | None, Field(description="kubernetes.io/tls Secret; the routers speak HTTPS if it is set.")
    ] = None
    replicas: Annotated[int, Field(ge=1, le=64, description="Router pods.")] = 2
    image: Annotated[
        str | None,
        Field(min_length=1, max_length=512, description="Router image; the operator's default if absent."),
    ] = None
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"], Field(description="When the node pulls the image.")
    ] = "IfNotPresent"
    resources: Annotated[Resources, Field(description="CPU and memory of the Envoy container.")] = Resources(
        cpu="500m", memory="512Mi"
    )
    service: Annotated[RoutingService, Field(description="The Service that clients call.")] = RoutingService()
