"""Jinja templates as Kubernetes objects.

The templates are readable YAML in `manifests/templates`. Every value they print goes through JSON (which YAML
contains), so that nothing a user writes can become structure.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from heterollm_controllers.api.objects import Manifest

_PACKAGED = Path(__file__).parents[1] / "templates"

_TEMPLATES = _PACKAGED if _PACKAGED.exists() else Path(__file__).parents[3] / "manifests" / "templates"

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON may hold as it is and YAML may not. (Nor does YAML know JSON's pairs of escapes, as for an emoji.)"""


def _printed(value: Any) -> str:
    """A value as JSON that is also YAML."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, finalize=_printed, autoescape=False
)

_REMEMBERED = 2048
"""Rendered templates kept. An unchanged cluster is looked at often and needs about one per template and tier."""


def render_template(template: str, **values: Any) -> tuple[Manifest, ...]:
    """The documents of a template. Models reach it in their wire form; what comes back is shared: never change it."""
    return _documents(template, json.dumps(values, default=_wire))


def _wire(model: BaseModel) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


@lru_cache(maxsize=_REMEMBERED)
def _documents(template: str, values: str) -> tuple[Manifest, ...]:
    text = _ENVIRONMENT.get_template(template).render(**json.loads(values))
    return tuple(document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document)
