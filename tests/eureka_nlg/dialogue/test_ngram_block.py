"""The ban of repeated n-grams bans them."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("fairseq")

from fairseq.ngram_repeat_block import NGramRepeatBlock

from eureka_nlg.dialogue.ngram_block import ngram_block_mended


@pytest.mark.parametrize(
    ("written", "size", "banned"),
    [
        ([2, 5, 6, 7, 5, 6], 3, {7}),  # 5 6 7 was there
        ([2, 5, 5, 5], 3, {5}),
        ([2, 5, 6, 5], 2, {6}),
        ([2, 5, 6, 7, 6], 3, set()),
        ([2, 5], 3, set()),
        ([2, 5, 6, 5], 1, {5, 6}),
    ],
)
def test_what_would_repeat_an_ngram_is_banned(written: list[int], size: int, banned: set[int]) -> None:
    buffer = torch.full((1, 20), 1)  # as in the search: padding behind what is written
    buffer[0, : len(written)] = torch.tensor(written)
    with ngram_block_mended():
        scores = NGramRepeatBlock(size)(buffer, torch.zeros(1, 9), 1, 1, len(written) - 1)
    assert {number for number, score in enumerate(scores[0].tolist()) if score < -1e9} == banned
