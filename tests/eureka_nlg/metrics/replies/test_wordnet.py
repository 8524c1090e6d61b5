"""WordNet's own files, with a small database of our own in their format."""

from __future__ import annotations

from pathlib import Path

import nltk
import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import meteor
from eureka_nlg.metrics.replies.wordnet import WordNet, find_wordnet

LICENCE = "  1 a licence stands here, indented\n"
SYNSETS = {
    "noun": [("cat", "tom", "true_cat"), ("ox",)],
    "verb": [("sit", "rest"), ("go",), tuple(f"act{number}" for number in range(17))],
    "adj": [("big", "large(p)")],
    "adv": [],
}
EXCEPTIONS = {"noun": "oxen ox\n", "verb": "sat sit\nwent go\n", "adj": "", "adv": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database in WordNet's format: offsets of lines in ``data``, lemmas with offsets in ``index``."""
    for pos, synsets in SYNSETS.items():
        data, index = LICENCE, LICENCE
        for words in synsets:
            offset = len(data)
            listed = " ".join(f"{word} 0" for word in words)
            data += f"{offset:08d} 05 {pos[0]} {len(words):02x} {listed} 000 | what it is\n"
            for word in words:
                index += f"{word.partition('(')[0]} {pos[0]} 1 1 @ 1 0 {offset:08d}\n"
        (tmp_path / f"data.{pos}").write_text(data)
        (tmp_path / f"index.{pos}").write_text(index)
        (tmp_path / f"{pos}.exc").write_text(EXCEPTIONS[pos])
    return tmp_path


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cat", [{"cat", "tom", "true_cat"}]),
        ("Cats", [{"cat", "tom", "true_cat"}]),
        ("oxen", [{"ox"}]),  # an exception
        ("sat", [{"sit", "rest"}]),
        ("rests", [{"sit", "rest"}]),
        ("larger", [{"big", "large"}]),
        ("act16", [{f"act{number}" for number in range(17)}]),  # their number is hexadecimal
        ("dog", []),
    ],
)
def test_synonyms_of_a_word_or_its_base_form(folder: Path, word: str, expected: list[set[str]]) -> None:
    found = WordNet(folder).synsets(word)
    assert [{lemma.name() for lemma in synset.lemmas()} for synset in found] == expected


def test_meteor_takes_it_where_nltk_has_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    reader = nltk.corpus.util.LazyCorpusLoader("wordnet", nltk.corpus.reader.WordNetCorpusReader, None)
    monkeypatch.setattr(nltk.corpus, "wordnet", reader)
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    assert meteor(["the tom rests"], ["the cat rests"]) == pytest.approx(100 * (1 - 0.5 / 27))
    monkeypatch.setenv("WNSEARCHDIR", str(folder / "nowhere"))
    if find_wordnet() is None:  # Debian's is not installed here
        with pytest.raises(UserError, match="wordnet-base"):
            meteor(["a"], ["b"])
