"""chrF in chunks and shards against sacrebleu on the whole."""

from __future__ import annotations

import random

import pytest
import sacrebleu

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import ChrfStatistics, corpus_chrf

GENERATOR = random.Random(0)
WORDS = ["i", "like", "tea", "Tea", "and", "you", "?", "."]
REFERENCES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(10))) for _ in range(1500)]
HYPOTHESES = [" ".join(reference.split()[1:] + GENERATOR.choices(WORDS, k=2)) for reference in REFERENCES]


def test_agrees_with_sacrebleu_on_the_whole() -> None:
    score, signature = corpus_chrf(HYPOTHESES, REFERENCES)
    assert score == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score, abs=1e-9)
    assert 0 < score < 100
    assert signature == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}"


def test_shards_add_up_exactly_and_case_can_be_lowered() -> None:
    shards = (
        ChrfStatistics(lowercase=True).update(HYPOTHESES[part], REFERENCES[part])
        for part in (slice(0, 7), slice(7, 7), slice(7, None))
    )
    merged = sum(shards, ChrfStatistics(lowercase=True))
    whole = sacrebleu.metrics.CHRF(lowercase=True).corpus_score(HYPOTHESES, [REFERENCES]).score
    assert merged.compute() == pytest.approx(whole, abs=1e-9)
    assert merged.compute() == ChrfStatistics(lowercase=True).update(HYPOTHESES, REFERENCES).compute()
    assert "case:lc" in merged.signature()


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [([], [], 0), ([""], ["ab"], 0), (["ab"], [""], 0), (["ab"], ["cd"], 0), (["a b"], ["ab"], 100)],
)
def test_edges(hypotheses: list[str], references: list[str], expected: float) -> None:
    assert corpus_chrf(hypotheses, references)[0] == pytest.approx(expected)


def test_tokens_are_joined() -> None:
    tokens = [hypothesis.split() for hypothesis in HYPOTHESES[:50]]
    assert corpus_chrf(tokens, REFERENCES[:50]) == corpus_chrf(HYPOTHESES[:50], REFERENCES[:50])


def test_unequal_lengths() -> None:
    with pytest.raises(UserError, match="2 replies, references: 1 references"):
        corpus_chrf(["a", "b"], ["a"])
