"""Entries of the catalogues that a test is sure of."""

from __future__ import annotations

from heterollm_controllers.sizing.accelerators import Gpu, accelerator
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.models import known_model

__all__ = ["gpu", "model"]


def model(model_id: str) -> Architecture:
    """A model of the catalogue."""
    found = known_model(model_id)
    assert found is not None
    return found


def gpu(name: str) -> Gpu:
    """An accelerator of the catalogue."""
    found = accelerator(name)
    assert found is not None
    return found
