"""How large the vision part of a model is: it takes GPU memory beside the language model."""

from __future__ import annotations

from heterollm_controllers.sizing.hf_values import Values

__all__ = ["vision_parameters"]


def vision_parameters(config: Values) -> int:
    """Parameters of the vision encoder's layers; projector, patches and positions are small beside them.

    A rough figure on purpose: encoders differ, and one is at most a gigabyte.
    """
    vision = config.part("vision_config")
    if vision is None:
        return 0
    prefix = "vt_" if vision.has("vt_hidden_size") else ""  # Kimi's spelling
    hidden = vision.whole(f"{prefix}hidden_size", 0)
    layers = vision.whole(f"{prefix}num_hidden_layers", vision.whole("depth", 0))  # Qwen says depth
    intermediate = vision.whole(f"{prefix}intermediate_size", 0)
    matrices = 3 if vision.text("model_type") == "pixtral" else 2
    return layers * (4 * hidden * hidden + matrices * hidden * intermediate)
