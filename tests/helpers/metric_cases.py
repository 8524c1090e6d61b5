"""What every metric of replies must do, checked in one place: :func:`check_metric`."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from eureka_nlg.metrics import WordBands, count_ngrams, find_metric, score_replies
from eureka_nlg.metrics.replies.catalogue import totals_of
from eureka_nlg.metrics.replies.setting import Setting
from eureka_nlg.metrics.replies.stream import Stream
from eureka_nlg.metrics.replies.totals import Totals
from eureka_nlg.metrics.significance.matrices import Matrices
from eureka_nlg.metrics.text import lines
from eureka_nlg.metrics.text.pairs import Pairs

Plain = Callable[[list[str], list[str]], float]
"""A metric by an independent way: replies and references, tokens divided by white space -> score."""

WORDS = ["the", "a", "i", "like", "tea", "Tea", "cats", "i'm", "no", ".", "ünder", "x"]
COUNTS = {"the": 50, "i": 40, "like": 12, "tea": 10, "cats": 3, ".": 30, "never": 1}
TARGETS = ["i like cats .", "the tea", "never mind", "the the a i"]
VOCABULARY = ["the", "tea", "cats", "never", "seldom"]


def made_up(seed: int, num_pairs: int = 25) -> tuple[list[list[str]], list[str]]:
    """Two systems and references; the second system says stock phrases and nothing at all at times."""
    generator = random.Random(seed)

    def text() -> str:
        return " ".join(generator.choices(WORDS, range(len(WORDS), 0, -1), k=generator.randrange(9)))

    stock = [text() for _ in range(4)]
    references = [text() for _ in range(num_pairs)]
    first = [f"{text()} {reference[:12]}" for reference in references]
    second = [generator.choice([*stock, "", text(), reference]) for reference in references]
    return [first, second], references


def known(key: str) -> dict[str, Any]:
    """What the metric needs of the training data."""
    metric = find_metric(key)
    assert metric is not None, key
    needs: dict[str, Any] = {"bands": WordBands.from_counts(COUNTS)} if metric.band else {}
    return needs | (
        {"training_ngrams": count_ngrams(TARGETS, metric.n or 0)} if metric.family == "novelty" else {}
    )


def check_metric(key: str, plain: Plain | None = None, **options: Any) -> None:
    """Check what all metrics have in common.

    Nothing scores 0; the value is in the range of the catalogue and goes into JSON; strings and token
    sequences, chunks of any size and pairs in any order give the same bits; lowering the case is lowering the
    texts; ``plain`` agrees; weights are repetitions of pairs, and swapped replies are totals too.

    Args:
        key: of the metric.
        plain: the metric by an independent way.
        **options: further ones of :func:`eureka_nlg.metrics.score_replies`.
    """
    options |= known(key)
    metric = find_metric(key)
    assert metric is not None

    def score(hypotheses: Sequence[Any], references: Sequence[Any], **more: Any) -> float:
        found = score_replies(hypotheses, references, metrics=[key], **options, **more)
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["scores"] == found.scores
        return found.scores[key]

    assert score([], []) == 0
    systems, references = made_up(1)
    for replies in systems:
        value = score(replies, references)
        assert 0 <= value <= metric.most
        assert score([reply.split() for reply in replies], [text.split() for text in references]) == value
        order = np.random.default_rng(0).permutation(len(replies))
        assert score([replies[i] for i in order], [references[i] for i in order]) == value
        for size in (1, 7):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(lines, "_CHUNK", size)
                assert score(iter(replies), iter(references)) == value
        lowered = [text.lower() for text in replies], [text.lower() for text in references]
        assert score(replies, references, lowercase=True) == score(*lowered)
        if plain is not None:
            assert value == pytest.approx(plain(replies, references), rel=1e-12, abs=1e-12)
    check_resamples(key, **options)


def check_resamples(key: str, **options: Any) -> None:
    """Weights are repetitions of pairs, pairs that are not there too; swapped replies are totals too."""
    systems, references = made_up(2)
    pairs, totals = totals_for(key, systems, references, options)
    matrices = Matrices.of_pairs(totals, pairs)
    rng = np.random.default_rng(3)
    size = len(references)
    draws = [np.arange(size), *(rng.integers(size, size=size) for _ in range(6))]
    draws += [rng.permutation(size)[:20], np.array([4, 4, 4]), np.array([], dtype=int)]
    weights = np.stack([np.bincount(draw, minlength=size) for draw in draws], axis=1).astype(np.int32)
    for system, replies in enumerate(systems):
        values = matrices.score(matrices.totals(system, weights))[key]
        for value, draw in zip(values, draws):
            expected = drawn(totals, [replies[i] for i in draw], [references[i] for i in draw])
            assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)
    kept = rng.integers(2, size=(size, 1)).astype(np.int32)
    mixed = [one if keep else other for one, other, keep in zip(*systems, kept[:, 0])]
    value = matrices.score(matrices.totals(0, kept) + matrices.totals(1, 1 - kept))[key][0]
    assert value == pytest.approx(drawn(totals, mixed, references), rel=1e-12, abs=1e-12)
    assert math.isfinite(value)


def totals_for(
    key: str, systems: list[list[str]], references: list[str], options: dict[str, Any]
) -> tuple[Pairs, Totals]:
    """The pairs, and the totals of a metric that has taken note of them."""
    setting = Setting(**options)
    (totals,), unavailable = totals_of([key], setting)
    assert not unavailable
    pairs = Pairs(systems, [references], setting.tokenise)
    totals.note(pairs)
    return pairs, totals


def drawn(totals: Totals, replies: list[str], references: list[str]) -> float:
    """The score of some pairs."""
    stream = Stream(totals)
    stream.update(Pairs([replies], [references], totals.setting.tokenise))
    return stream.scores()[totals.key]
