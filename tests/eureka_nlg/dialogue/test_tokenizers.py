"""Tokenizers: what they promise about text, and the SentencePiece model's bytes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from eureka_nlg.dialogue import tokenizers
from eureka_nlg.dialogue.tokenizers import (
    SentencePieceTokenizer,
    WordTokenizer,
    nltk_tokenizer,
    normalize,
    train_sentencepiece,
)
from eureka_nlg.dialogue.unit import Blanks
from eureka_nlg.errors import UserError


def test_words() -> None:
    tokenizer = WordTokenizer()
    assert tokenizer.tokenize(normalize(" Hi\tthere , YOU\u3000", lowercase=True)) == [
        "hi",
        "there",
        ",",
        "you",
    ]
    assert normalize("Hi  There", lowercase=False) == "Hi There"


@pytest.mark.parametrize("word", ["</s>", "<pad>", "<persona>", "__silence__"])
def test_a_word_cannot_pass_for_a_reserved_token(word: str) -> None:
    assert WordTokenizer().tokenize(f"a {word} b") == ["a", "<unk>", "b"]


def test_nltk_splits_punctuation_and_clitics() -> None:
    pytest.importorskip("nltk")
    assert nltk_tokenizer().tokenize("i can't, really.") == ["i", "ca", "n't", ",", "really", "."]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentencepiece")
    pick = random.Random(1)
    words = ["".join(pick.choices("abcdefgh\u00e9", k=pick.randint(1, 7))) for _ in range(400)]
    path = tmp_path_factory.mktemp("text") / "sentences"
    path.write_text("".join(" ".join(pick.choices(words, k=8)) + "\n" for _ in range(1000)), encoding="utf-8")
    return path


def test_sentencepiece_gives_the_text_back(sentences: Path, tmp_path: Path) -> None:
    train_sentencepiece(sentences, 1000, 200, tmp_path / "m")
    tokenizer = SentencePieceTokenizer(tmp_path / "m")
    number_of_pieces = 0
    for line in sentences.read_text(encoding="utf-8").splitlines()[:50]:
        pieces = tokenizer.tokenize(line)
        number_of_pieces += len(pieces)
        assert tokenizer.detokenize(pieces) == line
        # what fairseq-generate --remove-bpe sentencepiece does
        assert " ".join(pieces).replace(" ", "").replace("\u2581", " ").strip() == line
    assert number_of_pieces > 50 * 8  # some words are cut
    assert tokenizer.detokenize(
        ["<persona>", *tokenizer.tokenize("ab"), "<self>", *tokenizer.tokenize("c")]
    ) == ("<persona> ab <self> c")


def test_sentencepiece_marks_are_pieces(sentences: Path, tmp_path: Path) -> None:
    spm = pytest.importorskip("sentencepiece")
    train_sentencepiece(sentences, 1000, 200, tmp_path / "m")
    processor = spm.SentencePieceProcessor(model_file=str(tmp_path / "m"))
    assert processor.get_piece_size() == 200
    assert "<partner>" in processor.encode("ab <partner> cd", out_type=str)


def test_sentencepiece_model_does_not_know_where_it_was_made(sentences: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / "copy"
    copy.write_bytes(sentences.read_bytes())
    train_sentencepiece(sentences, 1000, 150, tmp_path / "a")
    train_sentencepiece(copy, 1000, 150, elsewhere / "b")
    assert (tmp_path / "a").read_bytes() == (elsewhere / "b").read_bytes()


def test_sentencepiece_of_many_sentences_takes_spaced_ones(
    sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = tmp_path / "third"
    third.write_text(
        "".join(sentences.read_text(encoding="utf-8").splitlines(keepends=True)[::3]), encoding="utf-8"
    )
    train_sentencepiece(third, 334, 150, tmp_path / "a")
    monkeypatch.setattr(tokenizers, "_MAX_TRAINING_SENTENCES", 400)
    train_sentencepiece(sentences, 1000, 150, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_character_has_a_piece_though_its_sentence_is_not_used(
    sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "_MAX_TRAINING_SENTENCES", 400)
    lines = sentences.read_text(encoding="utf-8").splitlines()
    lines[1] += " \u4e2d\u6587"  # of every three the first is used
    text = tmp_path / "text"
    text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert train_sentencepiece(text, 1000, 150, tmp_path / "m") == 334
    pieces = SentencePieceTokenizer(tmp_path / "m").tokenize("\u4e2d a \u6587")
    processor = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_file=str(tmp_path / "m"))
    assert processor.unk_id() not in map(processor.piece_to_id, pieces)


@pytest.mark.parametrize("separator", [" ", ""])
def test_long_sentences_are_trained_on(tmp_path: Path, separator: str) -> None:
    """The trainer drops what is longer than 4,192 bytes, and a sentence with one of its own marks."""
    spm = pytest.importorskip("sentencepiece")
    pick = random.Random(2)
    words = ["".join(pick.choices("\u4e2d\u6587\u5b57\u7b26", k=2)) for _ in range(40)]
    lines = [separator.join(pick.choices(words, k=1500)) for _ in range(4)] + ["short \u2585 reserved"]
    text = tmp_path / "text"
    text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert train_sentencepiece(text, 5, 28, tmp_path / "m") == 5
    processor = spm.SentencePieceProcessor(model_file=str(tmp_path / "m"))
    for line in [*lines[:4], "short reserved"]:
        ids = processor.encode(line)
        assert processor.unk_id() not in ids
        assert processor.decode(ids) == line


def test_sentences_of_the_usual_length_are_handed_over_as_they_are(sentences: Path) -> None:
    lines = sentences.read_text(encoding="utf-8").splitlines()
    assert list(tokenizers._training_sentences(sentences, 1)) == lines
    assert list(tokenizers._training_sentences(sentences, 7)) == lines[::7]


@pytest.mark.parametrize("text", ["\u4e2d" * 5000, "word " * 3000 + "end", "a" * 4192, " " + "b" * 9000])
def test_parts_of_a_long_sentence_are_the_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "text").write_text(text, encoding="utf-8")
    parts = list(tokenizers._training_sentences(tmp_path / "text", 1))
    assert all(len(part.encode()) <= 4192 for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    if "word" in text:
        assert {word for part in parts for word in part.split()} == {"word", "end"}


@pytest.mark.parametrize(
    ("tokens", "pieces", "part_words"),
    [
        (["hello", "there", "<persona>"], False, True),
        (["\u4eca\u5929\u5929\u6c14\u5f88\u597d"], False, False),
        (["\u4eca\u5929", "\u5929\u6c14"], False, True),  # parted into words beforehand
        (["\u4eca", "\u5929"], False, True),
        (["\u2581\u4eca", "\u5929", "\u5929\u6c14", "\u5f88\u597d"], True, False),
        (["\u2581hel", "lo", "\u2581there"], True, True),
        (["x" * 40], False, False),
    ],
)
def test_whether_blanks_part_words(tokens: list[str], pieces: bool, part_words: bool) -> None:
    assert Blanks(Counter(tokens), pieces).part_words is part_words


@pytest.mark.parametrize("size", [5, 100_000])
def test_sentencepiece_size_that_does_not_fit(sentences: Path, tmp_path: Path, size: int) -> None:
    with pytest.raises(UserError, match=f"--vocab-size {size}: does not fit the corpus: Vocab"):
        train_sentencepiece(sentences, 1000, size, tmp_path / "m")
    assert not (tmp_path / "m").exists()
