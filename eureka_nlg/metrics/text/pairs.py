"""Replies of one or more systems and their references, tokenised once for all metrics."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.text.lines import Reply, as_text, paired_chunks
from eureka_nlg.metrics.text.tokens import Matches, Split, Tokeniser, Tokens, matches

__all__ = ["Pairs", "View", "paired"]


class View:
    """The pairs as tokens of one kind, such as words, or the normalised words of ParlAI F1.

    Attributes:
        hypotheses: tokens of each system's replies.
        references: tokens of each set of references, with the same ids.
    """

    def __init__(self, hypotheses: Sequence[Tokens], references: Sequence[Tokens]) -> None:
        self.hypotheses, self.references = list(hypotheses), list(references)
        self._matched: dict[int, tuple[Tokens, Matches]] = {}

    def matched(self, system: int) -> tuple[Tokens, Matches]:
        """The reference that each reply is compared with, and the tokens that both share.

        If there are several references, it is the first one with the highest F1 of shared tokens.
        """
        if system not in self._matched:
            hypothesis = self.hypotheses[system]
            found = [matches(hypothesis, reference) for reference in self.references]
            if len(found) == 1:
                self._matched[system] = self.references[0], found[0]
            else:
                best = np.argmax([f1(hypothesis, *both) for both in zip(self.references, found)], axis=0)
                chosen = picked(self.references, best)
                self._matched[system] = chosen, matches(hypothesis, chosen)
        return self._matched[system]


class Pairs:
    """N replies of one or more systems, and one or more sets of N references.

    Args:
        systems: the replies of each system, strings or token sequences.
        references: the sets of references; none for metrics that do not need them.
        tokenise: splits texts into words; pairs that are scored together share its ``words``.

    Attributes:
        memo: cache for results that several metrics need.
    """

    def __init__(
        self,
        systems: Sequence[Sequence[Reply]],
        references: Sequence[Sequence[Reply]],
        tokenise: Tokeniser | None = None,
    ) -> None:
        self._tokenise = Tokeniser() if tokenise is None else tokenise
        self._systems, self._references = systems, references
        self.memo: dict[Hashable, Any] = {}
        self._views: dict[Split, View] = {}

    def __len__(self) -> int:
        return len(self._systems[0])

    @cached_property
    def words(self) -> View:
        """The pairs as words."""
        return View(
            *([self._tokenise(side) for side in sides] for sides in (self._systems, self._references))
        )

    def raw_texts(self, most: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """The replies of each system and each set of references, as strings, as they were given.

        Args:
            most: how many of each to return, from the start; None for all.
        """
        systems, references = (
            [[as_text(reply) for reply in side[:most]] for side in sides]
            for sides in (self._systems, self._references)
        )
        return systems, references

    @cached_property
    def texts(self) -> tuple[list[list[str]], list[list[str]]]:
        """The replies of each system and each set of references, as strings, in lower case if requested."""
        systems, references = self.raw_texts()
        if self._tokenise.lowercase:
            for side in (*systems, *references):
                side[:] = map(str.lower, side)
        return systems, references

    def by(self, split: Split) -> View:
        """The pairs as the tokens that ``split`` makes."""
        if split not in self._views:
            tokenise = Tokeniser(split=split)
            self._views[split] = View(*([tokenise(side) for side in sides] for sides in self.texts))
        return self._views[split]


def paired(
    hypotheses: Iterable[Reply],
    *references: Iterable[Reply],
    tokenise: Tokeniser,
    names: Sequence[str] = ("hypotheses", "references"),
) -> Iterator[Pairs]:
    """Chunks of the pairs of one system, with common word ids; see :func:`paired_chunks`."""
    for replies, *wanted in paired_chunks(hypotheses, *references, names=names):
        yield Pairs([replies], wanted, tokenise)


def f1(hypotheses: Tokens, references: Tokens, found: Matches) -> NDArray[np.float64]:
    """F1 of the shared tokens of each pair, [N], from 0 to 1; 0 if both sides are empty."""
    sizes = hypotheses.lengths + references.lengths
    return np.asarray(2 * found.by_pair(len(sizes)) / np.maximum(sizes, 1))


def picked(references: Sequence[Tokens], choice: NDArray[np.int64]) -> Tokens:
    """For each pair the reference with the index in ``choice``, [N]."""
    texts = [reference.each() for reference in references]
    ids = [texts[side][pair] for pair, side in enumerate(choice.tolist())]
    lengths = np.array([len(words) for words in ids], dtype=np.int64)
    return Tokens(np.concatenate([np.zeros(0, dtype=np.int32), *ids]), lengths)
