"""The rotary embedding that SGLang's CPU path takes from vLLM's compiled operators, written with torch alone.

SGLang has its own CPU kernels for processors with AMX and otherwise falls back to vLLM's. vLLM is several gigabytes
and pins another torch, while this image needs a correct result, not a fast one.
"""

import torch

__all__ = ["rotary_embedding"]


def rotary_embedding(
    positions: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor | None,
    head_size: int,
    cos_sin_cache: torch.Tensor,
    is_neox: bool,
) -> None:
    """Rotate query and key in place by their positions.

    ``query`` and ``key`` are (tokens, heads * head_size); ``cos_sin_cache`` is (positions, rotary_dim), cosines first.
    """
    cos, sin = cos_sin_cache[positions.flatten()].chunk(2, dim=-1)
    for tensor in (query, key):
        if tensor is not None:
            _rotate(tensor, head_size, cos.unsqueeze(1), sin.unsqueeze(1), is_neox)


def _rotate(tensor: torch.Tensor, head_size: int, cos: torch.Tensor, sin: torch.Tensor, is_neox: bool) -> None:
    heads = tensor.unflatten(-1, (-1, head_size))
    rotary = heads[..., : 2 * cos.shape[-1]]
    if is_neox:
        first, second = rotary.chunk(2, dim=-1)
    else:
        first, second = rotary[..., ::2], rotary[..., 1::2]
    # Both halves are computed before either is overwritten.
    new_first, new_second = first * cos - second * sin, second * cos + first * sin
    first.copy_(new_first)
    second.copy_(new_second)
