"""Intervals and p-values against scipy, sacrebleu, plain loops, and data whose answer is known."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sacrebleu
import scipy.stats
from sacrebleu.significance import PairedTest

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.replies.f_score import f_scores
from eureka_nlg.metrics.replies.ngrams import ngram_diversity
from eureka_nlg.metrics.replies.parlai_f1 import parlai_f1
from eureka_nlg.metrics.replies.scores import ScoredSystems, score_replies
from eureka_nlg.metrics.replies.setting import NgramCounts, Setting
from eureka_nlg.metrics.significance import compare, holm, trials
from eureka_nlg.metrics.significance.comparison import Resamples, compare_scored
from eureka_nlg.metrics.significance.inference import Inference
from eureka_nlg.metrics.significance.resampling import bootstrap, jackknife, spread, swaps
from eureka_nlg.metrics.significance.results import Estimate

METRICS = ["macro_f", "micro_f", "parlai_f1", "diversity_2", "entropy_1", "mean_length", "copies", "bleu"]


def made_up(seed: int, num_pairs: int = 120, kept: tuple[float, float] = (0.3, 0.3)) -> Any:
    """Two systems that take over each word of the reference with the given probabilities."""
    generator = random.Random(seed)
    words = [f"w{number}" for number in range(150)]
    weights = [1 / (number + 1) for number in range(150)]
    references = [generator.choices(words, weights, k=generator.randrange(2, 12)) for _ in range(num_pairs)]
    systems = {
        name: [
            [
                word if generator.random() < part else generator.choices(words, weights)[0]
                for word in reference
            ]
            for reference in references
        ]
        for name, part in zip(("first", "second"), kept)
    }
    return systems, references


def test_mean_by_scipy() -> None:
    systems, references = made_up(1, kept=(0.3, 0.32))
    by_pair = [
        np.array([parlai_f1([reply], [reference]) for reply, reference in zip(replies, references)])
        for replies in systems.values()
    ]
    comparison = compare(systems, references, ["parlai_f1"], num_resamples=20000, confidence=90)
    found = comparison.differences["parlai_f1"]["second"]
    delta = by_pair[1] - by_pair[0]
    interval = scipy.stats.bootstrap(
        (delta,), np.mean, n_resamples=20000, confidence_level=0.9, method="percentile", rng=5
    ).confidence_interval
    test = scipy.stats.permutation_test(
        tuple(by_pair),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20000,
        rng=5,
    )
    assert found.value == pytest.approx(delta.mean())
    assert (found.low, found.high) == pytest.approx(tuple(interval), abs=0.2)
    assert found.p_randomisation == pytest.approx(test.pvalue, abs=0.006)
    assert 0.001 < test.pvalue < 0.2  # a p-value that is neither certain
    assert found.p_resampling == pytest.approx(test.pvalue, abs=0.02)
    for (name, score), values in zip(comparison.scores["parlai_f1"].items(), by_pair):
        interval = scipy.stats.bootstrap(
            (values,), np.mean, n_resamples=20000, confidence_level=0.9, method="percentile", rng=5
        ).confidence_interval
        assert (score.low, score.high) == pytest.approx(tuple(interval), abs=0.2), name


def test_bleu_by_sacrebleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    systems, references = made_up(10, num_pairs=300, kept=(0.6, 0.64))
    found = compare(systems, references, ["bleu"], num_resamples=4000)
    named = [(name, [" ".join(reply) for reply in replies]) for name, replies in systems.items()]
    texts = [" ".join(reference) for reference in references]
    by_test = {}
    for test in ("bs", "ar"):
        metrics = {"BLEU": sacrebleu.BLEU(tokenize="none", force=True)}
        _, by_test[test] = PairedTest(named, metrics, [texts], test_type=test, n_samples=4000)()
    theirs = {test: result["BLEU"] for test, result in by_test.items()}
    ours = found.differences["bleu"]["second"]
    assert found.scores["bleu"]["second"].value == pytest.approx(theirs["bs"][1].score)
    assert 0.005 < theirs["ar"][1].p_value < 0.5
    assert ours.p_resampling == pytest.approx(theirs["bs"][1].p_value, abs=0.025)
    assert ours.p_randomisation == pytest.approx(theirs["ar"][1].p_value, abs=0.025)
    for name, result in zip(systems, theirs["bs"]):
        score = found.scores["bleu"][name]
        assert (score.high - score.low) / 2 == pytest.approx(result.ci, rel=0.05)


def macro_f(replies: Any, references: Any) -> float:
    return f_scores(replies, references).macro


@pytest.mark.parametrize(
    ("metric", "plain"), [("macro_f", macro_f), ("diversity_2", lambda texts, _: ngram_diversity(texts, 2))]
)
def test_jackknife_and_swaps_by_loops(metric: str, plain: Callable[[Any, Any], float]) -> None:
    systems, references = made_up(2, num_pairs=40, kept=(0.3, 0.5))
    first, second = systems.values()
    found = compare(systems, references, [metric], num_resamples=3000).differences[metric]["second"]
    generator = random.Random(8)
    value = plain(second, references) - plain(first, references)
    left_out, swapped = [], []
    for _ in range(3000):
        kept = generator.sample(range(40), 36)
        wanted = [references[i] for i in kept]
        left_out.append(plain([second[i] for i in kept], wanted) - plain([first[i] for i in kept], wanted))
        pairs = [pair if generator.random() < 0.5 else pair[::-1] for pair in zip(first, second)]
        left, right = zip(*pairs)
        swapped.append(plain(right, references) - plain(left, references))
    deviations = 3 * (np.array(left_out) - np.mean(left_out))  # sqrt(36 / 4)
    assert found.value == pytest.approx(value)
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(
        tuple(value + np.percentile(deviations, [2.5, 97.5])), abs=0.06 * width
    )
    assert found.p_resampling == pytest.approx((np.abs(deviations) >= abs(value)).mean(), abs=0.03)
    assert found.p_randomisation == pytest.approx((np.abs(swapped) >= abs(value)).mean(), abs=0.03)


def test_null_and_planted_difference() -> None:
    """Equal systems differ significantly one time in twenty, a better one always."""
    significant = {metric: np.zeros(2) for metric in METRICS}
    num_trials = 120
    for trial in range(num_trials):
        systems, references = made_up(100 + trial, num_pairs=60)
        comparison = compare(systems, references, METRICS, num_resamples=199, seed=trial)
        for metric in METRICS:
            difference = comparison.differences[metric]["second"]
            significant[metric] += difference.p_randomisation < 0.05, difference.p_resampling < 0.05
    for metric, (by_randomisation, by_resampling) in significant.items():
        # of 120 at 5 %: 6 expected, 13 or more by chance less than once in a hundred times
        assert by_randomisation <= 13, metric
        assert by_resampling <= 15, metric
    assert sum(by_randomisation for by_randomisation, _ in significant.values()) >= 20  # 48 expected

    systems, references = made_up(1, num_pairs=300, kept=(0.3, 0.5))
    comparison = compare(systems, references, METRICS)
    for metric in ("macro_f", "micro_f", "parlai_f1", "bleu"):
        found = comparison.differences[metric]["second"]
        assert found.p_randomisation == found.p_resampling == 1 / 1001
        assert 0 < found.low < found.value < found.high
    assert comparison.differences["mean_length"]["second"].p_randomisation == 1  # both are of equal lengths


def test_identical_systems() -> None:
    (replies, _), references = made_up(3)[0].values(), made_up(3)[1]
    comparison = compare({"a": replies, "b": list(replies)}, references, METRICS, num_resamples=50)
    for metric in METRICS:
        found = comparison.differences[metric]["b"]
        assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-9)
        assert found.p_randomisation == found.p_resampling == 1


def test_seed_decides_and_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    systems, references = made_up(4)
    found = compare(systems, references, METRICS, num_resamples=30).to_dict()
    assert compare(systems, references, METRICS, num_resamples=30).to_dict() == found
    assert compare(systems, references, METRICS, num_resamples=30, seed=2).to_dict() != found
    monkeypatch.setattr(trials, "_BLOCK_CELLS", 7 * len(references))  # fewer resamples at a time
    in_blocks = compare(systems, references, METRICS, num_resamples=30).to_dict()
    for metric in METRICS:  # but for the last digit: products of other shapes sum in another order
        for part, system in (("scores", "first"), ("scores", "second"), ("differences", "second")):
            assert in_blocks[part][metric][system] == pytest.approx(found[part][metric][system], rel=1e-12)


def test_systems_share_the_resamples_whatever_else_is_compared() -> None:
    systems, references = made_up(5)
    alone = compare(systems, references, ["bleu"], num_resamples=40, randomisation=False)
    more = compare({"other": references, **systems}, references, METRICS, num_resamples=40, baseline="first")
    assert more.scores["bleu"]["second"] == alone.scores["bleu"]["second"]
    assert more.differences["bleu"]["second"].low == alone.differences["bleu"]["second"].low
    assert list(more.differences["bleu"]) == ["other", "second"]
    assert alone.differences["bleu"]["second"].p_randomisation is None


def test_defaults_are_the_documented_ones() -> None:
    systems, references = made_up(11, num_pairs=15)
    options = {"num_resamples": 1000, "seed": 1, "confidence": 95, "randomisation": True}
    for metrics in (["micro_f"], ["macro_f"]):
        found = compare(systems, references, metrics).to_dict()
        assert found == compare(systems, references, metrics, lowercase=False, **options).to_dict()
        assert {name: found["signature"][name] for name in ("num_resamples", "seed", "confidence")} == {
            name: options[name] for name in ("num_resamples", "seed", "confidence")
        }
        scored = ScoredSystems(systems, references, metrics, Setting())
        assert compare_scored(scored).to_dict() == found
        assert compare_scored(scored, Resamples(**options)).to_dict() == found
    assert found["differences"]["macro_f"]["second"]["p_randomisation"] is not None


def test_the_signature_says_which_tests_were_made() -> None:
    systems, references = made_up(12, num_pairs=10)
    for randomisation in (False, True):
        found = compare(systems, references, ["micro_f"], num_resamples=3, randomisation=randomisation)
        said = found.signature["p_randomisation"]
        assert (said is not None and said.startswith("two-sided, replies swapped")) == randomisation


@pytest.mark.parametrize("confidence", [95, 80])
def test_an_interval_by_hand(confidence: float) -> None:
    sample = np.random.default_rng(5).normal(3, 2, 501)
    tails = [(100 - confidence) / 2, 50 + confidence / 2]
    found = Inference("bootstrap", 40, confidence).estimate(2.5, sample)
    assert found == Estimate(2.5, *np.percentile(sample, tails))
    found = Inference("jackknife", 40, confidence).estimate(2.5, sample)
    expected = 2.5 + 3 * (np.percentile(sample, tails) - sample.mean())  # sqrt(36 / 4)
    assert (found.value, found.low, found.high) == pytest.approx((2.5, *expected))


def test_an_interval_stays_in_the_range_of_the_metric() -> None:
    """Around a value near the border, the jackknife's would go beyond it."""
    replies, references = ["a b"] * 2 + ["x"] * 18, [f"a b {number}" for number in range(20)]
    for systems, kind, border in (
        ({"first": ["x"] * 19 + ["a"]}, "jackknife", 0.0),
        ({"first": [f"a b {number}" for number in range(19)] + ["x"]}, "jackknife", 100.0),
        ({"first": references}, "bootstrap", 100.0),
        ({"first": ["x"] * 20}, "bootstrap", 0.0),
    ):
        score = compare(systems, references, ["macro_f"], resampling=kind).scores["macro_f"]["first"]
        assert border in (score.low, score.high)
        assert 0 <= score.low <= score.value <= score.high <= 100
    difference = compare({"first": replies, "second": references}, references, ["macro_f"])
    assert (
        difference.differences["macro_f"]["second"].high > difference.differences["macro_f"]["second"].value
    )


@pytest.mark.parametrize(
    "options", [{"num_resamples": 1}, {"confidence": 0.5}, {"confidence": 99.9}, {"resampling": "jackknife"}]
)
def test_the_least_that_is_accepted(options: dict[str, Any]) -> None:
    found = compare({"a": ["x", "y"], "b": ["y", "y"]}, ["x", "y"], ["micro_f"], **options)
    assert found.num_pairs == 2
    for name, value in options.items():
        assert found.signature.get(name, value) == value


def test_one_system_has_intervals() -> None:
    systems, references = made_up(6)
    comparison = compare({"first": systems["first"]}, references, METRICS, num_resamples=40)
    for metric in METRICS:
        score = comparison.scores[metric]["first"]
        assert score.low <= score.value <= score.high
        assert comparison.differences[metric] == {}


def test_resampling_can_be_chosen() -> None:
    systems, references = made_up(7)
    given = compare(systems, references, METRICS, num_resamples=40)
    assert {metric for metric, kind in given.resampling.items() if kind == "jackknife"} == {
        *("macro_f", "diversity_2", "entropy_1", "copies")
    }
    for kind in ("bootstrap", "jackknife"):
        chosen = compare(systems, references, METRICS, num_resamples=40, resampling=kind)
        assert set(chosen.resampling.values()) == {kind}


def test_weights() -> None:
    rng = np.random.default_rng(1)
    for weights in bootstrap(rng, 30, 25, block=10):
        assert (weights.sum(axis=0) == 30).all()
        assert weights.max() > 1
    jackknifed = np.hstack(list(jackknife(rng, 30, 400, block=150)))
    assert jackknifed.shape == (30, 400)
    assert set(jackknifed.ravel()) == {0, 1}
    assert (jackknifed.sum(axis=0) == 27).all()
    assert (jackknifed == 0).mean(axis=1) == pytest.approx(np.full(30, 0.1), abs=0.07)
    swapped = np.hstack(list(swaps(rng, 30, 400, block=150)))
    assert swapped.mean() == pytest.approx(0.5, abs=0.02)
    assert len({column.tobytes() for column in swapped.T}) == 400


@pytest.mark.parametrize("num_pairs", [2, 7, 50])
def test_spread_makes_the_variance_of_a_mean_right(num_pairs: int) -> None:
    """Of a mean, the delete-d jackknife has the variance s^2 / N, with s^2 the sample variance."""
    values = np.random.default_rng(2).normal(size=num_pairs)
    weights = np.hstack(list(jackknife(np.random.default_rng(3), num_pairs, 20000, block=20000)))
    means = (values @ weights) / weights.sum(axis=0)
    standard_error = spread("jackknife", num_pairs) * means.std()
    assert standard_error == pytest.approx(values.std(ddof=1) / num_pairs**0.5, rel=0.03)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    systems, references = made_up(8)
    comparison = compare(systems, references, METRICS, num_resamples=60)
    raw = {metric: by_system["second"] for metric, by_system in comparison.p_values().items()}
    corrected = comparison.p_values("holm")
    assert holm(list(raw.values())) == [corrected[metric]["second"] for metric in METRICS]


def test_to_dict_is_json_and_says_what_defines_it() -> None:
    systems, references = made_up(9)
    document = compare(systems, references, METRICS, num_resamples=20, seed=4, confidence=80).to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["signature"]["seed"] == 4
    assert document["signature"]["num_resamples"] == 20
    assert document["signature"]["confidence"] == 80
    assert document["signature"]["types"] == "reference"
    assert document["baseline"] == "first"
    assert document["num_pairs"] == 120
    assert set(document["differences"]["bleu"]["second"]) == {
        *("value", "low", "high", "p_resampling", "p_randomisation", "p_holm")
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"systems": {}}, "no system"),
        ({"systems": {"a": ["x"]}}, "a: 1 replies for 3 references"),
        ({"systems": {"a": "x y z"}}, "a is one string"),
        ({"systems": {"a": ["x"]}, "references": ["x"]}, "1 pairs, expected 2"),
        ({"baseline": "c"}, "no system 'c', expected one of: a, b"),
        ({"metrics": ["accuracy"]}, "no metric 'accuracy'"),
        ({"metrics": ["macro_f_tail"]}, "needs training counts"),
        ({"metrics": ["novelty_4"]}, "needs the training targets"),
        ({"metrics": ["novelty_4"], "training_ngrams": NgramCounts(2)}, "2-grams"),
        ({"num_resamples": 0}, "num_resamples is 0"),
        ({"confidence": 100}, "confidence is 100"),
        ({"confidence": 100.5}, "confidence is 100.5"),
        ({"confidence": 0}, "confidence is 0"),
        ({"num_resamples": -1}, "num_resamples is -1"),
        ({"seed": -1}, "seed: -1, expected 0 to 4,294,967,295"),
        ({"resampling": "jack"}, "resampling is 'jack'"),
        ({"types": "some"}, "types is 'some'"),
        ({"types": "vocabulary"}, "needs a vocabulary"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    texts = ["x y", "y", "z"]
    given: dict[str, Any] = {"systems": {"a": texts, "b": texts}, "references": texts, "metrics": ["bleu"]}
    with pytest.raises(UserError, match=message):
        compare(**(given | change))


def test_bad_correction() -> None:
    systems, references = made_up(9)
    with pytest.raises(UserError, match="correction is 'bonferroni'"):
        compare(systems, references, ["bleu"], num_resamples=5).p_values("bonferroni")


def test_words_are_counted_where_somebody_asks() -> None:
    counted: list[int] = []

    class Counting(ScoredSystems):
        def _count_words(self) -> None:
            counted.append(1)
            super()._count_words()

    texts = {"a": ["x y", "y z ."], "b": ["z", "y"]}
    bands = WordBands.from_counts({"q": 3, "y": 1})
    for setting, times in ((Setting(), 0), (Setting(bands=bands), 1)):
        counted.clear()
        scored = Counting(texts, ["y x", "z z"], ["bleu"], setting)
        warnings = compare_scored(scored, Resamples(2)).warnings
        assert len(counted) == times
        alone = score_replies(texts["a"], ["y x", "z z"], metrics=["bleu"], bands=setting.bands)
        assert warnings.get("a", []) == alone.warnings
        assert scored.scores()["a"] == alone
    assert "do not occur in the training data" in warnings["a"][0]
