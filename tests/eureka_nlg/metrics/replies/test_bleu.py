"""BLEU against sacrebleu."""

from __future__ import annotations

import math
import random

import pytest
import sacrebleu
from metric_cases import check_metric

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import corpus_bleu, score_replies

GENERATOR = random.Random(0)
WORDS = ["i", "like", "tea", "Tea", "and", "you", "?", "."]
REFERENCES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(10))) for _ in range(1500)]
HYPOTHESES = [" ".join(reference.split()[1:] + GENERATOR.choices(WORDS, k=2)) for reference in REFERENCES]


def by_sacrebleu(hypotheses: list[str], references: list[str]) -> float:
    return sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score


def test_what_all_metrics_do() -> None:
    check_metric("bleu", by_sacrebleu)


def test_agrees_with_sacrebleu_on_the_whole() -> None:
    score, signature = corpus_bleu(HYPOTHESES, REFERENCES)
    assert score == pytest.approx(by_sacrebleu(HYPOTHESES, REFERENCES), rel=1e-12)
    assert 0 < score < 100
    assert signature == f"nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:{sacrebleu.__version__}"


def test_few_matches_are_smoothed_as_by_sacrebleu() -> None:
    hypotheses, references = ["i like tea very much", "no"], ["i like you not very much", "yes"]
    assert corpus_bleu(hypotheses, references)[0] == pytest.approx(by_sacrebleu(hypotheses, references))


@pytest.mark.parametrize(
    ("hypotheses", "references"), [([], []), ([""], ["a b"]), (["a"], [""]), ([""], [""])]
)
def test_nothing_in_common_is_zero(hypotheses: list[str], references: list[str]) -> None:
    assert corpus_bleu(hypotheses, references)[0] == 0


def test_the_signature_of_nothing_has_one_reference() -> None:
    assert corpus_bleu([], [])[1].startswith("nrefs:1|")


def test_an_empty_line_is_no_further_reference() -> None:
    """The reply without words is compared with "a", not with nothing, which would be closer."""
    replies, first, second = ["", "a b c d e"], ["a", "a b c d e"], ["", "a b c d e"]
    alone = corpus_bleu(replies, first)[0]
    assert alone == pytest.approx(100 * math.exp(1 - 6 / 5))
    for sets in ((first, second), (second, first)):
        found = score_replies(replies, sets[0], metrics=["bleu"], more_references=sets[1:])
        assert found.scores["bleu"] == alone


@pytest.mark.parametrize(
    ("lengths", "closest"), [((4, 9), 4), ((3, 6), 6), ((9, 7), 7), ((4, 6), 4), ((6, 4), 4)]
)
def test_the_closest_reference_counts_and_of_a_tie_the_shorter(
    lengths: tuple[int, int], closest: int
) -> None:
    words = list("abcdefghi")
    sets = [[" ".join(words[:length])] for length in lengths]
    found = score_replies(["a b c d x"], sets[0], metrics=["bleu"], more_references=sets[1:]).scores["bleu"]
    expected = sacrebleu.corpus_bleu(["a b c d x"], sets, tokenize="none", force=True)
    assert expected.ref_len == closest
    assert found == pytest.approx(expected.score)


def test_identical_is_hundred() -> None:
    assert corpus_bleu(["a b c d e"], ["a b c d e"])[0] == pytest.approx(100)


def test_unequal_lengths() -> None:
    with pytest.raises(UserError, match="2 replies, references: 1 references"):
        corpus_bleu(["a", "b"], ["a"])
