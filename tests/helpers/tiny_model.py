"""A tiny decoder with a tokenizer of words, in a folder, and conversations for it: nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

WORDS = ["hello", "there", "how", "are", "you", "i", "am", "fine", "thanks", "user", "assistant", ":"]


def make_tokenizer(words: Iterable[str] = WORDS) -> Any:
    """A tokenizer of words and punctuation."""
    names = ["<pad>", "</s>", "<unk>", *words]
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({name: number for number, name in enumerate(names)}, "<unk>")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def save_model(folder: Path, words: Iterable[str] = WORDS, seed: int = 0, scale: float = 1.0) -> Path:
    """Write model and tokenizer.

    Args:
        folder: where to.
        words: of the tokenizer.
        seed: of the weights.
        scale: of the weights; large ones make other replies to other contexts.
    """
    tokenizer = make_tokenizer(words)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_conversations(folder: Path, turns: Sequence[Sequence[str]], splits: Iterable[str]) -> Path:
    """JSONL of conversations that the user begins, the same in every split."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "messages": [
                {"role": "assistant" if place % 2 else "user", "content": turn}
                for place, turn in enumerate(each)
            ]
        }
        for each in turns
    ]
    for split in splits:
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
