"""The unit for scoring replies of a corpus: words, or characters where no spaces separate words."""

from __future__ import annotations

from collections.abc import Mapping

from eureka_nlg.dialogue.exchanges import RESERVED
from eureka_nlg.units import unspaced_share

__all__ = ["CHARACTER", "WORD", "Blanks"]

WORD, CHARACTER = "word", "character"

_LEAST_UNSPACED = 0.3  # share of the characters that are of scripts without blanks
_LONGEST_UNSPACED, _LONGEST = (
    5.0,
    15.0,
)  # characters a word, on average: Chinese words have 1 to 4, English 4 to 5
_WORD_START = "\u2581"  # of a SentencePiece piece


class Blanks:
    """How a corpus uses spaces.

    Args:
        tokens: how often each token occurs.
        pieces: whether the tokens are pieces of words, as SentencePiece makes them.

    Attributes:
        characters_per_word: mean number of characters between two spaces.
        part_words: whether spaces separate words.
    """

    def __init__(self, tokens: Mapping[str, int], pieces: bool) -> None:
        words, characters, unspaced = 0, 0, 0.0
        for token, count in tokens.items():
            if token in RESERVED:
                continue
            text = token.replace(_WORD_START, "") if pieces else token
            words += count * (token.startswith(_WORD_START) if pieces else 1)
            characters += count * len(text)
            unspaced += count * len(text) * unspaced_share(text)
        self.characters_per_word = characters / max(words, 1)
        limit = _LONGEST_UNSPACED if unspaced > _LEAST_UNSPACED * characters else _LONGEST
        self.part_words = self.characters_per_word <= limit
