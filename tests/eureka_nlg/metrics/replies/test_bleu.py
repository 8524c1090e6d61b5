"""BLEU in chunks and shards against sacrebleu on the whole."""

from __future__ import annotations

import random

import pytest
import sacrebleu

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import BleuStatistics, corpus_bleu

GENERATOR = random.Random(0)
WORDS = ["i", "like", "tea", "Tea", "and", "you", "?", "."]
REFERENCES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(10))) for _ in range(1500)]
HYPOTHESES = [" ".join(reference.split()[1:] + GENERATOR.choices(WORDS, k=2)) for reference in REFERENCES]


def by_sacrebleu(hypotheses: list[str], references: list[str], lowercase: bool = False) -> float:
    return sacrebleu.corpus_bleu(
        hypotheses, [references], tokenize="none", force=True, lowercase=lowercase
    ).score


def test_agrees_with_sacrebleu_on_the_whole() -> None:
    score, signature = corpus_bleu(HYPOTHESES, REFERENCES)
    assert score == pytest.approx(by_sacrebleu(HYPOTHESES, REFERENCES), abs=1e-9)
    assert 0 < score < 100
    assert signature == f"nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:{sacrebleu.__version__}"


def test_few_matches_are_smoothed_as_by_sacrebleu() -> None:
    hypotheses, references = ["i like tea very much", "no"], ["i like you not very much", "yes"]
    assert corpus_bleu(hypotheses, references)[0] == pytest.approx(by_sacrebleu(hypotheses, references))


def test_shards_add_up_exactly_and_case_can_be_lowered() -> None:
    shards = (
        BleuStatistics(lowercase=True).update(HYPOTHESES[part], REFERENCES[part])
        for part in (slice(0, 7), slice(7, 7), slice(7, None))
    )
    merged = sum(shards, BleuStatistics(lowercase=True))
    assert merged == BleuStatistics(lowercase=True).update(HYPOTHESES, REFERENCES)
    assert merged.compute() == pytest.approx(by_sacrebleu(HYPOTHESES, REFERENCES, lowercase=True))
    assert "case:lc" in merged.signature()


def test_tokens_are_joined() -> None:
    tokens = [hypothesis.split() for hypothesis in HYPOTHESES]
    assert corpus_bleu(tokens, REFERENCES) == corpus_bleu(HYPOTHESES, REFERENCES)


@pytest.mark.parametrize(
    ("hypotheses", "references"), [([], []), ([""], ["a b"]), (["a"], [""]), ([""], [""])]
)
def test_nothing_in_common_is_zero(hypotheses: list[str], references: list[str]) -> None:
    assert corpus_bleu(hypotheses, references)[0] == 0


def test_identical_is_hundred() -> None:
    assert corpus_bleu(["a b c d e"], ["a b c d e"])[0] == pytest.approx(100)


def test_unequal_lengths() -> None:
    with pytest.raises(UserError, match="2 replies, references: 1 references"):
        corpus_bleu(["a", "b"], ["a"])
