"""Resampling tests of two or more systems on the same test set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from eureka_nlg import __version__
from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.replies.catalogue import find_metric
from eureka_nlg.metrics.replies.f_score import check_types
from eureka_nlg.metrics.replies.scores import ScoredSystems
from eureka_nlg.metrics.replies.setting import BleuTokenizer, NgramCounts, Resampling, Setting, Types, Unit
from eureka_nlg.metrics.significance.inference import Inference, p_value
from eureka_nlg.metrics.significance.matrices import Matrices
from eureka_nlg.metrics.significance.resampling import RESAMPLERS
from eureka_nlg.metrics.significance.results import Comparison, Difference, Estimate
from eureka_nlg.metrics.significance.trials import randomised, resampled
from eureka_nlg.metrics.text.lines import Reply

__all__ = ["check_options", "compare", "compare_scored"]

_P_VALUE = "(count + 1) / (num_resamples + 1)"


def compare(
    systems: Mapping[str, Sequence[Reply]],
    references: Sequence[Reply],
    metrics: Sequence[str] | None = None,
    *,
    num_resamples: int = 1000,
    seed: int = 1,
    confidence: float = 95,
    baseline: str | None = None,
    randomisation: bool = True,
    resampling: Resampling | None = None,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
    lowercase: bool = False,
    bands: WordBands | None = None,
    training_ngrams: NgramCounts | None = None,
    more_references: Sequence[Sequence[Reply]] = (),
    unit: Unit = "word",
    bleu_tokenize: BleuTokenizer = "none",
) -> Comparison:
    """Score systems on the same test set, with confidence intervals and tests of their differences.

    All systems and metrics are evaluated on the same resamples, so that the difficulty of a resample cancels
    in differences. :mod:`eureka_nlg.metrics.significance` explains the intervals and the p-values.

    Args:
        systems: name -> N replies, strings (split on white space) or token sequences.
        references: N references in the same order.
        metrics: keys or groups for :func:`eureka_nlg.metrics.select_metrics`; default: the metrics of
            :func:`eureka_nlg.metrics.default_metrics`.
        num_resamples: R, the number of resamples of each kind. The smallest possible p-value is 1 / (R + 1).
        seed: seed of the resamples; the same seed gives the same numbers.
        confidence: confidence level of the intervals, in percent.
        baseline: the system that the others are compared with; default: the first.
        randomisation: whether to also test by approximate randomisation.
        resampling: ``"bootstrap"`` or ``"jackknife"`` for all metrics; default: the suitable one for each.
        types, vocabulary: the word types that macro F averages over, as in
            :func:`eureka_nlg.metrics.f_scores`. Each resample has its own set of types, unless it is a
            vocabulary.
        lowercase: whether to convert all texts to lower case first.
        bands: frequency bands of the training words, for ``macro_f_<band>``, ``micro_f_<band>`` and
            ``recall_<band>``; made of lower-case words if ``lowercase`` is set.
        training_ngrams: n-grams of the training targets, for ``novelty_<n>``; made of lower-case words if
            ``lowercase`` is set.
        more_references, unit, bleu_tokenize: as in :func:`eureka_nlg.metrics.score_replies`.

    Raises:
        UserError: the systems are not equally long, there are fewer than two pairs, or a metric, a system or
            an option is invalid.
        MissingExtraError: a package that a metric needs is not installed.
    """
    check_types(types, vocabulary)  # before the work starts
    check_options(num_resamples, confidence, resampling)
    setting = Setting(lowercase, types, vocabulary, bands, training_ngrams, unit, bleu_tokenize)
    return compare_scored(
        ScoredSystems(systems, references, metrics, setting, more_references),
        num_resamples=num_resamples,
        seed=seed,
        confidence=confidence,
        baseline=baseline,
        randomisation=randomisation,
        resampling=resampling,
    )


def check_options(num_resamples: int, confidence: float, resampling: Resampling | None = None) -> None:
    """Raise UserError where an option of :func:`compare` is invalid."""
    if num_resamples < 1:
        raise UserError(f"num_resamples is {num_resamples}, expected 1 or more")
    if not 0 < confidence < 100:
        raise UserError(f"confidence is {confidence}, expected a percentage between 0 and 100")
    if resampling is not None and resampling not in RESAMPLERS:
        raise UserError(f"resampling is {resampling!r}, expected one of: {', '.join(RESAMPLERS)}")


def compare_scored(
    scored: ScoredSystems,
    *,
    num_resamples: int = 1000,
    seed: int = 1,
    confidence: float = 95,
    baseline: str | None = None,
    randomisation: bool = True,
    resampling: Resampling | None = None,
) -> Comparison:
    """As :func:`compare`, for systems that have been scored before."""
    check_options(num_resamples, confidence, resampling)
    names, scorer, num_pairs = scored.names, scored.scorer, len(scored.pairs)
    if baseline is None:
        baseline = names[0]
    elif baseline not in names:
        raise UserError(f"there is no system {baseline!r}, expected one of: {', '.join(names)}")
    if num_pairs < 2:
        raise UserError(f"there are {num_pairs} pairs, expected 2 or more: one cannot be resampled")
    matrices = {totals: Matrices(totals, scored.pairs) for totals in scorer.totals}
    seeds = dict(zip(("bootstrap", "jackknife", "swaps"), np.random.SeedSequence(seed).spawn(3)))
    samples: dict[str, NDArray[np.float64]] = {}
    methods: dict[str, Resampling] = {}
    for kind in RESAMPLERS:
        chosen = [one for totals, one in matrices.items() if (resampling or totals.resampling) == kind]
        if chosen:
            found = resampled(chosen, kind, num_pairs, num_resamples, seeds[kind])
            samples |= found
            methods |= dict.fromkeys(found, kind)
    first = names.index(baseline)
    others = [system for system in range(len(names)) if system != first]
    shuffled = {}
    if randomisation and others:
        shuffled = randomised(list(matrices.values()), first, num_pairs, num_resamples, seeds["swaps"])

    scores: dict[str, dict[str, Estimate]] = {}
    differences: dict[str, dict[str, Difference]] = {}
    values = [scorer.values(system) for system in range(len(names))]
    for metric in values[0]:
        value, sample = [found[metric] for found in values], samples[metric]
        known = find_metric(metric)
        infer = Inference(methods[metric], num_pairs, confidence)
        scores[metric] = {
            name: infer.estimate(value[system], sample[system], 0.0, known.most if known else math.inf)
            for system, name in enumerate(names)
        }
        differences[metric] = {}
        for row, system in enumerate(others):
            difference, deltas = value[system] - value[first], sample[system] - sample[first]
            differences[metric][names[system]] = Difference(
                **asdict(infer.estimate(difference, deltas)),
                p_resampling=infer.p_value(difference, deltas),
                p_randomisation=p_value(difference, shuffled[metric][row]) if shuffled else None,
            )
    signature = {
        "num_resamples": num_resamples,
        "seed": seed,
        "generator": f"numpy {np.__version__} PCG64",
        "confidence": confidence,
        "interval": "bootstrap: percentiles; jackknife: 10 % of the pairs deleted, centred and rescaled",
        "p_resampling": f"two-sided, moved to the null hypothesis, {_P_VALUE}",
        "p_randomisation": f"two-sided, replies swapped with probability 1/2, {_P_VALUE}"
        if shuffled
        else None,
        **{name: value for name, value in scored.signature.items() if name not in ("n", "metrics")},
        "eureka_nlg": __version__,
    }
    resampled_by = {metric: methods[metric] for metric in scores}
    return Comparison(
        scores,
        differences,
        names,
        baseline,
        resampled_by,
        num_pairs,
        signature,
        scorer.unavailable,
        scored.warnings(),
    )
