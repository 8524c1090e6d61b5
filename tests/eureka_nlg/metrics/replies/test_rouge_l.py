"""ROUGE-L against the package rouge-score and numbers worked by hand."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_cases import check_metric
from rouge_score.rouge_scorer import RougeScorer

from eureka_nlg.metrics import rouge_l, score_replies
from eureka_nlg.metrics.replies.rouge_l import units

SCORER = RougeScorer(["rougeL"])
TEXT = st.lists(
    st.sampled_from(["i", "like", "Tea", "tea!", "and", "?", "it's", "über", "x2"]), max_size=12
).map(" ".join)


def by_rouge_score(hypotheses: list[str], references: list[str]) -> float:
    scores = [SCORER.score(*pair)["rougeL"].fmeasure for pair in zip(references, hypotheses)]
    return 100 * sum(scores) / len(scores) if scores else 0.0


def test_what_all_metrics_do() -> None:
    check_metric("rouge_l", by_rouge_score)


@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_agrees_with_rouge_score(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = [left for left, _ in pairs], [right for _, right in pairs]
    assert rouge_l(hypotheses, references) == pytest.approx(by_rouge_score(hypotheses, references), rel=1e-13)


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        # longest common subsequence "i tea" of 3 and 4 words: precision 2/3, recall 2/4
        (["i drink tea"], ["I like green tea!"], 100 * 2 * 2 / 7),
        (["tea i"], ["i tea"], 50),  # in order, so one word
        (["a", "b"], ["a", "c"], 50),
        ([["a", "b"]], ["a b"], 100),
        (["", "?"], ["a", "?"], 0),
        ([], [], 0),
    ],
)
def test_by_hand(hypotheses: Any, references: list[str], expected: float) -> None:
    assert rouge_l(hypotheses, references) == pytest.approx(expected)


def test_long_texts_take_no_minutes() -> None:
    """A table of 3,000 by 3,000 cells for each pair would be 90 million steps."""
    replies = [" ".join(f"w{(7 * i * i + k) % 997}" for i in range(3000)) for k in range(10)]
    start = time.process_time()
    assert 0 < rouge_l(replies, replies[::-1]) < 100
    assert time.process_time() - start < 3


def test_units_and_their_signature() -> None:
    assert units("it's 5 我们 ?!") == ["it's", "5", "我", "们"]
    for unit, said in (
        ("word", "letters a-z and digits in lower case"),
        ("character", "characters, or words"),
    ):
        signature = score_replies(["a"], ["a"], metrics=["rouge_l"], unit=unit).signature["rouge_l"]
        assert said in signature
