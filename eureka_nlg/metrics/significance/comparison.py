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
from eureka_nlg.metrics.replies.catalogue import default_metrics, select_metrics
from eureka_nlg.metrics.replies.f_score import Types, check_types
from eureka_nlg.metrics.replies.ngrams import DiversityStatistics
from eureka_nlg.metrics.replies.totals import Resampling
from eureka_nlg.metrics.significance.inference import Inference, p_value
from eureka_nlg.metrics.significance.metrics import prepare
from eureka_nlg.metrics.significance.resampling import RESAMPLERS
from eureka_nlg.metrics.significance.results import Comparison, Difference, Estimate
from eureka_nlg.metrics.significance.trials import observed, randomised, resampled
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs

__all__ = ["compare"]

_UNLIMITED = ("ead", "entropy", "mean_length")  # all other metrics end at 100
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
    seen: DiversityStatistics | None = None,
) -> Comparison:
    """Score systems on the same test set, with confidence intervals and tests of their differences.

    All systems and metrics share the resamples, so that what makes a resample easy or hard for all of them
    cancels in differences.

    :mod:`eureka_nlg.metrics.significance` says what the intervals and p-values are and what they mean.

    Args:
        systems: name -> N replies, strings (split on white space) or token sequences.
        references: N references in the same order.
        metrics: keys of :mod:`eureka_nlg.metrics.replies.catalogue`; default: its default metrics.
        num_resamples: R, of each kind. The smallest possible p-value is 1 / (R + 1).
        seed: of the resamples; the same seed gives the same numbers.
        confidence: of the intervals, in percent.
        baseline: the system that the others are compared with; default: the first.
        randomisation: also test by approximate randomisation.
        resampling: ``"bootstrap"`` or ``"jackknife"`` for all metrics; default: each the one that suits it.
        types, vocabulary: the word types of macro F. Each resample has its own set of types, as
            :func:`eureka_nlg.metrics.f_scores` of the resampled text would; a vocabulary stays as it is.
        lowercase: lower the case first.
        bands: frequency bands of the training words, for ``macro_f_<band>``, ``micro_f_<band>`` and
            ``recall_<band>``; lowered already with ``lowercase``.
        seen: n-grams of the training targets, for ``novelty_<n>``; lowered already with ``lowercase``.

    Raises:
        UserError: systems of unequal lengths, fewer than two pairs, an unknown metric, system or option.
        MissingExtraError: a package that a metric needs is not installed.
    """
    if num_resamples < 1:
        raise UserError(f"num_resamples is {num_resamples}, expected 1 or more")
    if not 0 < confidence < 100:
        raise UserError(f"confidence is {confidence}, expected a percentage between 0 and 100")
    if resampling is not None and resampling not in RESAMPLERS:
        raise UserError(f"resampling is {resampling!r}, expected one of: {', '.join(RESAMPLERS)}")
    check_types(types, vocabulary)
    pairs = Pairs(systems, references, lowercase)
    if baseline is None:
        baseline = pairs.names[0]
    elif baseline not in pairs.names:
        raise UserError(f"there is no system {baseline!r}, expected one of: {', '.join(pairs.names)}")
    known = (() if bands is None else bands.bands.names, None if seen is None else seen.n)
    metrics = default_metrics(*known) if metrics is None else select_metrics(metrics, *known)
    statistics, unavailable = prepare(pairs, metrics, types, vocabulary, bands, seen)
    seeds = dict(zip(("bootstrap", "jackknife", "swaps"), np.random.SeedSequence(seed).spawn(3)))
    samples: dict[str, NDArray[np.float64]] = {}
    methods: dict[str, Resampling] = {}
    for kind in RESAMPLERS:
        chosen = [statistic for statistic in statistics if (resampling or statistic.resampling) == kind]
        if chosen:
            found = resampled(chosen, kind, len(pairs), num_resamples, seeds[kind])
            samples |= found
            methods |= dict.fromkeys(found, kind)
    names = pairs.names
    first = names.index(baseline)
    others = [system for system in range(len(names)) if system != first]
    shuffled = {}
    if randomisation and others:
        shuffled = randomised(statistics, first, len(pairs), num_resamples, seeds["swaps"])

    scores: dict[str, dict[str, Estimate]] = {}
    differences: dict[str, dict[str, Difference]] = {}
    values = observed(statistics, len(pairs))
    for metric in (metric for metric in metrics if metric not in unavailable):
        value, sample = values[metric][:, 0], samples[metric]
        infer = Inference(methods[metric], len(pairs), confidence)
        most = math.inf if metric.startswith(_UNLIMITED) else 100.0
        scores[metric] = {
            name: infer.estimate(value[system], sample[system], 0.0, most)
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
        "types": types,
        "lowercase": lowercase,
        "bands": None if bands is None else bands.bands.rule,
        "eureka_nlg": __version__,
    }
    resampled_by = {metric: methods[metric] for metric in scores}
    return Comparison(scores, differences, names, baseline, resampled_by, len(pairs), signature, unavailable)
