"""METEOR against numbers worked by hand, with a small WordNet of our own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import nltk
import pytest
from metric_cases import check_metric

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import meteor, score_replies
from eureka_nlg.metrics.replies import meteor as meteor_file


class SmallWordNet:
    """Knows that a cat is a tom, and nothing else."""

    @staticmethod
    def synsets(word: str) -> list[Any]:
        if word not in ("cat", "tom"):
            return []
        lemmas = [SimpleNamespace(name=lambda name=name: name) for name in ("cat", "tom", "true_cat")]
        return [SimpleNamespace(lemmas=lambda: lemmas)]


@pytest.fixture
def wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.corpus, "wordnet", SmallWordNet)


@pytest.fixture
def no_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """nltk's own reader, which finds no data, and no other database."""
    monkeypatch.setattr(meteor_file, "find_wordnet", lambda: None)
    monkeypatch.setattr(nltk.data, "path", [])
    reader = nltk.corpus.util.LazyCorpusLoader("wordnet", nltk.corpus.reader.WordNetCorpusReader, None)
    monkeypatch.setattr(nltk.corpus, "wordnet", reader)


@pytest.mark.usefixtures("wordnet")
def test_what_all_metrics_do() -> None:
    def by_nltk(hypotheses: list[str], references: list[str]) -> float:
        score = nltk.translate.meteor_score.single_meteor_score
        pairs = zip(references, hypotheses)
        return (
            100 * sum(score(r.split(), h.split(), wordnet=SmallWordNet) for r, h in pairs) / len(hypotheses)
        )

    check_metric("meteor", by_nltk)


@pytest.mark.usefixtures("wordnet")
@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        # 3 matches in one chunk: F 1, penalty 0.5 * (1/3) ** 3
        ("The cat sat", "the cat sat", 100 * (1 - 0.5 / 27)),
        ("the tom sat", "the cat sat", 100 * (1 - 0.5 / 27)),  # a synonym (nltk looks up stems)
        ("the cats sat", "the cat sat", 100 * (1 - 0.5 / 27)),  # a stem
        # 2 matches in 2 chunks, precision 2/3, recall 2/3: F 2/3, penalty 0.5
        ("sat quick the", "the cat sat", 100 * 2 / 3 * 0.5),
        # 1 match, precision 1, recall 1/3: F = (1/3) / (0.9 + 0.1 / 3), penalty 0.5
        ("the", "the cat sat", 100 * (1 / 3) / (0.9 + 0.1 / 3) * 0.5),
        ("no", "the cat sat", 0),
        ("", "the cat sat", 0),
    ],
)
def test_by_hand(hypothesis: str, reference: str, expected: float) -> None:
    assert meteor([hypothesis], [reference]) == pytest.approx(expected)
    assert meteor([hypothesis, "no"], [reference, "yes"]) == pytest.approx(expected / 2)


@pytest.mark.usefixtures("no_wordnet")
def test_without_its_data_says_so_and_does_not_fail_the_rest() -> None:
    with pytest.raises(
        UserError, match=r"needs the data of WordNet.*nltk\.downloader wordnet.*wordnet-base"
    ) as raised:
        meteor(["a"], ["b"])
    assert "\n" not in str(raised.value)
    result = score_replies(["a b"], ["a c"], metrics=["meteor", "micro_f"])
    assert result.scores == {"micro_f": 50}
    assert "nltk.downloader" in result.to_dict()["unavailable"]["meteor"]
    assert list(result.signature["metrics"]) == ["meteor", "micro_f"]


@pytest.mark.usefixtures("wordnet")
def test_signature_names_the_library_and_its_version() -> None:
    signature = score_replies(["a"], ["a"], metrics=["meteor"]).signature["meteor"]
    assert signature.endswith(f"nltk {nltk.__version__}")
    assert signature.startswith("mean, white space tokens in lower case")
    by_character = score_replies(["a"], ["a"], metrics=["meteor"], unit="character").signature["meteor"]
    assert by_character.startswith("mean, characters in lower case")


@pytest.mark.usefixtures("wordnet")
def test_the_best_of_several_references() -> None:
    replies, wrong, right = ["a b c d"], ["x y z"], ["a b c e"]
    expected = score_replies(replies, right, metrics=["meteor"]).scores["meteor"]
    for first, second in ((right, wrong), (wrong, right)):
        found = score_replies(replies, first, metrics=["meteor"], more_references=[second])
        assert found.scores["meteor"] == expected > 50
