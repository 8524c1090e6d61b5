"""Warnings about texts whose scores can be computed but are meaningless."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.units import is_unspaced

__all__ = ["UNSPACED", "Advice", "are_unspaced"]

UNSPACED = 0.3
"""Least share of characters of scripts without spaces for which a warning is given."""

_LONGEST_WORD, _LONGEST_HAN = 6.0, 2.5  # mean length of words that spaces separate, in Thai, and in Chinese
_ENOUGH = 1000  # number of pairs that are examined
_ENOUGH_LETTERS = 100  # least number of letters on a side for a warning about its case
_MANY = 20  # least number of replies for a warning that they are all the same
_MARK = re.compile(r"[.,!?](?=\s|$)")


class _Side:
    """How the texts of one side are written: their characters, and where punctuation stands."""

    def __init__(self) -> None:
        self.attached = self.detached = 0
        self.words = self.signs = 0  # words with characters of scripts without spaces
        self.characters = Counter[str]()

    def update(self, texts: Sequence[str]) -> None:
        joined = "\n".join(texts)
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        numbers = np.bincount(codes)
        self.characters.update({chr(code): int(numbers[code]) for code in np.flatnonzero(numbers).tolist()})
        if any(map(is_unspaced, map(chr, np.flatnonzero(numbers).tolist()))):
            words = [word for word in joined.split() if any(map(is_unspaced, word))]
            self.words += len(words)
            self.signs += sum(map(len, words))
        for mark in _MARK.finditer(joined):
            before = joined[max(mark.start() - 1, 0) : mark.start()]
            if not before or before.isspace():
                self.detached += 1
            elif before.isalnum() or before == "_":
                self.attached += 1

    def count(self, belongs: Callable[[str], bool]) -> int:
        """The number of characters for which ``belongs`` is true."""
        return sum(number for character, number in self.characters.items() if belongs(character))

    @property
    def letters(self) -> int:
        """Letters of any script."""
        return self.count(str.isalpha)

    @property
    def capital_share(self) -> float:
        """Share of capitals among the letters."""
        return self.count(str.isupper) / (self.letters or 1)

    @property
    def unspaced_share(self) -> float:
        """Share of characters of scripts without spaces among all characters but white space."""
        return self.count(is_unspaced) / (self.count(lambda character: not character.isspace()) or 1)

    @property
    def is_unspaced(self) -> bool:
        """Whether no spaces separate the words of the text, as in Chinese that is not segmented."""
        if self.unspaced_share < UNSPACED:
            return False
        han = self.count(lambda character: "\u3400" <= character <= "\u9fff")
        limit = _LONGEST_HAN if han > self.count(is_unspaced) / 2 else _LONGEST_WORD
        return self.signs > limit * self.words

    @property
    def tokenised(self) -> bool | None:
        """Whether punctuation is separated by spaces, as tokenisers do; None if it cannot be decided."""
        marks = self.attached + self.detached
        if marks < 2 or 0.1 < self.detached / marks < 0.9:
            return None
        return self.detached > self.attached


class Advice:
    """Examines the first pairs of each system, and warns about what makes their scores meaningless.

    Args:
        unit: unit of the scores, ``"word"`` or ``"character"``.
        lowercase: whether texts are converted to lower case before scoring.
        num_systems: number of systems.
    """

    def __init__(self, unit: str, lowercase: bool, num_systems: int = 1) -> None:
        self._unit, self._lowercase = unit, lowercase
        self._replies = [_Side() for _ in range(num_systems)]
        self._references = _Side()
        self._texts = [Counter[str]() for _ in range(num_systems)]
        self._num_pairs = 0

    def update(self, pairs: Pairs) -> None:
        """Examine pairs, as far as fewer than 1,000 have been examined."""
        missing = _ENOUGH - self._num_pairs
        self._num_pairs += len(pairs)
        if missing <= 0:
            return
        systems, references = pairs.raw_texts(missing)
        for side, counts, texts in zip(self._replies, self._texts, systems):
            side.update(texts)
            counts.update(texts)
        for texts in references[:1]:
            self._references.update(texts)

    def of(self, system: int = 0) -> list[str]:
        """Warnings about the texts of a system, a sentence each."""
        return [
            sentence
            for sentence in (
                self._unspaced(),
                self._tokenised(self._replies[system]),
                self._case(self._replies[system]),
                self._same_text(self._texts[system]),
            )
            if sentence
        ]

    def _unspaced(self) -> str | None:
        if self._unit != "word" or not self._references.is_unspaced:
            return None
        return (
            f"{100 * self._references.unspaced_share:.0f} % of the references is written without spaces, so "
            "that a word is a whole sentence and scores of words say nothing: score characters (--unit "
            "character; for BLEU of Chinese or Japanese as it is usually reported, --bleu-tokenize zh or "
            "ja-mecab)"
        )

    def _tokenised(self, replies: _Side) -> str | None:
        if None in (replies.tokenised, self._references.tokenised):
            return None
        if replies.tokenised == self._references.tokenised:
            return None
        first, second = ("tokenised", "raw") if replies.tokenised else ("raw", "tokenised")
        return (
            f"the replies look {first} and the references {second} (marks such as . and ? stand alone "
            "on one side only), so that words next to a mark cannot match: write both sides the same way"
        )

    def _case(self, replies: _Side) -> str | None:
        shares = [side.capital_share for side in (replies, self._references)]
        if self._lowercase or min(replies.letters, self._references.letters) < _ENOUGH_LETTERS:
            return None
        if min(shares) > 0 or max(shares) < 0.01:
            return None
        side = "references" if shares[0] < shares[1] else "replies"
        return f"capital letters occur in the {side} only: lower the case of both (--lowercase)"

    def _same_text(self, texts: Counter[str]) -> str | None:
        number = sum(texts.values())
        if number < _MANY:
            return None
        ((text, count),) = texts.most_common(1)
        if 2 * count < number:
            return None
        which = f"first {number:,} replies" if number < self._num_pairs else "replies"
        text = " ".join(text.split())
        said = f'the same text, "{text if len(text) <= 60 else text[:57] + "..."}"' if text else "empty"
        return (
            f"{100 * count / number:.0f} % of the {which} are {said}: the scores are those of that reply, "
            "which intervals and p-values cannot show"
        )


def are_unspaced(texts: Sequence[str]) -> bool:
    """Whether texts are written without spaces between words, so that only their characters can be scored."""
    side = _Side()
    side.update(texts[:_ENOUGH])
    return side.is_unspaced
