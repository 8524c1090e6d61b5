"""chrF against sacrebleu."""

from __future__ import annotations

import random

import pytest
import sacrebleu
from metric_cases import check_metric

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import corpus_chrf, score_replies

GENERATOR = random.Random(0)
WORDS = ["i", "like", "tea", "Tea", "and", "you", "?", ".", "蜜蜂", "\U0001d4b3", "a\u0301"]
REFERENCES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(10))) for _ in range(1500)]
HYPOTHESES = [" ".join(reference.split()[1:] + GENERATOR.choices(WORDS, k=2)) for reference in REFERENCES]


def by_sacrebleu(hypotheses: list[str], references: list[str]) -> float:
    return sacrebleu.corpus_chrf(hypotheses, [references]).score


def test_what_all_metrics_do() -> None:
    check_metric("chrf", by_sacrebleu)


def test_agrees_with_sacrebleu_on_the_whole() -> None:
    score, signature = corpus_chrf(HYPOTHESES, REFERENCES)
    assert score == pytest.approx(by_sacrebleu(HYPOTHESES, REFERENCES), rel=1e-12)
    assert 0 < score < 100
    assert signature == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}"


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        ([], [], 0),
        ([""], ["ab"], 0),
        (["ab"], [""], 0),
        (["ab"], ["cd"], 0),
        (["a b"], ["ab"], 100),
        # 1-grams: 2 of 3 and 2 of 2; 2-grams: 1 of 2 and 1 of 1; no reference has 3-grams, so these are out
        (["abc"], ["ab"], 100 * 5 * (7 / 12) * 1 / (4 * 7 / 12 + 1)),
        (["ab"], ["abc"], 100 * 5 * 1 * (7 / 12) / (4 * 1 + 7 / 12)),  # the reply has none
    ],
)
def test_by_hand(hypotheses: list[str], references: list[str], expected: float) -> None:
    assert corpus_chrf(hypotheses, references)[0] == pytest.approx(expected)


def test_the_signature_of_nothing_has_one_reference() -> None:
    assert corpus_chrf([], [])[1].startswith("nrefs:1|")


@pytest.mark.parametrize("number", [2, 3])
def test_the_best_of_several_references_counts(number: int) -> None:
    sets = [["x y z"] * 3, ["i like tea", "x", "y"], ["z", "no", "tea and you"]][:number]
    replies = ["i like tea", "no", "tea or you"]
    found = score_replies(replies, sets[0], metrics=["chrf"], more_references=sets[1:]).scores["chrf"]
    assert found == pytest.approx(sacrebleu.corpus_chrf(replies, sets).score, rel=1e-12)
    assert found > corpus_chrf(replies, sets[0])[0]


def test_unequal_lengths() -> None:
    with pytest.raises(UserError, match="2 replies, references: 1 references"):
        corpus_chrf(["a", "b"], ["a"])
