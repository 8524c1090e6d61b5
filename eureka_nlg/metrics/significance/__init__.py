"""Whether the difference between two systems is more than chance.

:func:`compare` scores systems on the same N pairs of reply and reference, and on R resamples of these pairs;
:func:`compare_classifiers` does the same with the predictions of classifiers for N test images.

**Intervals and** ``p_resampling``. Metrics that are smooth functions of sums over the pairs use the paired
bootstrap (Koehn 2004; Efron & Tibshirani 1993): N pairs are drawn with replacement, and the interval lies
between percentiles of the resampled values. Metrics that depend on whether something occurs at all (macro F,
n-gram diversity, EAD, entropy, copies) use the delete-d jackknife instead (Shao & Wu 1989; Wu 1990). Each of
its resamples leaves out d pairs, a tenth of them. The deviations of the resampled values from their mean are
multiplied by sqrt((N - d) / d), and the interval is the value of the test set plus percentiles of these
deviations. For such metrics the bootstrap is unsuitable: it draws pairs twice and so creates repetitions that
no test set has; its intervals are too narrow and may not even contain the value. For the p-value, the
resampled differences of two systems are shifted to mean 0 (for the jackknife also multiplied as above), so
that they vary as differences between test sets would if there were no true difference. With the observed
difference D and the shifted resampled differences D_r, ``p = (1 + #{r: |D_r| >= |D|}) / (R + 1)`` (Noreen
1989; Riezler & Maxwell 2005).

``p_randomisation``. Approximate randomisation (Noreen 1989; Riezler & Maxwell 2005): for each pair the two
systems swap their replies with probability 1/2, and p is computed in the same way from the differences of the
R shuffled systems. It is the probability of a difference at least as large, in either direction, if for every
context either reply could as well have come from the other system. This test is exact for any metric and is
the preferred one. Its null hypothesis is about the replies as a whole, however: for two systems that are
equal in a metric but differ otherwise it does not hold, and then the interval should decide.

A p-value is neither the probability that the systems are equally good nor the size of a difference; the
interval shows the size. Both are about other test pairs, not about training runs with other seeds. If there
is no true difference, one comparison in twenty has p < 0.05. So the marks in a table of many metrics need
Holm's (1979) correction before a single one means much: :meth:`Comparison.p_values`.

Macro F averages over a set of word types, and each resample has its own set: the types of *its* references
for ``"reference"``, and those of both its sides for ``"union"``; only a ``"vocabulary"`` is the same for all.
So the value of a resample is what :func:`eureka_nlg.metrics.f_scores` returns for the resampled text. With a
fixed set, rare types that a resample happens to lack would count as errors of the system.

Sources: Efron & Stein 1981, "The jackknife estimate of variance"; Efron & Tibshirani 1993, "An introduction
to the bootstrap"; Holm 1979, "A simple sequentially rejective multiple test procedure"; Koehn 2004,
"Statistical significance tests for machine translation evaluation"; Noreen 1989, "Computer-intensive methods
for testing hypotheses"; Riezler & Maxwell 2005, "On some pitfalls in automatic evaluation and significance
testing for MT"; Shao & Wu 1989, "A general theory for jackknife variance estimation"; Wu 1990, "On the
asymptotic properties of the jackknife histogram".
"""

from eureka_nlg.metrics.significance.classifiers import compare_classifiers
from eureka_nlg.metrics.significance.comparison import compare
from eureka_nlg.metrics.significance.results import Comparison, Difference, Estimate, holm
from eureka_nlg.metrics.significance.table import significance_table

__all__ = [
    "compare",
    "compare_classifiers",
    "significance_table",
    "holm",
    "Comparison",
    "Difference",
    "Estimate",
]
