"""Text to tokens and back: white space, NLTK's words, characters, or a trained SentencePiece model."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eureka_nlg.dialogue.exchanges import PARTNER, PERSONA, RESERVED, SELF, SILENCE
from eureka_nlg.errors import UserError, require
from eureka_nlg.units import split_characters

__all__ = [
    "TOKENIZERS",
    "Tokenizer",
    "WordTokenizer",
    "SentencePieceTokenizer",
    "character_tokenizer",
    "is_tokenized",
    "nltk_detokenizer",
    "nltk_tokenizer",
    "normalize",
    "train_sentencepiece",
]

TOKENIZERS = ("whitespace", "nltk", "char", "sentencepiece")
UNKNOWN = "<unk>"
# a comma or a full stop of its own, as only tokenised text has it
_LOOSE_MARK = re.compile(r"\w [,.?!](?: |$)")
_BEFORE_JOINING = (
    (re.compile(r"(?<=\w) \u2019 (?=(?:s|t|m|d|ll|re|ve)\b)", re.IGNORECASE), "\u2019"),  # don ' t
    (re.compile(r" +(\.\.\.|\u2026)(?= |$)"), r"\1"),
    (re.compile(r'(?<!\S)" ([^"]*) "(?!\S)'), r'"\1"'),
)
_SPACE = "\u2581"  # how SentencePiece writes the blank before a word
_MAX_TRAINING_SENTENCES = 1_000_000
_LONGEST_SENTENCE = 4192  # bytes; the trainer drops what is longer
_RESERVED_BY_TRAINER = "\u2585"  # it drops a sentence that has one
# Floating-point sums depend on it: part of the definition of the model, no matter how many cores there are.
_TRAINER_THREADS = 4


class Tokenizer(Protocol):
    """Turns normalised text into tokens, and tokens into text."""

    def tokenize(self, text: str) -> list[str]:
        """Tokens of one utterance or persona sentence."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Readable text of tokens, which may include marks of speakers."""


def normalize(text: str, lowercase: bool) -> str:
    """Text before tokenisation: each run of white space becomes one space, and text is lower-cased if wanted.

    >>> normalize("Hello  THERE", lowercase=True)
    'hello there'
    """
    return " ".join((text.lower() if lowercase else text).split())


def _without_reserved(tokens: Sequence[str]) -> list[str]:
    """Replace words that are spelt like a reserved token, such as ``</s>``, by ``<unk>``."""
    return [UNKNOWN if token in RESERVED else token for token in tokens]


@dataclass(frozen=True)
class WordTokenizer:
    """Tokens are the words that ``split`` finds."""

    split: Callable[[str], list[str]] = str.split

    def tokenize(self, text: str) -> list[str]:
        return _without_reserved(self.split(text))

    def detokenize(self, tokens: Sequence[str]) -> str:
        return " ".join(tokens)


def nltk_tokenizer() -> WordTokenizer:
    """NLTK's Penn Treebank style tokenizer, the one that needs no downloaded data."""
    return WordTokenizer(require("nltk.tokenize.destructive", extra="data").NLTKWordTokenizer().tokenize)


def is_tokenized(text: str) -> bool:
    """Whether punctuation stands by itself in a text.

    >>> is_tokenized("Say , Jim"), is_tokenized("Say, Jim")
    (True, False)
    """
    return _LOOSE_MARK.search(text) is not None


def nltk_detokenizer() -> Callable[[str], str]:
    """What undoes :func:`nltk_tokenizer` as far as that is possible, line by line; see NLTK's Treebank rules.

    Typographic apostrophes, dots and pairs of straight quotes are joined, too, which NLTK leaves alone.
    """
    join = require("nltk.tokenize.treebank", extra="data").TreebankWordDetokenizer().detokenize

    def of_line(line: str) -> str:
        for pattern, joined in _BEFORE_JOINING:
            line = pattern.sub(joined, line)
        return str(join(line.split()))

    return lambda text: "\n".join(map(of_line, text.split("\n")))


def character_tokenizer() -> WordTokenizer:
    """Splits scripts without spaces (Chinese, Japanese, Thai, ...) into characters, and others into words."""
    return WordTokenizer(split_characters)


class SentencePieceTokenizer:
    """Tokens are the pieces of a SentencePiece model."""

    def __init__(self, model: Path) -> None:
        """
        Args:
            model: the file that ``train_sentencepiece`` wrote.
        """
        self._processor: Any = require("sentencepiece", extra="data").SentencePieceProcessor(
            model_file=str(model)
        )

    def tokenize(self, text: str) -> list[str]:
        return _without_reserved(self._processor.encode(text, out_type=str))

    def detokenize(self, tokens: Sequence[str]) -> str:
        text = "".join(f" {token} " if token in RESERVED else token for token in tokens)
        return " ".join(text.replace(_SPACE, " ").split())


def train_sentencepiece(sentences: Path, count: int, vocab_size: int, model: Path) -> int:
    """Train a unigram model and write it; the same sentences give the same bytes.

    Every character of the text gets a piece. A sentence that is too long for the trainer is passed on in
    parts, cut between words where possible.

    Args:
        sentences: text file with a sentence per line.
        count: its number of lines. If there are more than a million, equally spaced ones are used, because
            the trainer keeps them in memory.
        vocab_size: number of pieces.
        model: the file to write.

    Returns:
        Number of the sentences that were used.

    Raises:
        UserError: the vocabulary is too large or too small for the text, in the trainer's own words.
    """
    trainer = require("sentencepiece", extra="data").SentencePieceTrainer
    step = -(-count // _MAX_TRAINING_SENTENCES) or 1
    left_out = _characters_left_out(sentences, step) if step > 1 else ""
    written = io.BytesIO()  # handed over so that no path gets into the model
    try:
        trainer.train(
            sentence_iterator=_training_sentences(sentences, step),
            model_writer=written,
            vocab_size=vocab_size,
            user_defined_symbols=[PERSONA, PARTNER, SELF, SILENCE],
            normalization_rule_name="identity",  # replies decoded must compare with the references
            character_coverage=1.0,
            num_threads=_TRAINER_THREADS,
            minloglevel=2,
            **({"required_chars": left_out} if left_out else {}),  # the model records it, empty or not
        )
    except RuntimeError as error:
        message = str(error).strip().splitlines()[0]
        reason = re.sub(r"^.*\] *", "", message) or message
        raise UserError(f"--vocab-size {vocab_size}: does not fit the corpus: {reason}") from error
    model.write_bytes(written.getvalue())
    return -(-count // step)


def _lines(path: Path, step: int = 1) -> Iterator[str]:
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file):
            if number % step == 0:
                yield line.rstrip("\n")


def _training_sentences(path: Path, step: int) -> Iterator[str]:
    for line in _lines(path, step):
        line = line.replace(_RESERVED_BY_TRAINER, " ")
        while len(line.encode()) > _LONGEST_SENTENCE:
            part = line.encode()[:_LONGEST_SENTENCE].decode(errors="ignore")
            part = part[: part.rfind(" ") + 1] or part
            yield part.rstrip()
            line = line[len(part) :]
        yield line


def _characters_left_out(path: Path, step: int) -> str:
    """The characters that occur in the text and not in the sentences that are used."""
    every, used = set[str](), set[str]()
    for number, line in enumerate(_lines(path)):
        every.update(line)
        if number % step == 0:
            used.update(line)
    return "".join(sorted(every - used - {_RESERVED_BY_TRAINER}))
