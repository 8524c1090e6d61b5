"""Scores of characters, where a script has no spaces between words, and of several references."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import nltk
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from eureka_nlg.dialogue.training_statistics import read_training_statistics
from eureka_nlg.errors import UserError
from eureka_nlg.metrics import compare, f_scores, ngram_diversity, parlai_f1, score_replies
from eureka_nlg.units import split_characters

REFERENCES = ["我喜欢蜜蜂。", "今天天气很好、我们去划船吧。", "早上好", "iPhone 15 很贵"]
HYPOTHESES = ["我喜欢蜜蜂。", "今天天气不好、我们去划船吧。", "早上好啊", "我没有 iPhone 15"]
GENERATOR = random.Random(2)
WORDS = ["i", "like", "the", "tea", "Tea", ".", "cats", "a"]


def texts(number: int = 40) -> list[str]:
    return [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(1, 9))) for _ in range(number)]


REPLIES, *SETS = texts(), texts(), texts(), texts()


def score(hypotheses: Any, references: Any, metrics: list[str], **options: Any) -> dict[str, float]:
    return score_replies(hypotheses, references, metrics=metrics, **options).scores


def test_characters_are_what_is_compared() -> None:
    """As if the characters had been written with spaces between them."""
    spaced = [[" ".join(split_characters(text)) for text in side] for side in (HYPOTHESES, REFERENCES)]
    metrics = ["macro_f", "micro_f", "parlai_f1", "diversity_2", "ead_4", "entropy_1", "reply_diversity_1"]
    metrics += ["mean_length", "copies", "bleu"]
    found = score(HYPOTHESES, REFERENCES, metrics, unit="character")
    assert found == pytest.approx(score(*spaced, metrics))
    assert all(value > 0 for name, value in found.items() if name != "copies")
    # 我喜欢蜜蜂。 all of 6 + 6; 13 of 14 + 14; 3 of 4 + 3; iPhone, 15 of 5 + 4
    assert found["micro_f"] == pytest.approx(100 * 2 * (6 + 13 + 3 + 2) / (12 + 28 + 7 + 9))


def test_identical_text_scores_100() -> None:
    scores = score_replies(REFERENCES, REFERENCES, unit="character").scores
    for metric in ("macro_f", "micro_f", "parlai_f1", "bleu", "chrf", "rouge_l", "diversity_4"):
        assert scores[metric] == pytest.approx(100), metric


def test_rouge_l_of_characters_by_hand() -> None:
    # in order: 今天天气好我们去划船吧, 11 of 12 characters on either side; marks do not count
    assert score(HYPOTHESES[1:2], REFERENCES[1:2], ["rouge_l"], unit="character")["rouge_l"] == pytest.approx(
        100 * 11 / 12
    )


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "char", "zh"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_bleu_with_a_tokeniser_of_sacrebleu(tokenizer: Any, lowercase: bool) -> None:
    options = {"bleu_tokenize": tokenizer, "lowercase": lowercase}
    result = score_replies(HYPOTHESES, REFERENCES, metrics=["bleu"], **options)  # type: ignore[arg-type]
    expected = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], tokenize=tokenizer, lowercase=lowercase)
    assert result.scores["bleu"] == pytest.approx(expected.score, rel=1e-12)
    assert f"tok:{tokenizer}" in result.signature["sacrebleu"]


def test_a_tokeniser_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Please install the Japanese MeCab")

    monkeypatch.setattr(sacrebleu.metrics, "BLEU", missing)
    with pytest.raises(UserError, match=r"ja-mecab needs MeCab: pip install 'sacrebleu\[ja\]'"):
        score(["a"], ["a"], ["bleu"], bleu_tokenize="ja-mecab")


@pytest.mark.parametrize("option", ["unit", "bleu_tokenize"])
def test_unknown_units_and_tokenisers(option: str) -> None:
    with pytest.raises(UserError, match=f"{option} is 'words', expected one of: "):
        score(["a"], ["a"], ["bleu"], **{option: "words"})


def test_counts_and_vocabularies_have_the_same_units(tmp_path: Path) -> None:
    """A list of segmented words, beside texts whose characters are scored."""
    replies = ["我喜欢茶", "你好"]
    counts = tmp_path / "counts.txt"
    counts.write_text("喜欢 100\n我 60\n茶 30\n你好 5\n")
    training = read_training_statistics(None, counts, unit="character")
    found = score(replies, replies, ["macro_f", "bands"], bands=training.bands, unit="character")
    assert found["macro_f_head"] == found["micro_f_head"] == 100
    assert "macro_f_unseen" not in found  # all of them were seen
    words = {"types": "vocabulary", "vocabulary": ["喜欢", "我", "茶", "你好"]}
    assert score(replies, replies, ["macro_f"], unit="character", **words) == {"macro_f": 100}


def test_several_references_by_the_libraries() -> None:
    metrics = ["bleu", "chrf", "rouge_l", "parlai_f1"]
    result = score_replies(REPLIES, SETS[0], metrics=metrics, more_references=SETS[1:])
    found = result.scores
    assert found["bleu"] == pytest.approx(
        sacrebleu.corpus_bleu(REPLIES, SETS, tokenize="none", force=True).score, rel=1e-12
    )
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(REPLIES, SETS).score, rel=1e-12)
    rouge = RougeScorer(["rougeL"])
    best = [rouge.score_multi(wanted, text)["rougeL"].fmeasure for text, *wanted in zip(REPLIES, *SETS)]
    assert found["rouge_l"] == pytest.approx(100 * sum(best) / len(best))
    best = [max(parlai_f1([text], [one]) for one in wanted) for text, *wanted in zip(REPLIES, *SETS)]
    assert found["parlai_f1"] == pytest.approx(sum(best) / len(best))
    assert "nrefs:3" in result.signature["sacrebleu"]
    some = score_replies(REPLIES, SETS[0], metrics=metrics, more_references=[["", *SETS[1][1:]]])
    assert "nrefs:var" in some.signature["sacrebleu"]
    assert "nrefs:var" in some.signature["chrf"]
    assert result.signature["references"] == 3


def test_f_counts_the_reference_with_the_best_f1_of_words() -> None:
    replies, first, second = ["a b", "c", "x"], ["a", "d e", "y"], ["a b c", "c", "z"]
    # the first reply: 2 of 2 + 3 words (F1 4/5) rather than 1 of 2 + 1 (2/3); equals: the first reference
    expected = f_scores(replies, ["a b c", "c", "y"])
    found = score(replies, first, ["macro_f", "micro_f"], more_references=[second])
    assert found == {"macro_f": expected.macro, "micro_f": expected.micro}


def test_a_repeated_reference_changes_nothing_and_an_empty_line_is_none() -> None:
    metrics = ["macro_f", "micro_f", "parlai_f1", "bleu", "chrf", "rouge_l", "ead_2"]
    alone = score(REPLIES, SETS[0], metrics)
    assert score(REPLIES, SETS[0], metrics, more_references=[SETS[0]]) == alone
    assert score(REPLIES, SETS[0], metrics, more_references=[[""] * len(REPLIES)]) == alone


def test_several_references_are_compared_too() -> None:
    systems = {"one": REPLIES, "two": texts()}
    found = compare(systems, SETS[0], num_resamples=5, more_references=SETS[1:])
    for name, replies in systems.items():
        expected = score_replies(replies, SETS[0], more_references=SETS[1:]).scores
        assert {key: by_system[name].value for key, by_system in found.scores.items()} == expected
    assert found.signature["references"] == 3
    with pytest.raises(UserError, match="references 2: 1, expected 40"):
        compare(systems, SETS[0], more_references=[["a"]])


def test_unequal_sets_are_named() -> None:
    with pytest.raises(UserError, match="h: 2 replies, r2: 1 references"):
        score_replies(["a", "b"], ["a", "b"], more_references=[["a"]], names=("h", "r1", "r2"))


def test_diversity_of_token_sequences_is_as_given() -> None:
    assert ngram_diversity([split_characters(text) for text in ("好好", "好")], 1) == pytest.approx(100 / 3)


def test_meteor_of_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        @staticmethod
        def synsets(_: str) -> list[Any]:
            return []

    monkeypatch.setattr(nltk.corpus, "wordnet", Nothing)
    # 3 matches in a chunk, precision 3/4, recall 1
    found = score(["早上好啊"], ["早上好"], ["meteor"], unit="character")["meteor"]
    f = 0.75 / (0.9 * 0.75 + 0.1)
    assert found == pytest.approx(100 * f * (1 - 0.5 / 27))
