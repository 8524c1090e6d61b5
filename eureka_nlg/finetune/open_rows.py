"""Decode a batch without going on for the rows that have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from eureka_nlg.finetune.shared_prompts import plain_cache

__all__ = ["can_continue", "generate_open_rows"]

_PIECE = 16  # tokens between two looks at which rows have ended
_OPTIONS = {
    *("do_sample", "max_new_tokens", "min_new_tokens", "num_beams", "num_return_sequences"),
    *("temperature", "top_k", "top_p", "repetition_penalty", "no_repeat_ngram_size"),
}


def can_continue(options: Mapping[str, Any]) -> bool:
    """Whether options of ``generate`` mean the same to a reply that is continued."""
    shortest = options.get("min_new_tokens") or 0
    return options.keys() <= _OPTIONS and int(shortest) <= _PIECE


@torch.inference_mode()
def generate_open_rows(model: Any, inputs: dict[str, Any], **options: Any) -> list[list[int]] | None:
    """The new tokens of each row, with the one that ends it.

    ``generate`` computes all rows of a batch until the last has ended. Here it is called for some tokens at a
    time, and goes on from the keys and values of the rows that are still open.

    Args:
        model: a decoder.
        inputs: of ``generate``: ``input_ids`` and ``attention_mask`` ``[B, T]``, padded on the left, and
            perhaps keys and values.
        **options: of ``generate``, with ``max_new_tokens``; see :func:`can_continue`.

    Returns:
        A list of token ids for each row; None if the model does not keep all keys and values.
    """
    most = int(options.pop("max_new_tokens"))
    ends = _ends(model)
    rows = list(range(len(inputs["input_ids"])))
    found: list[list[int]] = [[] for _ in rows]
    while True:
        room = most - len(found[rows[0]])
        output = model.generate(
            **inputs, **options, max_new_tokens=min(_PIECE, room), return_dict_in_generate=True
        )
        width = inputs["input_ids"].shape[1]
        for row, new in zip(rows, output.sequences[:, width:].tolist()):
            found[row] += new
        still = [place for place, row in enumerate(rows) if ends.isdisjoint(found[row])]
        if not still or room <= _PIECE:
            return [_up_to_end(tokens, ends) for tokens in found]
        cache = plain_cache(output)
        if cache is None:
            return None
        options.pop("min_new_tokens", None)  # the first piece was as long
        rows = [rows[place] for place in still]
        places = torch.tensor(still, device=output.sequences.device)
        cache.values.batch_select_indices(places)
        attended = inputs["attention_mask"][places]
        new_ones = attended.new_ones((len(rows), output.sequences.shape[1] - width))
        inputs = {
            "input_ids": output.sequences[places],
            "attention_mask": torch.cat([attended, new_ones], dim=1),
            cache.name: cache.values,
        }


def _ends(model: Any) -> frozenset[int]:
    """Ids of the tokens that end a reply."""
    given = model.generation_config.eos_token_id
    if given is None:
        return frozenset()
    return frozenset(given if isinstance(given, list) else [given])


def _up_to_end(tokens: list[int], ends: frozenset[int]) -> list[int]:
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[: place + 1]
    return tokens
