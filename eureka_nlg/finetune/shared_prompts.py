"""Prompts of one conversation begin with one another: what they have in common is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from eureka_nlg.errors import require

__all__ = ["Cache", "cache_of", "chains", "plain_cache"]


class Cache(NamedTuple):
    """Keys and values of all tokens of a batch but their last, and the name of this argument of a model."""

    name: str
    values: Any


def chains(prompts: Sequence[Sequence[int]], most_tokens: int) -> list[list[int]]:
    """Indices of prompts, such that each of a list begins with the one before.

    Args:
        prompts: token ids.
        most_tokens: a list of several has at most so many tokens if all are padded to the longest.

    Returns:
        Each index in exactly one list.
    """
    found: list[list[int]] = []
    for each in sorted(range(len(prompts)), key=lambda index: tuple(prompts[index]), reverse=True):
        last = found[-1] if found else []
        if last:
            prompt, longer, longest = prompts[each], prompts[last[-1]], len(prompts[last[0]])
            if (len(last) + 1) * longest <= most_tokens and list(longer[: len(prompt)]) == list(prompt):
                last.append(each)
                continue
        found.append([each])
    return [chain[::-1] for chain in found]


def cache_of(model: Any, chained: Sequence[Sequence[Sequence[int]]], padding: int) -> Cache | None:
    """Run a decoder over the longest prompt of each chain.

    Args:
        model: a decoder.
        chained: chains of prompts, each of which begins with the one before; no prompt is empty.
        padding: token id that fills up the rows.

    Returns:
        The cache of all prompts, padded on the left; None if the model does not keep all keys and values, as
        with a sliding window, or if there is nothing to keep.
    """
    transformers = require("transformers", extra="transformers")
    longest = [chain[-1] for chain in chained]
    width = max(map(len, longest)) - 1
    if width == 0:
        return None
    ids = torch.full((len(longest), width), padding)
    attended = torch.zeros_like(ids)
    for row, prompt in enumerate(longest):
        ids[row, : len(prompt) - 1] = torch.tensor(prompt[:-1])
        attended[row, : len(prompt) - 1] = 1
    output = model.base_model(
        input_ids=ids.to(model.device), attention_mask=attended.to(model.device), use_cache=True
    )
    of_chains = plain_cache(output)
    if of_chains is None:
        return None
    places = [(row, len(prompt) - 1) for row, chain in enumerate(chained) for prompt in chain]
    values = transformers.DynamicCache()
    for number, layer in enumerate(of_chains.values.layers):
        values.update(_rows(layer.keys, places), _rows(layer.values, places), number)
    return Cache(of_chains.name, values)


def plain_cache(output: Any) -> Cache | None:
    """The cache in an output of a model or of ``generate``; None unless it keeps all keys and values."""
    transformers = require("transformers", extra="transformers")
    name = "cache" if getattr(output, "cache", None) is not None else "past_key_values"  # before 5.24
    values = getattr(output, name, None)
    plain = transformers.cache_utils.DynamicLayer
    if not isinstance(values, transformers.DynamicCache):
        return None
    return Cache(name, values) if all(type(layer) is plain for layer in values.layers) else None


def _rows(of_chains: torch.Tensor, places: Sequence[tuple[int, int]]) -> torch.Tensor:
    """The first ``length`` positions of ``[chains, heads, T, D]`` for each place, at the end of a row."""
    rows = of_chains.new_zeros((len(places), *of_chains.shape[1:]))
    for row, (chain, length) in zip(rows, places):
        row[:, row.shape[1] - length :] = of_chains[chain, :, :length]
    return rows
