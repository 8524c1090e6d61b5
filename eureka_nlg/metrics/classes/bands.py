"""Frequency bands: classes or words grouped by how often they occur in the training data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.integers import Integers, as_class_counts, occurring_counts
from eureka_nlg.metrics.text.tokens import Words

__all__ = ["FrequencyBands", "WordBands", "parse_band_rule", "UNSEEN"]

UNSEEN = "unseen"
"""Name of the group of classes that do not occur in training. It is not a band."""


@dataclass(frozen=True, eq=False)
class FrequencyBands:
    """A band of training frequency for each class. Equally frequent classes share a band.

    Attributes:
        names: the bands, the most frequent classes first.
        rule: a sentence that defines the bands, to be reported with every number about them.
        of_class: [C] int8, the index of each class's band in ``names``; -1 where the training count is 0.
    """

    names: tuple[str, ...]
    rule: str
    of_class: NDArray[np.int8]

    @classmethod
    def by_token_mass(
        cls,
        class_counts: Integers,
        shares: Sequence[float | Fraction] = (1 / 3, 1 / 3, 1 / 3),
        names: Sequence[str] = ("head", "body", "tail"),
    ) -> FrequencyBands:
        """Bands that hold given shares of all training tokens, the most frequent classes first.

        A class belongs to the band in which the token mass of all *more frequent* classes ends. So a class
        that crosses a border belongs to the more frequent of the two bands, classes with the same count are
        in the same band, and the order of the classes does not matter. The rarest classes, such as all words
        that occur once, are in the last band even if they cross its border. The borders are the cumulative
        sums of the shares; a middle band is empty if a single class spans it.

        Args:
            class_counts: [C] training count of each class.
            shares: part of the token mass for each band, positive, with sum 1.
            names: a name for each band.

        Raises:
            UserError: the shares do not sum to 1, there is not one name per share, or the counts are invalid
                or all zero.

        >>> FrequencyBands.by_token_mass([6, 3, 2, 1, 0]).of_class
        array([ 0,  1,  2,  2, -1], dtype=int8)
        """
        counts = as_class_counts(class_counts)
        return cls._by_share(counts, "training tokens", shares, names)

    @classmethod
    def by_type_share(
        cls,
        class_counts: Integers,
        shares: Sequence[float | Fraction] = (0.5, 0.5),
        names: Sequence[str] = ("common", "rare"),
    ) -> FrequencyBands:
        """As :meth:`by_token_mass`, but with shares of the number of classes that occur.

        The last band holds the rarest classes: all classes with the smallest count, and more frequent ones up
        to its share.

        >>> FrequencyBands.by_type_share([6, 3, 2, 1, 0]).of_class
        array([ 0,  0,  1,  1, -1], dtype=int8)
        """
        counts = as_class_counts(class_counts)
        return cls._by_share(counts, "types", shares, names)

    @classmethod
    def _by_share(
        cls,
        counts: NDArray[np.int64],
        unit: Literal["training tokens", "types"],
        shares: Sequence[float | Fraction],
        names: Sequence[str],
    ) -> FrequencyBands:
        parts = [Fraction(share).limit_denominator(1_000_000) for share in shares]  # 1/3 is a third again
        if not parts or min(parts) <= 0 or sum(parts) != 1:
            raise UserError(f"shares are {', '.join(map(str, shares))}, expected positive numbers with sum 1")
        _check_names(names, len(parts))
        values, size = np.unique(occurring_counts(counts), return_counts=True)
        mass = size * values if unit == "training tokens" else size
        more_frequent = mass.sum() - mass.cumsum()
        borders = [float(border * int(mass.sum())) for border in accumulate(parts)][:-1]
        bands = np.searchsorted(borders, more_frequent, side="right")
        if len(values) > 1:
            bands[0] = len(parts) - 1
        percentages = ", ".join(f"{100 * float(part):.4g} %" for part in parts)
        rule = (
            f"most frequent first, until {', '.join(names)} hold {percentages} of the {unit}; a class is in "
            f"the band in which the share of all more frequent classes ends, the rarest are {names[-1]}"
        )
        return cls(tuple(names), rule, _with_unseen(bands[np.searchsorted(values, counts)], counts))

    @classmethod
    def by_count(
        cls,
        class_counts: Integers,
        bounds: Sequence[int] = (100, 20),
        names: Sequence[str] = ("many", "medium", "few"),
    ) -> FrequencyBands:
        """Bands between fixed counts: above the first bound, from each bound to the next, below the last.

        With the default bounds these are the usual groups of long-tailed image classification: many (more
        than 100 training images), medium (20 to 100) and few (fewer than 20).

        Args:
            class_counts: [C] training count of each class.
            bounds: two or more counts in descending order. The first is the largest count *below* the first
                band; each of the others is the smallest count *inside* its band.
            names: a name for each band, one more than bounds.

        Raises:
            UserError: the bounds are not in descending order, there is not one name per band, or the counts
                are invalid.

        >>> FrequencyBands.by_count([101, 100, 20, 19, 0]).of_class
        array([ 0,  1,  1,  2, -1], dtype=int8)
        """
        counts = as_class_counts(class_counts)
        if len(bounds) < 2 or bounds[-1] < 1:
            raise UserError(f"bounds are {list(bounds)}, expected two or more counts from 1 on")
        lowest = np.array([bounds[0] + 1, *bounds[1:]])  # the smallest count of each band but the last
        if (np.diff(lowest) > 0).any():
            raise UserError(
                f"bounds are {list(bounds)}: a class would be in two bands, expected descending counts"
            )
        _check_names(names, len(bounds) + 1)
        ranges = [f"{low} to {high - 1}" for high, low in pairwise(lowest)]
        rule = "training count of the class: " + ", ".join(
            f"{name} {numbers}"
            for name, numbers in zip(names, [f"> {bounds[0]}", *ranges, f"< {bounds[-1]}"])
        )
        return cls(tuple(names), rule, _with_unseen((counts[:, None] < lowest).sum(axis=1), counts))

    def members(self, name: str) -> NDArray[np.bool_]:
        """Which classes are in the band, [C]; ``"unseen"`` stands for the classes with count 0.

        Raises:
            UserError: there is no such band.
        """
        if name != UNSEEN and name not in self.names:
            raise UserError(f"there is no band {name!r}, expected one of: {', '.join((*self.names, UNSEEN))}")
        return self.of_class == (-1 if name == UNSEEN else self.names.index(name))


@dataclass(frozen=True, eq=False)
class WordBands:
    """Frequency bands of words. Other vocabularies may number the same words differently.

    Attributes:
        words: the words of the training data; their ids are the classes of ``bands``.
        counts: training count of each word, [number of words].
        bands: the band of each word.
    """

    words: Words
    counts: NDArray[np.int64]
    bands: FrequencyBands

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        rule: Callable[[NDArray[np.int64]], FrequencyBands] = FrequencyBands.by_token_mass,
    ) -> WordBands:
        """Bands of the words of a mapping, such as :func:`eureka_nlg.metrics.read_word_counts` returns.

        Args:
            counts: word -> training count.
            rule: makes bands from counts: ``FrequencyBands.by_token_mass``, ``by_type_share`` or
                ``by_count``, or a ``functools.partial`` of one of them.

        Raises:
            UserError: there are no words, or the counts are invalid.

        >>> bands = WordBands.from_counts({"the": 6, "cat": 3, "purrs": 2, "zebra": 1})
        >>> [bands.band_of(word) for word in ("zebra", "the", "okapi")]
        [2, 0, -1]
        """
        words = Words()
        words.encode(counts)
        array = as_class_counts(list(counts.values()))
        return cls(words, array, rule(array))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bands, the most frequent words first."""
        return self.bands.names

    @property
    def rule(self) -> str:
        """A sentence that defines the bands."""
        return self.bands.rule

    def band_of(self, word: str) -> int:
        """Index of the word's band in :attr:`names`; -1 for a word that does not occur in training."""
        number = self.words.get(word, -1)
        return -1 if number < 0 else int(self.bands.of_class[number])


def _with_unseen(bands: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int8]:
    return np.where(counts > 0, bands, -1).astype(np.int8)


def _check_names(names: Sequence[str], number: int) -> None:
    if len(set(names)) != number or len(names) != number or UNSEEN in names:
        raise UserError(f"names are {list(names)}, expected {number} different ones, none of them {UNSEEN!r}")


def parse_band_rule(text: str) -> Callable[[NDArray[np.int64]], FrequencyBands]:
    """Parse a rule for ``WordBands.from_counts`` from a command line.

    Args:
        text: ``mass:1/3,1/3,1/3`` for shares of the tokens, ``types:0.9,0.1`` for shares of the types, or
            ``count:100,20`` for bounds of the counts. Three bands are named head, body and tail (by count:
            many, medium and few), two are named common and rare, and others band1, band2 and so on.

    Raises:
        UserError: the text has another form.

    >>> parse_band_rule("types:3/4,1/4")([6, 3, 2, 1]).of_class
    array([0, 0, 0, 1], dtype=int8)
    """
    kind, _, numbers = text.partition(":")
    try:
        values = [Fraction(number) for number in numbers.split(",")]
        if kind not in ("mass", "types", "count") or (kind == "count" and any(v % 1 for v in values)):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise UserError(
            f"bands {text!r}: expected mass:SHARE,... or types:SHARE,... or count:BOUND,..., "
            "for example mass:1/3,1/3,1/3"
        ) from None
    number = len(values) + (kind == "count")
    three = ("many", "medium", "few") if kind == "count" else ("head", "body", "tail")
    names = {2: ("common", "rare"), 3: three}.get(number, tuple(f"band{k + 1}" for k in range(number)))
    if kind == "count":
        return partial(FrequencyBands.by_count, bounds=[int(value) for value in values], names=names)
    by_share = FrequencyBands.by_token_mass if kind == "mass" else FrequencyBands.by_type_share
    return partial(by_share, shares=values, names=names)
