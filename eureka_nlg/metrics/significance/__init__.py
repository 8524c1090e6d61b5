"""Whether the difference between two systems is more than chance.

:func:`compare` scores systems on the same N pairs of reply and reference, R times over on resamples of them.

**Intervals and** ``p_resampling``. Metrics that are smooth functions of sums over the pairs use the paired
bootstrap (Koehn 2004; Efron & Tibshirani 1993): N pairs are drawn with replacement, and the interval runs
between percentiles of the resampled values. Metrics of what occurs at all (macro F, n-gram diversity, EAD,
entropy, copies) use the delete-d jackknife instead: resamples leave out d pairs, a tenth of them; the
deviations of their values from the mean of these, times sqrt((N - d) / d), are put around the value of the
test set, and the interval runs between their percentiles (Shao & Wu 1989; Wu 1990). A bootstrap resample
takes pairs twice and so makes repetitions that no test set has. Its intervals of such metrics are too narrow,
and may lie beside the value itself. For the p-value the resampled differences of two systems are moved to
mean 0 (for the jackknife also multiplied as above), so that they vary as differences would between test sets
if there were none in truth. With D the difference found and D_r the resampled and moved ones,
``p = (1 + #{r: |D_r| >= |D|}) / (R + 1)`` (Noreen 1989; Riezler & Maxwell 2005).

``p_randomisation``. Approximate randomisation (Noreen 1989; Riezler & Maxwell 2005): for each pair the two
systems swap their replies with probability 1/2, and p is formed in the same way from the differences of the R
shuffled systems. It is the probability of a difference at least as large, in either direction, if for every
context either reply could as well have come from the other system. The test is exact whatever the metric, and
the one to prefer. Its hypothesis is about the replies as a whole, though: two systems that tie in a metric
and differ otherwise are not what it describes, and there the interval has the last word.

A p-value is neither the probability that the systems are equally good nor the size of a difference; for that
there is the interval. Both speak of other test pairs, not of other training runs with other seeds. Of
comparisons without a true difference one in twenty has p < 0.05, so a table of many metrics needs Holm's
(1979) correction before its single marks mean much: :meth:`Comparison.p_values`.

Macro F averages over a set of word types that belongs to the metric, so each resample has its own: the types
of *its* references for ``"reference"``, of both its sides for ``"union"``; only a ``"vocabulary"`` stays as
it is. That is what :func:`eureka_nlg.metrics.f_scores` gives for the resampled text. Under a fixed set, rare
types that a resample happens to lack would count as failures of the system.

Sources: Efron & Stein 1981, "The jackknife estimate of variance"; Efron & Tibshirani 1993, "An introduction
to the bootstrap"; Holm 1979, "A simple sequentially rejective multiple test procedure"; Koehn 2004,
"Statistical significance tests for machine translation evaluation"; Noreen 1989, "Computer-intensive methods
for testing hypotheses"; Riezler & Maxwell 2005, "On some pitfalls in automatic evaluation and significance
testing for MT"; Shao & Wu 1989, "A general theory for jackknife variance estimation"; Wu 1990, "On the
asymptotic properties of the jackknife histogram".
"""

from eureka_nlg.metrics.significance.comparison import compare
from eureka_nlg.metrics.significance.results import Comparison, Difference, Estimate, holm
from eureka_nlg.metrics.significance.table import significance_table

__all__ = ["compare", "significance_table", "holm", "Comparison", "Difference", "Estimate"]
