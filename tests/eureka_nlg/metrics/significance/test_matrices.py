"""Resamples by products of matrices, against the plain metrics of the resampled text.

What holds for each metric by itself is in ``metric_cases.check_metric``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import COUNTS, TARGETS, VOCABULARY, made_up

from eureka_nlg.metrics import WordBands, count_ngrams, score_replies
from eureka_nlg.metrics.replies.catalogue import all_metrics, totals_of
from eureka_nlg.metrics.replies.scores import ScoredSystems
from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.totals import Entries, Totals
from eureka_nlg.metrics.significance.matrices import Matrices
from eureka_nlg.metrics.text.pairs import Pairs

METRICS = [
    "macro_f",
    "diversity_1",
    "diversity_3",
    "entropy_2",
    "reply_diversity_2",
    "copies",
    "bleu",
    "chrf",
]


@pytest.mark.parametrize("types", ["reference", "union", "vocabulary"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_systems_side_by_side_have_the_scores_of_each_alone(types: Any, lowercase: bool) -> None:
    """The same bits, whether a stream of one system is scored or all systems are to be compared."""
    systems, references = made_up(seed=1)
    bands = WordBands.from_counts(COUNTS)
    given = {"types": types, "vocabulary": VOCABULARY if types == "vocabulary" else None, "bands": bands}
    given |= {"training_ngrams": count_ngrams(TARGETS, 2), "lowercase": lowercase}
    keys = [key for key in all_metrics((*bands.names, "unseen"), novelty=2) if key != "meteor"]
    scored = ScoredSystems(dict(zip("AB", systems)), references, keys, Setting(**given)).scores()
    for name, replies in zip("AB", systems):
        assert scored[name] == score_replies(replies, references, metrics=keys, **given)
    assert len(scored["A"].scores) > 35


def test_adjusted_distinct_expects_the_same_in_each_resample() -> None:
    systems, references = made_up(seed=4)
    setting = Setting()
    (totals,), _ = totals_of(["ead_2"], setting)
    pairs = Pairs(systems, [references], setting.tokenise)
    totals.note(pairs)
    vocabulary_size = len({pair for text in references for pair in zip(text.split(), text.split()[1:])})
    draw = [0, 0, 3, 7, 7, 7, 20]
    weights = np.bincount(draw, minlength=len(references)).astype(np.int32)[:, None]
    found = [pair for i in draw for pair in zip(systems[0][i].split(), systems[0][i].split()[1:])]
    expected = vocabulary_size * (1 - (1 - 1 / vocabulary_size) ** len(found))
    matrices = Matrices.of_pairs(totals, pairs)
    assert matrices.score(matrices.totals(0, weights))["ead_2"][0] == pytest.approx(
        100 * len(set(found)) / expected
    )


@settings(deadline=None, max_examples=60)
@given(
    data=st.lists(st.tuples(*[st.lists(st.sampled_from("abc"), max_size=6)] * 3), min_size=2, max_size=7),
    draw=st.lists(st.integers(0, 6), max_size=8),
)
def test_any_text_and_any_weights(data: list[Any], draw: list[int]) -> None:
    *replies, references = (list(texts) for texts in zip(*data))
    setting = Setting(types="union")
    pairs = Pairs(replies, [references], setting.tokenise)
    draw = [index % len(references) for index in draw]
    weights = np.bincount(draw, minlength=len(references)).astype(np.int32)[:, None]
    for totals in totals_of(METRICS, setting)[0]:
        matrices = Matrices.of_pairs(totals, pairs)
        for system, texts in enumerate(replies):
            expected = score_replies(
                [texts[index] for index in draw],
                [references[index] for index in draw],
                metrics=METRICS,
                types="union",
            ).scores
            for metric, value in matrices.score(matrices.totals(system, weights)).items():
                assert value[0] == pytest.approx(expected[metric], rel=1e-12, abs=1e-12), metric


@pytest.mark.parametrize("types", ["reference", "union", "vocabulary"])
def test_resamples_side_by_side_have_the_scores_of_each_alone(types: Any) -> None:
    systems, references = made_up(seed=6)
    setting = Setting(types=types, vocabulary=VOCABULARY if types == "vocabulary" else None)
    pairs = Pairs(systems, [references], setting.tokenise)
    weights = np.random.default_rng(1).integers(0, 4, (len(references), 3)).astype(np.int32)
    for totals in totals_of(METRICS, setting)[0]:
        matrices = Matrices.of_pairs(totals, pairs)
        for system in range(2):
            sums = matrices.totals(system, weights)
            for number in (1, 2, 3):
                together = matrices.score(sums[:, :number])
                for metric, values in together.items():
                    alone = [matrices.score(sums[:, [column]])[metric].item() for column in range(number)]
                    assert values.tolist() == pytest.approx(alone, rel=1e-12, abs=1e-12), metric


def test_large_amounts_do_not_overflow() -> None:
    """Each amount fits 32 bits, and the totals do not."""
    num_pairs, large = 64, 1 << 26

    class Large(Totals):
        num_rows = 2

        def entries(self, pairs: Pairs, system: int) -> Entries:
            indices = np.arange(num_pairs)
            return Entries(indices % 2, indices, np.where(indices % 2, 1, large))

        def score(self, totals: Any) -> Any:
            return {"large": totals[0].astype(np.float64)}

    setting = Setting()
    pairs = Pairs([["a"] * num_pairs, ["b"] * num_pairs], [["a"] * num_pairs], setting.tokenise)
    matrices = Matrices.of_pairs(Large([Metric("large")], setting), pairs)
    weights = np.full((num_pairs, 1), 2, dtype=np.int32)
    for system in range(2):
        totals = matrices.totals(system, weights)
        assert totals.tolist() == [[2 * 32 * large], [2 * 32]]
        assert matrices.score(totals)["large"].item() == 2.0 * 32 * large
