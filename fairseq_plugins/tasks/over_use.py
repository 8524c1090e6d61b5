"""What a model over-uses in its own replies, and the unlikelihood loss of it.

Source: Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training" (sequence level), and Li et
al. 2020, "Don't Say That! Making Inconsistent Dialogue Unlikely with Unlikelihood Training" (repetition of
the reply and of the context, and vocabulary).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.losses.kernels import fused_log_odds

__all__ = ["over_used", "repeated", "unlikelihood"]


def repeated(tokens: Sequence[int], n: int, before: Sequence[int] | None = None) -> list[bool]:
    """Which tokens are in an n-gram that has occurred before.

    Args:
        tokens: tokens of a reply.
        n: length of the n-grams.
        before: tokens in which the n-grams may have occurred; None: earlier in the reply itself.

    >>> repeated([1, 2, 3, 1, 2, 4], 2)
    [False, False, False, True, True, False]
    """
    result = [False] * len(tokens)
    seen = set() if before is None else set(_ngrams(before, n))
    for start, ngram in enumerate(_ngrams(tokens, n)):
        if ngram in seen:
            result[start : start + n] = [True] * n
        if before is None:
            seen.add(ngram)
    return result


def over_used(of_model: Tensor, of_people: Tensor) -> Tensor:
    """How much each class is over-used: ``p log(p / p*)`` where that is positive (Li et al. 2020).

    Args:
        of_model: ``[C]`` counts of the tokens in the model's replies, which give p.
        of_people: ``[C]`` counts of the training targets, which give p*; a class that does not occur is
            treated as if it occurred once.

    Returns:
        float64 ``[C]``, not negative.
    """
    of_model, of_people = of_model.double(), of_people.double().to(of_model.device)
    share = of_model / of_model.sum().clamp(min=1.0)
    expected = of_people.clamp(min=1.0) / of_people.sum().clamp(min=1.0)
    return torch.where(share > expected, share * (share / expected).log(), 0.0)


def unlikelihood(logits: Tensor, tokens: Tensor, weight: Tensor) -> Tensor:
    """Mean of ``-weight log(1 - p)`` over the tokens with a positive weight; other rows cost nothing.

    Args:
        logits: ``[N, C]``.
        tokens: ``[N]`` int64.
        weight: ``[N]``, not negative.

    Returns:
        Scalar, float64 for float64 logits and float32 otherwise; 0 with zero gradient if all weights are 0.
    """
    chosen = weight.nonzero().squeeze(-1)
    log_odds, _ = fused_log_odds(logits[chosen], tokens[chosen])
    punished = -F.logsigmoid(-log_odds) * weight[chosen].to(log_odds.dtype)
    return punished.sum() / max(1, len(chosen))


def _ngrams(tokens: Sequence[int], n: int) -> Any:
    return (tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))
