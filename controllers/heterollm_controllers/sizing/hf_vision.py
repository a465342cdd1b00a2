"""How large the vision part of a model is: it takes GPU memory beside the language model."""

from __future__ import annotations

from heterollm_controllers.sizing.architecture import Vision
from heterollm_controllers.sizing.hf_values import Values

__all__ = ["vision_of"]


def vision_of(config: Values, by_default: bool) -> Vision | None:
    """The vision encoder: its layers; projector, patches and positions are small beside them.

    The parameters are rough on purpose: encoders differ, and one is at most a gigabyte.
    """
    vision = config.part("vision_config")
    if vision is None:
        return None
    prefix = "vt_" if vision.has("vt_hidden_size") else ""  # Kimi's spelling
    hidden = vision.whole(f"{prefix}hidden_size", 0)
    layers = vision.whole(f"{prefix}num_hidden_layers", vision.whole("depth", 0))  # Qwen says depth
    intermediate = vision.whole(f"{prefix}intermediate_size", 0)
    matrices = 3 if vision.text("model_type") == "pixtral" else 2
    return Vision(
        layers * (4 * hidden * hidden + matrices * hidden * intermediate), layers * hidden * hidden, by_default
    )
