"""All scores at once: the same as each metric by itself; and the table of them."""

from __future__ import annotations

import json
import random

import pytest

from eureka_nlg import __version__
from eureka_nlg.errors import UserError
from eureka_nlg.metrics import corpus_bleu, f_scores, ngram_diversity, parlai_f1, score_replies, score_table

GENERATOR = random.Random(1)
WORDS = ["i", "Like", "like", "the", "tea", ".", "?", "green", "Cats"]
REFERENCES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(1, 12))) for _ in range(1100)]
HYPOTHESES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(12))) for _ in REFERENCES]


@pytest.mark.parametrize("types", ["reference", "union", "vocabulary"])
def test_same_as_each_metric_by_itself(types: str) -> None:
    result = score_replies(iter(HYPOTHESES), iter(REFERENCES), types=types, vocabulary=["tea", "zebra"])  # type: ignore[arg-type]
    f = f_scores(HYPOTHESES, REFERENCES, types=types, vocabulary=["tea", "zebra"])  # type: ignore[arg-type]
    bleu, signature = corpus_bleu(HYPOTHESES, REFERENCES)
    assert result.scores == {
        "macro_f": f.macro,
        "micro_f": f.micro,
        "parlai_f1": parlai_f1(HYPOTHESES, REFERENCES),
        "diversity_4": ngram_diversity(HYPOTHESES),
        "bleu": bleu,
    }
    assert all(0 < score < 100 for score in result.scores.values())
    assert (result.num_pairs, result.num_types) == (1100, f.num_types)
    assert result.num_reference_words == sum(len(reference.split()) for reference in REFERENCES)
    assert result.signature["sacrebleu"] == signature
    assert result.signature["types"] == types
    assert result.signature["eureka_nlg"] == __version__


def test_lower_case_applies_to_every_metric_and_the_vocabulary() -> None:
    lowered = [reply.lower() for reply in HYPOTHESES], [reference.lower() for reference in REFERENCES]
    options = {"types": "vocabulary", "n": 2}
    result = score_replies(HYPOTHESES, REFERENCES, lowercase=True, vocabulary=["LIKE", "cats"], **options)  # type: ignore[arg-type]
    assert result.scores == score_replies(*lowered, vocabulary=["like", "cats"], **options).scores  # type: ignore[arg-type]
    assert (
        result.scores != score_replies(HYPOTHESES, REFERENCES, vocabulary=["like", "cats"], **options).scores
    )  # type: ignore[arg-type]
    assert "case:lc" in result.signature["sacrebleu"]
    assert "diversity_2" in result.scores


def test_token_sequences() -> None:
    tokens = [reply.split() for reply in HYPOTHESES]
    for lowercase in (False, True):
        expected = score_replies(HYPOTHESES, REFERENCES, lowercase=lowercase)
        assert score_replies(tokens, REFERENCES, lowercase=lowercase) == expected


def test_nothing_scores_zero() -> None:
    assert set(score_replies([], []).scores.values()) == {0}
    assert set(score_replies(["", ""], ["a b", "c"]).scores.values()) == {0}


def test_json_structure() -> None:
    document = json.loads(json.dumps(score_replies(["a b"], ["a c"]).to_dict(), allow_nan=False))
    assert list(document) == ["scores", "num_pairs", "num_types", "signature"]
    assert list(document["scores"]) == ["macro_f", "micro_f", "parlai_f1", "diversity_4", "bleu"]
    assert {"types", "n", "tokenisation", "lowercase", "sacrebleu", "eureka_nlg"} <= set(
        document["signature"]
    )


def test_lengths_are_named() -> None:
    with pytest.raises(UserError, match=r"x.txt: 3 replies, y.txt: 2 references"):
        score_replies(["a"] * 3, ["a"] * 2, names=("x.txt", "y.txt"))


def test_table_of_several_systems() -> None:
    table = score_table({"CE": {"macro_f": 1.168, "ppl": 35.0}, "Eureka": {"macro_f": 1.3, "other": 2}})
    header, rule, *rows = table.splitlines()
    assert header.split()[:3] == ["metric", "CE", "Eureka"]
    assert set(rule) == {"-", " "}
    assert [row.split()[:4] for row in rows] == [
        ["macro", "F", "1.17", "1.30"],
        ["ppl", "35.00", "-", "perplexity"],
        ["other", "-", "2.00"],
    ]


def test_table_of_chosen_rows() -> None:
    scores = score_replies(HYPOTHESES, REFERENCES).scores
    rows = score_table({"one": scores}, metrics=["diversity_4", "micro_f"]).splitlines()[2:]
    assert [
        row.split(f"{value:.2f}")[0].strip()
        for row, value in zip(rows, (scores["diversity_4"], scores["micro_f"]))
    ] == [
        "4-gram diversity",
        "micro F",
    ]
