"""A correction of fairseq's ``--no-repeat-ngram-size`` where it runs in Python."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.errors import require

__all__ = ["ngram_block_mended"]


@contextmanager
def ngram_block_mended() -> Iterator[None]:
    """Make ``--no-repeat-ngram-size`` work while the block runs.

    Without its CUDA extension, fairseq 0.12 compares with the last tokens of a buffer that is as long as the
    longest possible reply. These are padding until the very end, so nothing is banned. Here fairseq sees only
    the tokens that are written so far. For single tokens it compares nothing with everything, and bans
    nothing either; here they are banned.
    """
    with quiet():
        block = require("fairseq.ngram_repeat_block", extra="fairseq").NGramRepeatBlock
    original = block._no_repeat_ngram

    def of_what_is_written(self: Any, tokens: Any, lprobs: Any, bsz: int, beam_size: int, step: int) -> Any:
        if self.no_repeat_ngram_size == 1:
            written = tokens[:, 1 : step + 1]  # the first is </s>, which still has to end the reply
            return lprobs.scatter_(1, written.to(lprobs.device), -math.inf)
        return original(self, tokens[:, : step + 1], lprobs, bsz, beam_size, step)

    block._no_repeat_ngram = of_what_is_written
    try:
        yield
    finally:
        block._no_repeat_ngram = original
