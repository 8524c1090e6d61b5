"""Split texts into words separated by spaces, so that models with different tokens can be scored together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from eureka_nlg.dialogue.exchanges import PARTNER, PERSONA, SELF, SILENCE
from eureka_nlg.dialogue.tokenizers import nltk_tokenizer, normalize
from eureka_nlg.runs.base import Decoded

__all__ = ["in_form", "nltk_words"]

_PARTS = re.compile(f"({PERSONA}|{PARTNER}|{SELF}|{SILENCE})")


def nltk_words(text: str) -> str:
    """Split a text into words and punctuation with NLTK; the case stays.

    >>> nltk_words("Well, it's late.")
    "Well , it 's late ."
    """
    return " ".join(nltk_tokenizer().tokenize(normalize(text, lowercase=False)))


def in_form(decoded: Decoded, form: Callable[[str], str]) -> Decoded:
    """Apply ``form`` to all texts; the marks of speakers stay."""

    def texts(lines: Iterable[str]) -> list[str]:
        return [form(line) for line in lines]

    contexts = []
    for context in decoded.contexts:
        parts = (part if _PARTS.fullmatch(part) else form(part) for part in _PARTS.split(context))
        contexts.append(" ".join(part for part in parts if part))
    references = None if decoded.references is None else texts(decoded.references)
    return Decoded(contexts, references, texts(decoded.replies))
