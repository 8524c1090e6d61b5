"""All scores at once: the same as each metric by itself; and the table of them."""

from __future__ import annotations

import json
import random

import pytest

from eureka_nlg import __version__
from eureka_nlg.errors import UserError
from eureka_nlg.metrics import (
    NgramCounts,
    WordBands,
    copied_replies,
    corpus_bleu,
    corpus_chrf,
    count_ngrams,
    default_metrics,
    expectation_adjusted_distinct,
    f_scores,
    f_scores_by_band,
    mean_length,
    ngram_diversity,
    ngram_entropy,
    ngram_novelty,
    parlai_f1,
    reply_diversity,
    rouge_l,
    score_replies,
    score_table,
)

GENERATOR = random.Random(1)
WORDS = ["i", "Like", "like", "the", "tea", ".", "?", "green", "Cats"]
REFERENCES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(1, 12))) for _ in range(1100)]
HYPOTHESES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(12))) for _ in REFERENCES]
TARGETS = [" ".join(GENERATOR.choices(WORDS[:8], k=30)) for _ in range(200)]
BANDS = WordBands.from_counts({"i": 9, "like": 6, "tea": 2, "green": 1})


def seen_by(n: int) -> NgramCounts:
    """N-grams of the training targets."""
    return count_ngrams(TARGETS, n)


@pytest.mark.parametrize("types", ["reference", "union", "vocabulary"])
def test_same_as_each_metric_by_itself(types: str) -> None:
    result = score_replies(iter(HYPOTHESES), iter(REFERENCES), types=types, vocabulary=["tea", "zebra"])  # type: ignore[arg-type]
    f = f_scores(HYPOTHESES, REFERENCES, types=types, vocabulary=["tea", "zebra"])  # type: ignore[arg-type]
    bleu, signature = corpus_bleu(HYPOTHESES, REFERENCES)
    chrf, chrf_signature = corpus_chrf(HYPOTHESES, REFERENCES)
    num_fourgrams = len({tuple(r.split()[i : i + 4]) for r in REFERENCES for i in range(len(r.split()) - 3)})
    expected = {
        "macro_f": f.macro,
        "micro_f": f.micro,
        "parlai_f1": parlai_f1(HYPOTHESES, REFERENCES),
        "diversity_4": ngram_diversity(HYPOTHESES),
        "bleu": bleu,
        "diversity_1": ngram_diversity(HYPOTHESES, 1),
        "diversity_2": ngram_diversity(HYPOTHESES, 2),
        "diversity_3": ngram_diversity(HYPOTHESES, 3),
        "ead_4": expectation_adjusted_distinct(HYPOTHESES, num_fourgrams, 4),
        "entropy_4": ngram_entropy(HYPOTHESES, 4),
        "mean_length": mean_length(HYPOTHESES),
        "copies": copied_replies(HYPOTHESES),
        "chrf": chrf,
        "rouge_l": rouge_l(HYPOTHESES, REFERENCES),
    }
    assert result.scores == expected
    assert list(result.scores) == list(expected) == default_metrics()
    assert all(score > 0 for score in result.scores.values())
    assert all(score < 100 for key, score in result.scores.items() if key != "ead_4")
    assert result.signature["chrf"] == chrf_signature
    assert result.signature["ead_vocabulary_size"] == {"4": num_fourgrams}
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


def test_scores_of_the_training_data_and_chosen_ones() -> None:
    result = score_replies(HYPOTHESES, REFERENCES, bands=BANDS, training_ngrams=seen_by(3))
    by_band = f_scores_by_band(HYPOTHESES, REFERENCES, BANDS)
    expected = {f"macro_f_{name}": by_band[name].macro for name in ("head", "body", "tail")}
    expected |= {f"micro_f_{name}": by_band[name].micro for name in ("head", "body", "tail")}
    expected |= {"recall_tail": by_band["tail"].recall, "novelty_3": ngram_novelty(HYPOTHESES, TARGETS, 3)}
    assert list(result.scores) == default_metrics() + list(expected)
    assert {key: result.scores[key] for key in expected} == expected
    assert result.bands["unseen"] == {
        "num_types": 5,
        "num_reference_words": by_band["unseen"].num_reference_words,
    }
    assert result.signature["bands"] == BANDS.bands.rule

    chosen = ["reply_diversity_2", "macro_f_unseen", "recall_head", "entropy_5", "copies"]
    assert score_replies(HYPOTHESES, REFERENCES, metrics=chosen, bands=BANDS).scores == {
        "reply_diversity_2": reply_diversity(HYPOTHESES, 2),
        "macro_f_unseen": by_band["unseen"].macro,
        "recall_head": by_band["head"].recall,
        "entropy_5": ngram_entropy(HYPOTHESES, 5),
        "copies": copied_replies(HYPOTHESES),
    }


def test_nothing_scores_zero() -> None:
    assert set(score_replies([], []).scores.values()) == {0}
    silent = score_replies(["", ""], ["a b", "c"]).scores
    assert silent.pop("copies") == 100  # the two are the same
    assert set(silent.values()) == {0}


def test_the_signature_names_n_where_it_chose_the_metrics() -> None:
    """A metric that was asked for has its own: four would be said of pairs of words."""
    assert score_replies(HYPOTHESES, REFERENCES, n=3).signature["n"] == 3
    assert "n" not in score_replies(HYPOTHESES, REFERENCES, metrics=["diversity_2"]).signature


def test_the_signature_has_the_number_of_references_where_there_are_several() -> None:
    assert "references" not in score_replies([], []).signature
    assert "references" not in score_replies(["a"], ["a"]).signature
    assert score_replies(["a"], ["a"], more_references=[["b"]]).signature["references"] == 2


def test_json_structure() -> None:
    document = json.loads(json.dumps(score_replies(["a b"], ["a c"]).to_dict(), allow_nan=False))
    assert list(document) == ["scores", "num_pairs", "num_types", "signature"]
    assert list(document["scores"])[:5] == ["macro_f", "micro_f", "parlai_f1", "diversity_4", "bleu"]
    assert list(document["scores"]) == list(document["signature"]["metrics"])
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
