"""Frequency bands against hand-worked cases and the definition written out."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import FrequencyBands, WordBands, parse_band_rule


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([6, 3, 2, 1], [0, 1, 2, 2]),  # 12 tokens, borders at 4 and 8: "6" crosses the first and is head
        ([1, 2, 3, 6], [2, 2, 1, 0]),
        ([4, 4, 4], [0, 0, 0]),  # equally frequent: nothing to tell apart
        ([5, 5, 1, 1], [0, 0, 2, 2]),  # the two fives hold 10 of 12: no body
        ([2, 1, 1, 1, 1], [0, 2, 2, 2, 2]),  # the ones begin at the first border, and are the rarest
        ([100, 1, 1], [0, 2, 2]),
        ([3, 2, 1, 0], [0, 1, 2, -1]),  # borders at 2 and 4: masses before are 0, 3, 5
        ([4, 3, 2, 2, 1], [0, 1, 1, 1, 2]),  # borders at 4 and 8: "3" begins exactly at the first
        ([7], [0]),
    ],
)
def test_thirds_of_the_token_mass(counts: list[int], expected: list[int]) -> None:
    bands = FrequencyBands.by_token_mass(counts)
    assert bands.names == ("head", "body", "tail")
    assert bands.of_class.dtype == np.int8
    assert bands.of_class.tolist() == expected
    assert FrequencyBands.by_token_mass(torch.tensor(counts)).of_class.tolist() == expected


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=15).filter(any),
    shares=st.sampled_from([(0.5, 0.5), (1 / 3, 1 / 3, 1 / 3), (0.1, 0.2, 0.3, 0.4), (0.99, 0.01), (1.0,)]),
    by_type=st.booleans(),
)
def test_agrees_with_the_definition(counts: list[int], shares: tuple[float, ...], by_type: bool) -> None:
    names = [f"b{number}" for number in range(len(shares))]
    make = FrequencyBands.by_type_share if by_type else FrequencyBands.by_token_mass
    bands = make(counts, shares, names).of_class.tolist()
    parts = [Fraction(share).limit_denominator(1000) for share in shares]
    weights = [(1 if by_type else count) if count else 0 for count in counts]
    for band, count in zip(bands, counts):
        if count == 0:
            assert band == -1
            continue
        before = sum(weight for weight, other in zip(weights, counts) if other > count)
        expected = sum(1 for k in range(1, len(parts)) if before >= sum(parts[:k]) * sum(weights))
        positive = [other for other in counts if other]
        if count == min(positive) != max(positive):
            expected = len(parts) - 1
        assert band == expected


def test_a_rare_band_is_never_empty() -> None:
    counts = [50, 20, 10, *[1] * 97]  # half of the tokens and nearly all types occur once
    for make in (FrequencyBands.by_token_mass, FrequencyBands.by_type_share):
        bands = make(counts, (0.99, 0.01), ("common", "rare"))
        assert bands.members("rare").tolist() == [count == 1 for count in counts]


def test_by_count_is_the_grouping_of_images() -> None:
    bands = FrequencyBands.by_count([500, 101, 100, 20, 19, 1, 0])
    assert bands.names == ("many", "medium", "few")
    assert bands.of_class.tolist() == [0, 0, 1, 1, 2, 2, -1]
    assert bands.members("medium").tolist() == [False, False, True, True, False, False, False]
    assert bands.members("unseen").tolist() == [False] * 6 + [True]
    assert bands.rule == "training count of the class: many > 100, medium 20 to 100, few < 20"


def test_more_bounds() -> None:
    bands = FrequencyBands.by_count([1001, 1000, 100, 99, 10, 9], (1000, 100, 10), ("a", "b", "c", "d"))
    assert bands.of_class.tolist() == [0, 1, 1, 2, 2, 3]
    assert bands.rule == "training count of the class: a > 1000, b 100 to 1000, c 10 to 99, d < 10"


def test_words_have_their_band() -> None:
    bands = WordBands.from_counts({"the": 6, "cat": 3, "purrs": 2, "zebra": 1, "never": 0})
    assert [bands.band_of(word) for word in ("zebra", "okapi", "the", "never", "cat")] == [2, -1, 0, -1, 1]
    assert bands.counts.tolist() == [6, 3, 2, 1, 0]


def test_the_order_of_the_words_does_not_matter() -> None:
    counts = {"a": 4, "b": 4, "c": 2, "d": 1, "e": 1}
    backwards = dict(reversed(counts.items()))
    bands, others = WordBands.from_counts(counts), WordBands.from_counts(backwards)
    assert [bands.band_of(word) for word in counts] == [others.band_of(word) for word in counts]


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("mass:1/3,1/3,1/3", ("head", "body", "tail"), [0, 1, 2, 2]),
        ("mass:0.5,0.5", ("common", "rare"), [0, 1, 1, 1]),
        ("types:3/4,1/4", ("common", "rare"), [0, 0, 0, 1]),
        ("types:.25,.25,.25,.25", ("band1", "band2", "band3", "band4"), [0, 1, 2, 3]),
        ("count:5,2", ("many", "medium", "few"), [0, 1, 1, 2]),
    ],
)
def test_rules_by_name(text: str, names: tuple[str, ...], expected: list[int]) -> None:
    bands = parse_band_rule(text)(np.array([6, 3, 2, 1]))
    assert bands.names == names
    assert bands.of_class.tolist() == expected


@pytest.mark.parametrize(
    "text", ["", "mass", "mass:", "mass:a", "mass:1/0", "thirds:1/3,2/3", "count:1.5,1", "count:"]
)
def test_unknown_rules(text: str) -> None:
    with pytest.raises(UserError, match="expected mass:SHARE"):
        parse_band_rule(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(FrequencyBands.by_token_mass, shares=(0.5, 0.4), names=("a", "b")), "sum 1"),
        (partial(FrequencyBands.by_token_mass, shares=(1.5, -0.5), names=("a", "b")), "positive"),
        (partial(FrequencyBands.by_token_mass, shares=()), "sum 1"),
        (partial(FrequencyBands.by_token_mass, names=("a", "b")), "expected 3 different ones"),
        (partial(FrequencyBands.by_token_mass, names=("a", "a", "b")), "expected 3 different ones"),
        (partial(FrequencyBands.by_token_mass, names=("a", "b", "unseen")), "none of them 'unseen'"),
        (partial(FrequencyBands.by_token_mass, names=("a", "b", "c", "c")), "expected 3 different ones"),
        (partial(FrequencyBands.by_token_mass, shares=(1.0, 0.0), names=("a", "b")), "positive"),
        (partial(FrequencyBands.by_count, bounds=(100,)), "two or more counts"),
        (partial(FrequencyBands.by_count, bounds=(100, 0)), "two or more counts from 1 on"),
        (partial(FrequencyBands.by_count, bounds=(20, 100)), "a class would be in two bands"),
        (partial(FrequencyBands.by_count, bounds=(20, 22)), "a class would be in two bands"),
        (partial(FrequencyBands.by_count, bounds=(100, 10, 50)), "a class would be in two bands"),
        (partial(FrequencyBands.by_count, bounds=(100, 10, 0)), "two or more counts from 1 on"),
    ],
)
def test_bad_rules(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make([5, 3, 1])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], "empty"),
        ([0, 0], "zero for all of the 2 classes"),
        ([1, -1], "got -1 for class 1"),
        ([0.5], "0.5"),
    ],
)
def test_bad_counts(counts: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FrequencyBands.by_token_mass(counts)


def test_unknown_band() -> None:
    with pytest.raises(UserError, match="no band 'torso', expected one of: head, body, tail, unseen"):
        FrequencyBands.by_token_mass([1]).members("torso")
