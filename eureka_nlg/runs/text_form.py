"""Texts as words with blanks between them, so that models with other tokens can be scored side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from eureka_nlg.dialogue.exchanges import PARTNER, PERSONA, SELF, SILENCE
from eureka_nlg.dialogue.tokenizers import nltk_tokenizer, normalize
from eureka_nlg.runs.base import Decoded

__all__ = ["in_form", "nltk_words"]

_PARTS = re.compile(f"({PERSONA}|{PARTNER}|{SELF}|{SILENCE})")


def nltk_words(text: str) -> str:
    """Words and punctuation, by NLTK; the case stays.

    >>> nltk_words("Well, it's late.")
    "Well , it 's late ."
    """
    return " ".join(nltk_tokenizer().tokenize(normalize(text, lowercase=False)))


def in_form(decoded: Decoded, form: Callable[[str], str]) -> Decoded:
    """All texts in a form; the marks of speakers stay."""

    def texts(lines: Iterable[str]) -> list[str]:
        return [form(line) for line in lines]

    contexts = []
    for context in decoded.contexts:
        parts = (part if _PARTS.fullmatch(part) else form(part) for part in _PARTS.split(context))
        contexts.append(" ".join(part for part in parts if part))
    references = None if decoded.references is None else texts(decoded.references)
    return Decoded(contexts, references, texts(decoded.replies))
