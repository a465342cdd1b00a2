"""Write a tiny Qwen3-like model for the CPU image: real architecture, real tokenizer files, random weights.

Only configuration and tokenizer are written, for the server makes the weights up itself (``--load-format dummy``). So
the model answers nonsense, but through every part of the real server. The output depends on nothing but this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

CONTEXT_LENGTH = 2048
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
WORDS = [first + second for first in SYLLABLES for second in SYLLABLES[::3]]
"""Made-up words, so that random tokens are mostly readable."""

END_EVERY = 32
"""Every 32nd word ends the answer: the weights are random, so an answer is about as many tokens long."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer() -> Tokenizer:
    """A byte-level tokenizer: 256 bytes, whole words, and the chat markers."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    found = Tokenizer(BPE(vocab={byte: index for index, byte in enumerate(alphabet)}, merges=[]))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    found.add_tokens([AddedToken(f" {word}", normalized=False) for word in WORDS])
    found.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return found


def model_config(vocabulary: int, end: int) -> dict[str, object]:
    """Qwen3's architecture with two layers; the heads divide by two, so that TP 2 works."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "torch_dtype": "bfloat16",
        "vocab_size": -(-vocabulary // 64) * 64,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "max_position_embeddings": CONTEXT_LENGTH,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "use_cache": True,
        "use_sliding_window": False,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": end,
    }


def tokenizer_config() -> dict[str, object]:
    """What transformers needs beside tokenizer.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT_LENGTH,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def write(folder: Path) -> None:
    """Write the model into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    end = made.token_to_id("<|im_end|>")
    ends = [end, *(made.token_to_id(f" {word}") for word in WORDS[::END_EVERY])]
    made.save(str(folder / "tokenizer.json"))
    documents: dict[str, dict[str, object]] = {
        "config.json": model_config(made.get_vocab_size(), end),
        "tokenizer_config.json": tokenizer_config(),
        "generation_config.json": {"eos_token_id": ends, "do_sample": True, "temperature": 0.7},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where to write the model")
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
