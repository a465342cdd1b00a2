"""Certificates made for one test."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

__all__ = ["issue", "trusting"]

_KEY_TYPE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def issue(directory: Path, name: str) -> dict[str, str]:
    """A self-signed certificate with this common name, as a kubernetes.io/tls Secret holds it."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1")
    command = ["openssl", "req", "-x509", *_KEY_TYPE, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}


def trusting(secret: dict[str, str], *protocols: str) -> ssl.SSLContext:
    """A client's settings that accept just this certificate."""
    context = ssl.create_default_context(cadata=secret["tls.crt"])
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
