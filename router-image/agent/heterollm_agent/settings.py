"""Reads the settings from the environment; the defaults fit the pod, tests override them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

__all__ = ["Settings"]

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Settings:
    """Settings of one agent."""

    cluster: str
    """Name of the HeteroLLMCluster, for metrics."""
    configmap: str
    namespace: str
    api: SplitResult
    """Root of the API server, http or https."""
    token_file: Path
    """Bearer token, read again for every connection because it is rotated."""
    ca_file: Path
    policy_dir: Path
    """Written here, read by Envoy."""
    seed_dir: Path
    """The same ConfigMap, mounted: used until the API server has been reached."""
    keys_dir: Path
    """Written here, read by Envoy: the filters that hold API keys. In the pod it is memory, never a disk."""
    client_keys: Path | None
    """Mounted Secret: a file for every client, named like the client. None: no keys are asked for."""
    engine_key: Path | None
    """File of a mounted Secret: the key that the engines ask for."""
    tls: bool
    """Whether Envoy speaks HTTPS, with the mounted certificate."""
    port: int
    """Port of health and metrics; 0 takes a free one."""
    admin: SplitResult
    """Root of Envoy's admin interface."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Read the environment; raises KeyError without CLUSTER, POLICY_CONFIGMAP or POLICY_NAMESPACE."""
        host = env.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
        host = f"[{host}]" if ":" in host else host
        api = env.get("KUBE_API_URL", f"https://{host}:{env.get('KUBERNETES_SERVICE_PORT', '443')}")
        return cls(
            cluster=env["CLUSTER"],
            configmap=env["POLICY_CONFIGMAP"],
            namespace=env["POLICY_NAMESPACE"],
            api=urlsplit(api),
            token_file=Path(env.get("KUBE_TOKEN_FILE", _ACCOUNT / "token")),
            ca_file=Path(env.get("KUBE_CA_FILE", _ACCOUNT / "ca.crt")),
            policy_dir=Path(env.get("POLICY_DIR", "/policy")),
            seed_dir=Path(env.get("SEED_DIR", "/seed")),
            keys_dir=Path(env.get("KEYS_DIR", "/keys")),
            client_keys=_path(env, "CLIENT_KEYS"),
            engine_key=_path(env, "ENGINE_KEY"),
            tls=env.get("TLS") == "true",
            port=int(env.get("AGENT_PORT", "8081")),
            admin=urlsplit(env.get("ENVOY_ADMIN", "http://127.0.0.1:9901")),
        )


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if name in env else None
