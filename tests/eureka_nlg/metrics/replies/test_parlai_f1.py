"""ParlAI F1 against hand-worked numbers and the definition written out."""

from __future__ import annotations

import string
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import check_metric

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import parlai_f1
from eureka_nlg.metrics.replies.parlai_f1 import normalise

TEXT = st.lists(st.sampled_from(["The", "a", "an", "cat", "cat!", "I'm", "i", "m", "ant"]), max_size=7).map(
    " ".join
)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=10)


def by_definition(hypothesis: str, reference: str) -> float:
    """F1 from precision and recall of the two bags, for ASCII text."""

    def bag(text: str) -> Counter[str]:
        spaced = "".join(" " if letter in string.punctuation else letter for letter in text.lower())
        return Counter(word for word in spaced.split() if word not in ("a", "an", "the"))

    ours, theirs = bag(hypothesis), bag(reference)
    overlap = sum((ours & theirs).values())
    if overlap == 0:
        return 0.0
    precision, recall = overlap / sum(ours.values()), overlap / sum(theirs.values())
    return 100 * 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, a dog & AN ant.", ["cat", "dog", "ant"]),
        ("i'm well_known", ["i", "m", "well", "known"]),
        ("theatre another", ["theatre", "another"]),
        ("a.m.", ["m"]),
        ("the\u2014end", ["\u2014end"]),  # a dash outside ASCII stays, the article before it goes
        (string.punctuation, []),
        ("  \t\n", []),
    ],
)
def test_normalise(text: str, words: list[str]) -> None:
    assert normalise(text) == words


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        (["i like cats"], ["I like the dogs!"], 100 * 4 / 6),
        (["no no no"], ["no no way"], 100 * 4 / 6),  # clipped: two matches
        (["yes", "no"], ["yes", "yes"], 50),
        (["", "the"], ["", "a"], 0),
        ([["i", "'m"]], ["i'm"], 100),
        ([], [], 0),
    ],
)
def test_hand_worked(hypotheses: Any, references: Any, expected: float) -> None:
    assert parlai_f1(hypotheses, references) == pytest.approx(expected)


def test_what_all_metrics_do() -> None:
    check_metric("parlai_f1")


@settings(deadline=None)
@given(pairs=PAIRS)
def test_agrees_with_the_definition(pairs: list[tuple[str, str]]) -> None:
    expected = sum(by_definition(*pair) for pair in pairs) / len(pairs) if pairs else 0.0
    assert parlai_f1([h for h, _ in pairs], [r for _, r in pairs]) == pytest.approx(expected)


def test_unequal_lengths() -> None:
    with pytest.raises(UserError, match="1 replies, references: 2 references"):
        parlai_f1(["a"], ["a", "b"])
