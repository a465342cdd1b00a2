"""JSON logs: one object a line, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["JsonFormatter", "configure"]


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, and the cluster a record is about (`extra={"cluster": "ns/name"}`)."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        cluster = getattr(record, "cluster", None)
        if cluster is not None:
            entry["cluster"] = cluster
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(level: str) -> None:
    """Send everything from `level` up to standard error. Kopf speaks only from WARNING up unless debugging."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if logging.getLogger().level > logging.DEBUG:
        logging.getLogger("kopf").setLevel(logging.WARNING)
        # Kopf warns that it leaves signals alone outside the main thread, which is what we want of it.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        # It repeats every failed request; what is refused is reported by `freshness`, once.
        logging.getLogger("kopf._cogs.clients.watching").setLevel(logging.CRITICAL)
        logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
