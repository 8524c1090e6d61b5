"""Resampling tests of two or more systems on the same test set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg import __version__
from eureka_nlg.errors import UserError
from eureka_nlg.limits import check_seed
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.replies.catalogue import find_metric
from eureka_nlg.metrics.replies.f_score import check_types
from eureka_nlg.metrics.replies.scores import ScoredSystems
from eureka_nlg.metrics.replies.setting import (
    BleuTokenizer,
    Metric,
    NgramCounts,
    Resampling,
    Setting,
    Types,
    Unit,
)
from eureka_nlg.metrics.significance.inference import Inference, p_value
from eureka_nlg.metrics.significance.matrices import Matrices
from eureka_nlg.metrics.significance.resampling import RESAMPLERS
from eureka_nlg.metrics.significance.results import Comparison, Difference, Estimate, TestedOn
from eureka_nlg.metrics.significance.trials import randomised, resampled
from eureka_nlg.metrics.text.lines import Reply

__all__ = ["Resamples", "compare", "compare_matrices", "compare_scored"]

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
    resamples = Resamples(num_resamples, seed, confidence, baseline, randomisation, resampling)
    setting = Setting(lowercase, types, vocabulary, bands, training_ngrams, unit, bleu_tokenize)
    return compare_scored(ScoredSystems(systems, references, metrics, setting, more_references), resamples)


@dataclass(frozen=True)
class Resamples:
    """The options of :func:`compare` about resamples, with its names and defaults.

    Raises:
        UserError: one is invalid.
    """

    num_resamples: int = 1000
    seed: int = 1
    confidence: float = 95
    baseline: str | None = None
    randomisation: bool = True
    resampling: Resampling | None = None

    def __post_init__(self) -> None:
        if self.num_resamples < 1:
            raise UserError(f"num_resamples is {self.num_resamples}, expected 1 or more")
        check_seed("seed", self.seed)
        if not 0 < self.confidence < 100:
            raise UserError(f"confidence is {self.confidence}, expected a percentage between 0 and 100")
        if self.resampling is not None and self.resampling not in RESAMPLERS:
            raise UserError(f"resampling is {self.resampling!r}, expected one of: {', '.join(RESAMPLERS)}")


def compare_scored(scored: ScoredSystems, resamples: Resamples = Resamples()) -> Comparison:
    """As :func:`compare`, for systems that have been scored before."""
    if len(scored.pairs) < 2:
        raise UserError(f"there are {len(scored.pairs)} pairs, expected 2 or more: one cannot be resampled")
    scorer = scored.scorer
    values = [scorer.values(system) for system in range(len(scored.names))]
    return compare_matrices(
        {name: values[system] for system, name in enumerate(scored.names)},
        [Matrices.of_pairs(totals, scored.pairs) for totals in scorer.totals],
        len(scored.pairs),
        resamples,
        signature={key: value for key, value in scored.signature.items() if key not in ("n", "metrics")},
        unavailable=scorer.unavailable,
        warnings=scored.warnings(),
    )


def compare_matrices(
    values: Mapping[str, Mapping[str, float]],
    matrices: Sequence[Matrices],
    num_pairs: int,
    resamples: Resamples,
    *,
    signature: Mapping[str, Any],
    unavailable: Mapping[str, str],
    warnings: Mapping[str, list[str]],
    metrics: Mapping[str, Metric] | None = None,
    tested_on: TestedOn = "pairs",
) -> Comparison:
    """The comparison of systems whose metrics are functions of totals over the test set.

    Args:
        values: name of each system -> metric -> its value, in the order of the table.
        matrices: the totals of all systems, in the same order.
        num_pairs: N, the number of examples of the test set.
        resamples: how many, and which tests.
        signature: the settings that define the values.
        unavailable, warnings, metrics, tested_on: as in :class:`Comparison`.

    Raises:
        UserError: the baseline is no system.
    """
    names = tuple(values)
    baseline = names[0] if resamples.baseline is None else resamples.baseline
    if baseline not in names:
        raise UserError(f"there is no system {baseline!r}, expected one of: {', '.join(names)}")
    seeds = dict(zip(("bootstrap", "jackknife", "swaps"), np.random.SeedSequence(resamples.seed).spawn(3)))
    samples: dict[str, NDArray[np.float64]] = {}
    methods: dict[str, Resampling] = {}
    for kind in RESAMPLERS:
        chosen = [one for one in matrices if (resamples.resampling or one.resampling) == kind]
        if chosen:
            found = resampled(chosen, kind, num_pairs, resamples.num_resamples, seeds[kind])
            samples |= found
            methods |= dict.fromkeys(found, kind)
    first = names.index(baseline)
    others = [system for system in range(len(names)) if system != first]
    shuffled = {}
    if resamples.randomisation and others:
        shuffled = randomised(matrices, first, num_pairs, resamples.num_resamples, seeds["swaps"])

    scores: dict[str, dict[str, Estimate]] = {}
    differences: dict[str, dict[str, Difference]] = {}
    for metric in next(iter(values.values())):
        described = (metrics or {}).get(metric) or find_metric(metric)
        value, sample = [found[metric] for found in values.values()], samples[metric]
        infer = Inference(methods[metric], num_pairs, resamples.confidence)
        scores[metric] = {
            name: infer.estimate(
                value[system], sample[system], 0.0, described.most if described else math.inf
            )
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
    swapped = {"pairs": "replies", "images": "predictions"}[tested_on]
    return Comparison(
        scores,
        differences,
        names,
        baseline,
        {metric: methods[metric] for metric in scores},
        num_pairs,
        {
            "num_resamples": resamples.num_resamples,
            "seed": resamples.seed,
            "generator": f"numpy {np.__version__} PCG64",
            "confidence": resamples.confidence,
            "interval": "bootstrap: percentiles; "
            f"jackknife: 10 % of the {tested_on} deleted, centred and rescaled",
            "p_resampling": f"two-sided, moved to the null hypothesis, {_P_VALUE}",
            "p_randomisation": f"two-sided, {swapped} swapped with probability 1/2, {_P_VALUE}"
            if shuffled
            else None,
            **signature,
            "eureka_nlg": __version__,
        },
        dict(unavailable),
        dict(warnings),
        dict(metrics or {}),
        tested_on,
    )
