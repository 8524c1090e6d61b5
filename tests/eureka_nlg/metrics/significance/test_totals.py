"""What the resampling tests compute, against the plain metrics of the resampled text."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.replies.catalogue import all_metrics
from eureka_nlg.metrics.replies.ngrams import DiversityStatistics
from eureka_nlg.metrics.replies.pair_mean import MeteorStatistics
from eureka_nlg.metrics.replies.scores import score_replies
from eureka_nlg.metrics.significance.metrics import prepare
from eureka_nlg.metrics.significance.trials import observed
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Tokeniser

WORDS = ["the", "a", "i", "like", "tea", "Tea", "cats", "i'm", "no", ".", "ünder", "x"]
COUNTS = {"the": 50, "i": 40, "like": 12, "tea": 10, "cats": 3, ".": 30, "never": 1}
VOCABULARY = ["the", "tea", "cats", "never", "seldom"]
TYPES = ("reference", "union", "vocabulary")


@pytest.fixture(autouse=True)
def meteor_without_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR's data may be missing: any function of the two sides shows whether pairs are kept together."""

    def scorer(self: MeteorStatistics) -> Callable[[str, str], float]:
        return lambda hypothesis, reference: len(set(hypothesis) & set(reference)) / 64

    monkeypatch.setattr(MeteorStatistics, "scorer", scorer)


def made_up(seed: int, num_pairs: int = 25) -> tuple[dict[str, list[str]], list[str]]:
    """Two systems and references; the second system says stock phrases and nothing at all at times."""
    generator = random.Random(seed)

    def text() -> str:
        return " ".join(generator.choices(WORDS, range(len(WORDS), 0, -1), k=generator.randrange(9)))

    stock = [text() for _ in range(4)]
    references = [text() for _ in range(num_pairs)]
    first = [f"{text()} {reference[:12]}" for reference in references]
    second = [generator.choice([*stock, "", text(), reference]) for reference in references]
    return {"first": first, "second": second}, references


def options(types: str = "reference") -> dict[str, Any]:
    tokenise = Tokeniser()
    seen = DiversityStatistics(2, tokenise.words).update(tokenise(["i like cats .", "the tea", "never mind"]))
    vocabulary = VOCABULARY if types == "vocabulary" else None
    return {"types": types, "vocabulary": vocabulary, "bands": WordBands.from_counts(COUNTS), "seen": seen}


def keys(given: dict[str, Any]) -> list[str]:
    bands = (*given["bands"].bands.names, "unseen")
    return all_metrics(bands, novelty=2)


def plain(
    hypotheses: list[str], references: list[str], given: dict[str, Any], **more: Any
) -> dict[str, float]:
    return score_replies(hypotheses, references, metrics=keys(given), **given, **more).scores


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("lowercase", [False, True])
def test_unweighted_is_the_metric_itself(types: str, lowercase: bool) -> None:
    systems, references = made_up(seed=1)
    given = options(types)
    pairs = Pairs(systems, references, lowercase)
    statistics, unavailable = prepare(pairs, keys(given), **given)
    values = observed(statistics, len(pairs))
    assert not unavailable
    for system, name in enumerate(systems):
        expected = plain(systems[name], references, given, lowercase=lowercase)
        assert len(expected) > 35
        for metric, value in expected.items():
            assert values[metric][system, 0] == pytest.approx(value, rel=1e-12, abs=1e-12), metric


@pytest.mark.parametrize("types", TYPES)
def test_weights_are_repetitions_of_pairs(types: str) -> None:
    systems, references = made_up(seed=2)
    given = options(types)
    # what is given besides the pairs does not change with the resample: the vocabulary of EAD is one of all
    metrics = [metric for metric in keys(given) if not metric.startswith("ead")]
    statistics, _ = prepare(Pairs(systems, references), metrics, **given)
    rng = np.random.default_rng(3)
    draws = [rng.integers(len(references), size=len(references)) for _ in range(8)]
    draws += [rng.permutation(len(references))[:20], np.array([4, 4, 4]), np.array([], dtype=int)]
    weights = np.stack([np.bincount(draw, minlength=len(references)) for draw in draws], axis=1)
    for system, name in enumerate(systems):
        values: dict[str, Any] = {}
        for statistic in statistics:
            values |= statistic.compute(statistic.totals(system, weights.astype(np.int32)))
        for column, draw in enumerate(draws):
            drawn = [systems[name][index] for index in draw], [references[index] for index in draw]
            expected = score_replies(*drawn, metrics=metrics, **given).scores
            for metric, value in expected.items():
                assert values[metric][column] == pytest.approx(value, rel=1e-12, abs=1e-12), metric


def test_adjusted_distinct_expects_the_same_in_each_resample() -> None:
    systems, references = made_up(seed=4)
    (statistic,), _ = prepare(Pairs(systems, references), ["ead_2"], "reference", None, None, None)
    vocabulary_size = len({pair for text in references for pair in zip(text.split(), text.split()[1:])})
    draw = [0, 0, 3, 7, 7, 7, 20]
    weights = np.bincount(draw, minlength=len(references)).astype(np.int32)[:, None]
    found = [pair for i in draw for pair in zip(systems["first"][i].split(), systems["first"][i].split()[1:])]
    expected = vocabulary_size * (1 - (1 - 1 / vocabulary_size) ** len(found))
    value = statistic.compute(statistic.totals(0, weights))["ead_2"][0]
    assert value == pytest.approx(100 * len(set(found)) / expected)


@settings(deadline=None, max_examples=60)
@given(
    data=st.lists(st.tuples(*[st.lists(st.sampled_from("abc"), max_size=6)] * 3), min_size=2, max_size=7),
    draw=st.lists(st.integers(0, 6), max_size=8),
)
def test_any_text_and_any_weights(data: list[Any], draw: list[int]) -> None:
    *replies, references = (list(texts) for texts in zip(*data))
    systems = dict(zip("AB", replies))
    metrics = ["macro_f", "diversity_1", "diversity_3", "entropy_2", "reply_diversity_2", "copies", "bleu"]
    statistics, _ = prepare(Pairs(systems, references), metrics, "union", None, None, None)
    draw = [index % len(references) for index in draw]
    weights = np.bincount(draw, minlength=len(references)).astype(np.int32)[:, None]
    for system, texts in enumerate(replies):
        expected = score_replies(
            [texts[index] for index in draw],
            [references[index] for index in draw],
            metrics=metrics,
            types="union",
        ).scores
        for statistic in statistics:
            for metric, value in statistic.compute(statistic.totals(system, weights)).items():
                if metric in expected:  # EAD comes with diversity
                    assert value[0] == pytest.approx(expected[metric], rel=1e-12, abs=1e-12), metric


@pytest.mark.parametrize("types", TYPES)
def test_swapped_replies_are_totals_too(types: str) -> None:
    systems, references = made_up(seed=5)
    given = options(types)
    statistics, _ = prepare(Pairs(systems, references), keys(given), **given)
    kept = np.random.default_rng(6).integers(2, size=(len(references), 1)).astype(np.int32)
    mixed = [a if keep else b for a, b, keep in zip(*systems.values(), kept[:, 0])]
    expected = plain(mixed, references, given)
    for statistic in statistics:
        totals = statistic.totals(0, kept) + statistic.totals(1, 1 - kept)
        for metric, value in statistic.compute(totals).items():
            if metric in expected:
                assert value[0] == pytest.approx(expected[metric], rel=1e-12, abs=1e-12), metric
