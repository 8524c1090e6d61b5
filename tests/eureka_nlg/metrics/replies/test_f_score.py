"""Micro and macro F against hand-worked numbers and the definition written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import VOCABULARY, check_metric

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import WordBands, f_scores, f_scores_by_band
from eureka_nlg.metrics.replies.f_score import MacroF
from eureka_nlg.metrics.replies.setting import Metric, Setting

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "é", "<unk>"]), max_size=8)
PAIRS = st.lists(st.tuples(WORDS, WORDS), max_size=12)

HYPOTHESES = ["a a b", "c", "d d"]
REFERENCES = ["a b b", "a", "d e"]
# word: TP FP FN F     a: 1 1 1 1/2     b: 1 0 1 2/3     c: 0 1 0 0     d: 1 1 0 2/3     e: 0 0 1 0
MICRO = 100 * 2 * 3 / 12


def by_definition(pairs: list[tuple[list[str], list[str]]], types: set[str]) -> tuple[float, float]:
    """Precision and recall of each type, then F; micro from the pooled counts."""
    everything = {word for pair in pairs for side in pair for word in side}

    def counts(word: str) -> tuple[int, int, int]:
        true_positives = sum(min(h.count(word), r.count(word)) for h, r in pairs)
        produced = sum(h.count(word) for h, _ in pairs)
        wanted = sum(r.count(word) for _, r in pairs)
        return true_positives, produced - true_positives, wanted - true_positives

    def f(true_positives: int, false_positives: int, false_negatives: int) -> float:
        if true_positives == 0:
            return 0.0
        precision = true_positives / (true_positives + false_positives)
        recall = true_positives / (true_positives + false_negatives)
        return 100 * 2 * precision * recall / (precision + recall)

    pooled = [sum(column) for column in zip(*(counts(word) for word in everything))] or [0, 0, 0]
    macro = sum(f(*counts(word)) for word in types) / len(types) if types else 0.0
    return f(*pooled), macro


@pytest.mark.parametrize(
    ("types", "vocabulary", "macro", "num_types"),
    [
        ("reference", None, 100 * (1 / 2 + 2 / 3 + 2 / 3 + 0) / 4, 4),
        ("union", None, 100 * (1 / 2 + 2 / 3 + 2 / 3 + 0 + 0) / 5, 5),
        ("vocabulary", ["a", "b", "z", "z"], 100 * (1 / 2 + 2 / 3 + 0) / 3, 3),
    ],
)
def test_hand_worked(types: Any, vocabulary: list[str] | None, macro: float, num_types: int) -> None:
    scores = f_scores(HYPOTHESES, REFERENCES, types=types, vocabulary=vocabulary)
    assert scores.micro == pytest.approx(MICRO)
    assert scores.macro == pytest.approx(macro)
    assert (scores.num_types, scores.types) == (num_types, types)


@pytest.mark.parametrize("types", ["reference", "union", "vocabulary"])
def test_what_all_metrics_do(types: Any) -> None:
    def plain(hypotheses: list[str], references: list[str]) -> tuple[float, float]:
        sides = references if types == "reference" else [*hypotheses, *references]
        members = VOCABULARY if types == "vocabulary" else " ".join(sides).split()
        return by_definition([(h.split(), r.split()) for h, r in zip(hypotheses, references)], set(members))

    given = {"types": types, "vocabulary": VOCABULARY if types == "vocabulary" else None}
    check_metric("macro_f", lambda *texts: plain(*texts)[1], **given)
    check_metric("micro_f", lambda *texts: plain(*texts)[0], **given)
    for band in ("head", "body", "tail", "unseen"):
        check_metric(f"macro_f_{band}", **given)
        check_metric(f"micro_f_{band}", **given)
        check_metric(f"recall_{band}", **given)


def test_a_metric_of_ones_own_is_a_percentage() -> None:
    metric = Metric("mine")
    assert (metric.most, metric.n, metric.band) == (100, None, None)


def test_default_types_are_those_of_the_references() -> None:
    assert f_scores(HYPOTHESES, REFERENCES) == f_scores(HYPOTHESES, REFERENCES, types="reference")


@settings(deadline=None)
@given(pairs=PAIRS, vocabulary=st.sets(st.sampled_from(["a", "b", "z"])))
def test_agrees_with_the_definition(pairs: list[Any], vocabulary: set[str]) -> None:
    hypotheses, references = [h for h, _ in pairs], [r for _, r in pairs]
    reference_types = {word for words in references for word in words}
    for types, expected in (
        ("reference", reference_types),
        ("union", reference_types | {word for words in hypotheses for word in words}),
        ("vocabulary", vocabulary),
    ):
        scores = f_scores(hypotheses, references, types=types, vocabulary=vocabulary)  # type: ignore[arg-type]
        micro, macro = by_definition(pairs, expected)
        assert scores.micro == pytest.approx(micro)
        assert scores.macro == pytest.approx(macro)
        assert scores.num_types == len(expected)


BANDS = WordBands.from_counts({"b": 5, "a": 3, "d": 1, "<unk>": 1})  # head b; body a; tail d, <unk>


@pytest.mark.parametrize(
    ("types", "vocabulary", "macro", "num_types"),
    [
        ("reference", None, (200 / 3, 50, 200 / 3, 0), (1, 1, 1, 1)),  # unseen: e
        ("union", None, (200 / 3, 50, 200 / 3, 0), (1, 1, 1, 2)),  # unseen: c, e
        ("vocabulary", ["a", "d", "<unk>", "z"], (0, 50, 100 / 3, 0), (0, 1, 2, 1)),
    ],
)
def test_bands_by_hand(
    types: Any, vocabulary: list[str] | None, macro: tuple[float, ...], num_types: tuple[int, ...]
) -> None:
    scores = f_scores_by_band(HYPOTHESES, REFERENCES, BANDS, types=types, vocabulary=vocabulary)
    assert list(scores) == ["head", "body", "tail", "unseen"]
    assert [band.macro for band in scores.values()] == pytest.approx(macro)
    assert tuple(band.num_types for band in scores.values()) == num_types
    assert [band.micro for band in scores.values()] == pytest.approx([200 / 3, 50, 200 / 3, 0])
    assert [band.recall for band in scores.values()] == pytest.approx([50, 50, 100, 0])
    assert [band.num_reference_words for band in scores.values()] == [2, 2, 1, 1]


@settings(deadline=None)
@given(pairs=PAIRS)
def test_bands_agree_with_the_definition(pairs: list[Any]) -> None:
    hypotheses, references = [h for h, _ in pairs], [r for _, r in pairs]
    scores = f_scores_by_band(hypotheses, references, BANDS)
    members = {"head": {"b"}, "body": {"a"}, "tail": {"d", "<unk>"}, "unseen": {"c", "é"}}
    for name, words in members.items():
        kept = [([w for w in h if w in words], [w for w in r if w in words]) for h, r in pairs]
        micro, macro = by_definition(kept, {word for _, r in kept for word in r})
        wanted = sum(len(r) for _, r in kept)
        found = sum(min(h.count(word), r.count(word)) for h, r in kept for word in words)
        assert scores[name].micro == pytest.approx(micro)
        assert scores[name].macro == pytest.approx(macro)
        assert scores[name].recall == pytest.approx(100 * found / (wanted or 1))


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        ([], [], (0, 0, 0)),
        (["", " "], ["", "\t"], (0, 0, 0)),
        (["", ""], ["a b", "c"], (0, 0, 3)),
        (["a"], [""], (0, 0, 0)),
        (["a b"], ["a b"], (100, 100, 2)),
        ([["New York", "a"]], [["New York", "b"]], (50, 50, 2)),  # a token may hold a space
    ],
)
def test_edges(hypotheses: Any, references: Any, expected: tuple[float, float, int]) -> None:
    scores = f_scores(hypotheses, references)
    assert (scores.micro, scores.macro, scores.num_types) == expected


@pytest.mark.parametrize("types", ["reference", "union"])
def test_types_are_counted_exactly_beyond_what_float32_holds(types: Any) -> None:
    num_words = 2**24 + 1
    totals = MacroF([Metric("macro_f")], Setting(types=types))
    ones = np.broadcast_to(np.int64(1), (3 * num_words, 1))
    assert totals.num_types(ones).tolist() == [[num_words]]


def test_empty_vocabulary_scores_zero() -> None:
    assert f_scores(["a"], ["a"], types="vocabulary", vocabulary=[]).macro == 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a", "b"], ["a"]), {}, "hypotheses: 2 replies, references: 1 references"),
        ((["a"] * 3000, ["a"] * 5000), {}, "hypotheses: 3000 replies, references: 5000 references"),
        (("a b", ["a b"]), {}, "hypotheses is one string"),
        ((["a"], "a"), {}, "references is one string"),
        ((["a"], ["a"]), {"types": "all"}, "types is 'all', expected one of: reference, union, vocabulary"),
        ((["a"], ["a"]), {"types": "vocabulary"}, "needs a vocabulary"),
        ((["a"], ["a"]), {"types": "vocabulary", "vocabulary": "abc"}, "vocabulary is one string"),
    ],
)
def test_bad_input(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        f_scores(*arguments, **options)
