"""ROUGE-L against torchmetrics; METEOR against numbers worked by hand, with a small WordNet of our own."""

from __future__ import annotations

import pickle
import random
from types import SimpleNamespace
from typing import Any

import nltk
import pytest
from torchmetrics.functional.text.rouge import rouge_score

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import MeteorStatistics, RougeLStatistics, meteor, rouge_l

GENERATOR = random.Random(0)
WORDS = ["i", "like", "Tea", "tea!", "and", "you", "?", "it's"]
REFERENCES = [" ".join(GENERATOR.choices(WORDS, k=GENERATOR.randrange(1, 10))) for _ in range(60)]
HYPOTHESES = [" ".join(reference.split()[1:] + GENERATOR.choices(WORDS, k=2)) for reference in REFERENCES]


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
    """nltk's own reader, which finds no data."""
    monkeypatch.setattr(nltk.data, "path", [])
    reader = nltk.corpus.util.LazyCorpusLoader("wordnet", nltk.corpus.reader.WordNetCorpusReader, None)
    monkeypatch.setattr(nltk.corpus, "wordnet", reader)


def test_rouge_l_agrees_with_torchmetrics() -> None:
    expected = rouge_score(HYPOTHESES, REFERENCES, rouge_keys="rougeL")["rougeL_fmeasure"].item()
    assert rouge_l(HYPOTHESES, REFERENCES) == pytest.approx(100 * expected, abs=1e-4)


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
def test_rouge_l_by_hand(hypotheses: Any, references: list[str], expected: float) -> None:
    assert rouge_l(hypotheses, references) == pytest.approx(expected)


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
def test_meteor_by_hand(hypothesis: str, reference: str, expected: float) -> None:
    assert meteor([hypothesis], [reference]) == pytest.approx(expected)
    assert meteor([hypothesis, "no"], [reference, "yes"]) == pytest.approx(expected / 2)


@pytest.mark.usefixtures("no_wordnet")
def test_meteor_without_its_data_says_so() -> None:
    with pytest.raises(
        UserError, match=r"needs the WordNet data of nltk.*nltk\.downloader wordnet"
    ) as raised:
        meteor(["a"], ["b"])
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("wordnet")
@pytest.mark.parametrize("kind", [RougeLStatistics, MeteorStatistics])
def test_shards_add_up_exactly(kind: type[Any]) -> None:
    shards = [kind().update(HYPOTHESES[part], REFERENCES[part]) for part in (slice(7, None), slice(0, 7))]
    merged = sum((pickle.loads(pickle.dumps(shard)) for shard in shards), kind())
    whole = kind().update(HYPOTHESES, REFERENCES)
    assert merged.compute() == whole.compute()
    assert 0 < whole.compute() < 100
    assert merged.num_pairs == len(REFERENCES)


@pytest.mark.parametrize("kind", [RougeLStatistics, MeteorStatistics])
def test_signatures_name_the_library_and_its_version(kind: type[Any]) -> None:
    name, number = kind().signature().rpartition("|")[2].split()
    assert name in ("rouge-score", "nltk")
    assert number[0].isdigit()
