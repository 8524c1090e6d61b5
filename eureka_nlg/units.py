"""Words and characters as the units of text, for scripts with and without spaces between words."""

from __future__ import annotations

import re
import string
import unicodedata

__all__ = ["is_punctuation", "is_unspaced", "split_characters", "unspaced_share"]

# Scripts without spaces between words, by their blocks in Unicode, with their punctuation. Korean has spaces,
# so it is not included.
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff"  # Myanmar
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf"  # Tai Le, New Tai Lue, Tai Tham
    "\u2e80-\u312f"  # CJK radicals, punctuation, Hiragana, Katakana, Bopomofo
    "\u3190-\u4dbf\u4e00-\u9fff\ua000-\ua4cf"  # Han, Yi
    "\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f"  # compatibility and full- and half-width forms
    "\U00016fe0-\U00018fff\U0001b000-\U0001b16f\U00020000-\U0003ffff"  # Tangut, kana supplements, more Han
)
# Marks that belong to the preceding character: vowel signs, tones, voicing marks, variation selectors,
# joiners.
_MARKS = (
    "\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u0f18\u0f19\u0f35\u0f37\u0f39\u0f71-\u0f84\u0f86\u0f87\u0f8d-\u0fbc"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d"
    "\u17b4-\u17d3\u17dd\u1a55-\u1a7f\u302a-\u302f\u3099\u309a\u200d\ufe00-\ufe0f\uff9e\uff9f\U000e0100-\U000e01ef"
)
_UNIT = re.compile(rf"(?!\s)[{_UNSPACED}][{_MARKS}]*|[^\s{_UNSPACED}]+")
_CHARACTER = re.compile(rf"(?!\s)[{_UNSPACED}]")


def split_characters(text: str) -> list[str]:
    """Units of a text: each character of scripts without spaces, and the words of all other scripts.

    Vowel signs and other marks stay with their character. Splitting the units again, joined by spaces, gives
    the same units.

    >>> split_characters("我喜欢 iPhone 15。")
    ['我', '喜', '欢', 'iPhone', '15', '。']
    """
    return _UNIT.findall(text)


def is_punctuation(token: str) -> bool:
    """Whether a token is made of punctuation marks only, apart from SentencePiece's sign for a blank.

    >>> [token for token in ("?", "``", "▁.", "n't", "<unk>", "。") if is_punctuation(token)]
    ['?', '``', '▁.', '。']
    """
    marks = token.replace("\u2581", "")
    return marks != "" and all(
        mark in string.punctuation or unicodedata.category(mark).startswith("P") for mark in marks
    )


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script without spaces between words, and is not white space."""
    return _CHARACTER.match(character) is not None


def unspaced_share(text: str) -> float:
    """Share of characters of scripts without spaces among all characters but white space, from 0 to 1.

    >>> unspaced_share("你好 ok")
    0.5
    """
    characters = sum(map(len, text.split()))
    return len(_CHARACTER.findall(text)) / characters if characters else 0.0
