"""The replies of all systems and their references as ids that the systems share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text.lines import Reply, as_text, check_sequence
from eureka_nlg.metrics.text.tokens import Tokeniser, Tokens

__all__ = ["Pairs", "longer"]


class Pairs:
    """Replies of K systems to the same N contexts, with a reference each.

    Args:
        systems: name -> N replies, strings (split on white space) or token sequences.
        references: N references in the same order.
        lowercase: lower the case of both first.

    Attributes:
        names: of the systems.
        lowercase: whether the case was lowered.
        texts, reference_texts: the replies as strings.
        words: the ids of words.
        tokens: of each system, then of the references.

    Raises:
        UserError: no system, another number of replies than of references, or fewer than two pairs.
    """

    def __init__(
        self, systems: Mapping[str, Sequence[Reply]], references: Sequence[Reply], lowercase: bool = False
    ) -> None:
        if not systems:
            raise UserError("there is no system to compare: give the replies of one or more")
        check_sequence("references", references)
        for name, replies in systems.items():
            check_sequence(name, replies)
            if len(replies) != len(references):
                raise UserError(
                    f"{name}: {len(replies)} replies for {len(references)} references: "
                    "expected one reply per reference, in the same order"
                )
        if len(references) < 2:
            raise UserError(f"there are {len(references)} pairs, expected 2 or more: one cannot be resampled")
        self.names = tuple(systems)
        self.lowercase = lowercase
        tokenise = Tokeniser(lowercase)
        self.words = tokenise.words
        self.tokens = [tokenise(replies) for replies in (*systems.values(), references)]
        *self.texts, self.reference_texts = (
            [as_text(reply).lower() if lowercase else as_text(reply) for reply in replies]
            for replies in (*systems.values(), references)
        )
        self._ngrams = {1: self.tokens}

    def __len__(self) -> int:
        return len(self.reference_texts)

    @property
    def hypotheses(self) -> list[Tokens]:
        """Words of the replies of each system."""
        return self.tokens[:-1]

    @property
    def references(self) -> Tokens:
        """Words of the references."""
        return self.tokens[-1]

    def add_words(self, words: Iterable[str]) -> NDArray[np.bool_]:
        """Give ids to words that may occur nowhere; return which of all words they are, [number of words]."""
        ids = self.words.encode(word.lower() if self.lowercase else word for word in words)
        added = np.zeros(len(self.words), dtype=np.bool_)
        added[ids] = True
        return added

    def ngrams(self, n: int) -> list[Tokens]:
        """N-grams in place of words, of each system, then of the references; all share their ids."""
        for size in range(2, n + 1):
            if size not in self._ngrams:
                self._ngrams[size] = longer(self._ngrams[size - 1], self.tokens, size)
        return self._ngrams[n]

    def whole_replies(self) -> list[Tokens]:
        """Each reply of each system as one id: the same for the same words."""
        ids: dict[bytes, int] = {}
        ones = np.ones(len(self), dtype=np.int64)
        return [
            Tokens(
                np.array(
                    [ids.setdefault(words.tobytes(), len(ids)) for words in _split(tokens)], dtype=np.int32
                ),
                ones,
            )
            for tokens in self.hypotheses
        ]


def longer(shorter: Sequence[Tokens], words: Sequence[Tokens], n: int) -> list[Tokens]:
    """Ids of n-grams from those of (n-1)-grams and of words: equal ids for equal n-grams, in all texts.

    Args:
        shorter: (n-1)-grams of some texts.
        words: words of the same texts.
        n: at least 2.
    """
    lengths = [np.maximum(tokens.lengths - n + 1, 0) for tokens in words]
    starts = [
        tokens.ids[_positions(tokens) < np.repeat(tokens.lengths - 1, tokens.lengths)] for tokens in shorter
    ]
    ends = [tokens.ids[_positions(tokens) >= n - 1] for tokens in words]
    base = 1 + max((int(tokens.ids.max(initial=0)) for tokens in words), default=0)
    keys = np.concatenate([start.astype(np.int64) * base + end for start, end in zip(starts, ends)])
    ids = np.unique(keys, return_inverse=True)[1].astype(np.int32)
    sizes = np.cumsum([len(start) for start in starts])[:-1]
    return [Tokens(part, length) for part, length in zip(np.split(ids, sizes), lengths)]


def _split(tokens: Tokens) -> list[NDArray[np.int32]]:
    """The ids of each reply."""
    return np.split(tokens.ids, np.cumsum(tokens.lengths)[:-1])


def _positions(tokens: Tokens) -> NDArray[np.int64]:
    """Position of each entry within its reply."""
    first = np.cumsum(tokens.lengths) - tokens.lengths
    return np.arange(len(tokens.ids)) - np.repeat(first, tokens.lengths)
