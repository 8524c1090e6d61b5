"""N-grams of replies against hand-worked numbers and nltk's n-grams and distributions."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import TARGETS, check_metric
from nltk.util import ngrams as nltk_ngrams

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import (
    count_ngrams,
    expectation_adjusted_distinct,
    ngram_diversity,
    ngram_entropy,
    ngram_novelty,
    score_replies,
)
from eureka_nlg.metrics.replies.ngrams import Novelty
from eureka_nlg.metrics.replies.setting import Metric, NgramCounts, Setting
from eureka_nlg.metrics.text import lines, ngram_table

REPLIES = st.lists(st.lists(st.sampled_from("abc"), max_size=7), max_size=12)


def by_nltk(replies: list[list[str]], n: int) -> float:
    grams = [gram for reply in replies for gram in nltk_ngrams(reply, n)]
    return 100 * len(set(grams)) / len(grams) if grams else 0.0


@pytest.mark.parametrize(
    ("replies", "n", "expected"),
    [
        (["i like tea very much", "i like tea very well"], 4, 100 * 3 / 4),
        (["a a a a a"], 4, 50),
        (["a b", "a b"], 1, 50),
        (["a b", "b a"], 2, 100),  # "b b" would lie across the two replies
        (["a b c", "", "d"], 4, 0),
        ([], 4, 0),
    ],
)
def test_hand_worked(replies: list[str], n: int, expected: float) -> None:
    assert ngram_diversity(replies, n) == expected


@pytest.mark.parametrize("n", [1, 2, 4])
def test_what_all_metrics_do(n: int) -> None:
    def counts_of(replies: list[str]) -> Counter[tuple[str, ...]]:
        return counted([text.split() for text in replies], n)

    def entropy(replies: list[str], _: list[str]) -> float:
        counts = np.array(list(counts_of(replies).values()))
        return float(-(counts / counts.sum() * np.log(counts / counts.sum())).sum())

    def ead(replies: list[str], references: list[str]) -> float:
        counts, size = counts_of(replies), len(counts_of(references))
        return 100 * len(counts) / (size * (1 - (1 - 1 / size) ** sum(counts.values())))

    def novelty(replies: list[str], _: list[str]) -> float:
        counts, seen = counts_of(replies), counts_of(TARGETS)
        new = sum(count for gram, count in counts.items() if gram not in seen)
        return 100 * new / sum(counts.values())

    check_metric(f"diversity_{n}", lambda replies, _: by_nltk([text.split() for text in replies], n))
    check_metric(f"entropy_{n}", entropy)
    check_metric(f"ead_{n}", ead)
    check_metric(f"novelty_{n}", novelty)


def test_default_is_four() -> None:
    replies, targets = ["a b c d e", "a b c d", "a b c d"], ["b c d e f g"]
    assert ngram_diversity(replies) == pytest.approx(100 * 2 / 4)
    assert ngram_entropy(replies) == ngram_entropy(replies, 4) != ngram_entropy(replies, 5)
    assert ngram_novelty(replies, targets) == ngram_novelty(replies, targets, 4) == 75
    assert count_ngrams(replies).n == NgramCounts().n == 4
    assert set(score_replies(replies, replies).scores) >= {"diversity_4", "ead_4", "entropy_4"}


@settings(deadline=None)
@given(replies=REPLIES, n=st.integers(1, 5))
def test_agrees_with_nltk(replies: list[list[str]], n: int) -> None:
    assert ngram_diversity(replies, n) == pytest.approx(by_nltk(replies, n))
    assert ngram_diversity([" ".join(reply) for reply in replies], n) == ngram_diversity(replies, n)


def test_more_replies_than_a_chunk_holds() -> None:
    generator = random.Random(0)
    words = [f"w{number}" for number in range(300)]  # ids beyond one byte
    replies = [generator.choices(words, k=generator.randrange(8)) for _ in range(3000)]
    for n in (1, 2, 4):
        assert ngram_diversity(replies, n) == pytest.approx(by_nltk(replies, n))


def counted(replies: list[list[str]], n: int) -> Counter[tuple[str, ...]]:
    return Counter(gram for reply in replies for gram in nltk_ngrams(reply, n))


def test_agrees_with_inter_distinct_of_parlai() -> None:
    """Its definition: n-grams of each text split at blanks, all counted together; types by tokens."""
    texts = ["i like tea . tea is good", "i like tea .", "no", "do you like tea . tea is bad"]
    for n in (1, 2, 3):
        counts: dict[str, int] = {}
        for text in texts:
            tokens = text.split(" ")
            for start in range(len(tokens) - n + 1):
                gram = " ".join(tokens[start : start + n])
                counts[gram] = counts.get(gram, 0) + 1
        assert ngram_diversity(texts, n) == pytest.approx(100 * len(counts) / sum(counts.values()))


@pytest.mark.parametrize("pending", [1, 50, 1 << 20])
@pytest.mark.parametrize("n", [1, 2, 4, 6, 9, 70])
def test_words_with_ids_too_large_for_a_key(monkeypatch: pytest.MonkeyPatch, n: int, pending: int) -> None:
    """With 6 words a key has 10 bits for each, with 9 words 7 bits, with 70 none: some ids do not fit."""
    monkeypatch.setattr(ngram_table, "_PENDING", pending)
    generator = random.Random(n)
    words = [f"w{number}" for number in range(3000)]
    replies = [
        generator.choices(words[: 30 if generator.random() < 0.7 else 3000], k=generator.randrange(2 * n))
        for _ in range(2500)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(lines, "_CHUNK", 500)
        table = count_ngrams(replies, n)
    counts = counted(replies, n)
    assert sorted(table.counts().tolist()) == sorted(counts.values())
    assert (table.distinct, table.total) == (len(counts), sum(counts.values()))
    wanted = [*list(counts)[:50], tuple(["new"] * n), tuple(words[-n:]) if n < 3000 else ()]
    ids = np.array([[table.words.get(word, -1) for word in gram] for gram in wanted], dtype=np.int32)
    assert table.contains(ids).tolist() == [gram in counts for gram in wanted]


@settings(deadline=None)
@given(replies=REPLIES, n=st.integers(1, 4))
def test_entropy_agrees_with_the_definition(replies: list[list[str]], n: int) -> None:
    counts = counted(replies, n)
    total = sum(counts.values())
    expected = -sum(count / total * math.log(count / total) for count in counts.values())
    assert ngram_entropy(replies, n) == pytest.approx(expected, abs=1e-12)


def test_entropy_by_hand() -> None:
    assert ngram_entropy(["a b c d e", "b c d e f"]) == pytest.approx(
        -(2 * 0.25 * math.log(0.25) + 0.5 * math.log(0.5))
    )
    assert ngram_entropy(["a b c"]) == 0


@pytest.mark.parametrize(
    ("replies", "size", "n", "expected"),
    [
        (["a b", "a"], 2, 1, 100 * 2 / (2 * (1 - (1 / 2) ** 3))),
        (["a b c", "a b"], 5, 2, 100 * 2 / (5 * (1 - (4 / 5) ** 3))),
        (["a a a"], 1, 1, 100),
        (["a"], 5, 2, 0),
        ([], 5, 1, 0),
    ],
)
def test_expectation_adjusted_by_hand(replies: list[str], size: int, n: int, expected: float) -> None:
    assert expectation_adjusted_distinct(replies, size, n) == pytest.approx(expected)


def test_expectation_adjusted_keeps_its_digits() -> None:
    """Against the plain formula in exact fractions, where floating point would cancel."""
    size, replies = 10**13, ["a b c", "a"]
    expected = Fraction(3) / (size * (1 - Fraction(size - 1, size) ** 4))
    assert expectation_adjusted_distinct(replies, size) == pytest.approx(100 * float(expected), rel=1e-12)


def test_expectation_adjusted_does_not_fall_with_length() -> None:
    """Of words that are all equally likely as much is distinct as can be expected, however many there are."""
    generator = np.random.default_rng(0)
    for number in (50, 500, 5000):
        replies = [[str(word)] for word in generator.integers(300, size=number)]
        assert expectation_adjusted_distinct(replies, 300) == pytest.approx(100, abs=6)
    assert ngram_diversity(replies, 1) < 10


@settings(deadline=None)
@given(replies=REPLIES, targets=REPLIES, n=st.integers(1, 4))
def test_novelty_agrees_with_the_definition(
    replies: list[list[str]], targets: list[list[str]], n: int
) -> None:
    counts, seen = counted(replies, n), counted([[*target, "x"] for target in targets], n)
    new = sum(count for gram, count in counts.items() if gram not in seen)
    expected = 100 * new / (sum(counts.values()) or 1)
    assert ngram_novelty(replies, [[*target, "x"] for target in targets], n) == pytest.approx(expected)


def test_novelty_among_ids_too_large_for_a_key() -> None:
    words = [f"w{number}" for number in range(5000)]  # 8-grams: ids from 256 on
    targets = [words[start : start + 12] for start in range(0, 5000, 12)]
    replies = [["new", *words[4000:4012]], words[40:60], words[:10]]
    counts, seen = counted(replies, 8), counted(targets, 8)
    expected = 100 * sum(count for gram, count in counts.items() if gram not in seen) / sum(counts.values())
    assert 0 < expected < 100
    assert ngram_novelty(replies, targets, 8) == pytest.approx(expected)


@pytest.mark.parametrize("n", [0, -1, 2.0])
def test_bad_n(n: Any) -> None:
    with pytest.raises(UserError, match=f"n is {n}"):
        ngram_diversity(["a"], n)


def test_a_lone_string_is_refused() -> None:
    with pytest.raises(UserError, match="hypotheses is one string"):
        ngram_diversity("a b c d")


def test_bad_vocabulary_size() -> None:
    with pytest.raises(UserError, match="vocabulary_size is 0"):
        expectation_adjusted_distinct(["a"], 0)


def test_entropy_of_one_ngram_over_and_over_is_zero() -> None:
    """Not -9e-16, as rounding has it for some numbers of repetitions."""
    for repetitions in range(1, 400):
        assert ngram_entropy(["a b c d"] * repetitions, n=4) == 0.0


def test_scores_do_not_depend_on_how_counts_are_counted() -> None:
    """Few n-grams that occur often are counted in another way than many that occur rarely."""
    often = ["a"] * 100 + ["b"] * 50
    assert ngram_diversity(often, 1) == pytest.approx(100 * 2 / 150)
    assert ngram_entropy(often, 1) == pytest.approx(math.log(3) - 2 / 3 * math.log(2))
    rarely = ["a b c d e f", "a b c g"]
    assert ngram_diversity(rarely, 1) == pytest.approx(100 * 7 / 10)
    assert ngram_entropy(rarely, 1) == pytest.approx(-(0.6 * math.log(0.2) + 0.4 * math.log(0.1)))


def test_references_of_one_ngram_only() -> None:
    """It is all that could be drawn, and all that is expected, however often."""
    for reply, expected in (("a a", 100), ("a b", 200), ("", 0)):
        scores = score_replies([reply], ["c"], metrics=["ead_1"]).scores
        assert scores["ead_1"] == expected


def test_training_ngrams_of_another_length() -> None:
    counts = count_ngrams(["a b c"], 2)
    with pytest.raises(UserError, match="novelty needs the 3-grams of the training targets"):
        Novelty([Metric("novelty", n=3)], Setting(training_ngrams=counts))
