"""The catalogue of all metrics of replies: names, descriptions, and the class that computes each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN
from eureka_nlg.metrics.replies.bleu import Bleu
from eureka_nlg.metrics.replies.chrf import Chrf
from eureka_nlg.metrics.replies.copies import Copies
from eureka_nlg.metrics.replies.f_score import MacroF, MicroF
from eureka_nlg.metrics.replies.length import Length
from eureka_nlg.metrics.replies.meteor import Meteor
from eureka_nlg.metrics.replies.ngrams import NgramTotals, Novelty
from eureka_nlg.metrics.replies.parlai_f1 import ParlaiF1
from eureka_nlg.metrics.replies.reply_diversity import ReplyDiversity
from eureka_nlg.metrics.replies.rouge_l import RougeL
from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.totals import Totals

__all__ = [
    "GROUPS",
    "all_metrics",
    "canonical",
    "default_metrics",
    "find_metric",
    "select_metrics",
    "totals_of",
]


@dataclass(frozen=True)
class _Family:
    """Metrics that differ only in ``n`` or in the band; see :class:`Metric` for the fields."""

    totals: type[Totals]
    label: str
    description: str
    unit: str = "%"
    most: float = 100.0
    better: Literal["more", "less"] | None = "more"


_ANY = float("inf")
_PLAIN = {
    "macro_f": _Family(MacroF, "macro F", "mean F over word types: rare words weigh as much as common ones"),
    "micro_f": _Family(MicroF, "micro F", "F over all words"),
    "parlai_f1": _Family(ParlaiF1, "ParlAI F1", "mean word F1 per reply, as in the ConvAI2 challenge"),
    "bleu": _Family(Bleu, "BLEU", "corpus BLEU, as in sacrebleu"),
    "chrf": _Family(Chrf, "chrF", "corpus chrF, as in sacrebleu: F of character n-grams"),
    "rouge_l": _Family(RougeL, "ROUGE-L", "mean F1 of the longest common subsequence, as in rouge-score"),
    "meteor": _Family(Meteor, "METEOR", "mean METEOR by nltk: words, stems and synonyms of WordNet"),
    "mean_length": _Family(Length, "mean length", "per reply", "words", _ANY, None),
    "copies": _Family(Copies, "copies", "of replies that are the same as another reply", better="less"),
}
_NGRAMS = {
    "diversity": _Family(NgramTotals, "{n}-gram diversity", "of all {n}-grams that are distinct"),
    "reply_diversity": _Family(
        ReplyDiversity,
        "{n}-gram diversity in a reply",
        "distinct of a reply's own {n}-grams, mean over replies",
    ),
    "ead": _Family(
        NgramTotals,
        "{n}-gram EAD",
        "distinct {n}-grams of how many the length lets expect (Liu et al. 2022)",
        most=_ANY,
    ),
    "entropy": _Family(
        NgramTotals, "{n}-gram entropy", "entropy of the {n}-grams (Zhang et al. 2018)", "nats", _ANY
    ),
    "novelty": _Family(
        Novelty, "new {n}-grams", "of all {n}-grams that are not in the training targets", better=None
    ),
}
_BANDS = {
    "macro_f": _Family(
        MacroF, "macro F, {band}", "mean F over the word types of this band of training frequency"
    ),
    "micro_f": _Family(MicroF, "micro F, {band}", "F over the words of this band of training frequency"),
    "recall": _Family(
        MicroF, "recall, {band}", "of the references' words in this band that the replies have"
    ),
}
_NGRAM_KEY = re.compile(rf"({'|'.join(_NGRAMS)})_([1-9]\d*)", re.ASCII)
_BAND_KEY = re.compile(rf"({'|'.join(_BANDS)})_(.+)")
_ALIASES = {
    "distinct": "diversity",
    "dist": "diversity",
    "inter_dist": "diversity",
    "intra_dist": "reply_diversity",
    "ent": "entropy",
    "chrf2": "chrf",
    "rouge": "rouge_l",
    "rougel": "rouge_l",
    "length": "mean_length",
    "macro_f1": "macro_f",
    "micro_f1": "micro_f",
}
GROUPS = ("all", "bands", *_NGRAMS)
"""Names of groups of metrics; a group of n-gram metrics has n = 1 to 4."""


def find_metric(key: str) -> Metric | None:
    """The metric with this key; None if there is none. Any name is accepted as the name of a band."""
    if key in _PLAIN:
        return _metric(_PLAIN[key], key, key)
    if match := _NGRAM_KEY.fullmatch(key):
        return _metric(_NGRAMS[match[1]], key, match[1], n=int(match[2]))
    if match := _BAND_KEY.fullmatch(key):
        return _metric(_BANDS[match[1]], key, match[1], band=match[2])
    return None


def canonical(name: str) -> str:
    """The key or group for a name in common use, such as ``distinct-2``; other names are returned unchanged.

    >>> [canonical(name) for name in ("distinct-2", "Dist-1", "ROUGE-L", "BLEU", "micro_f_head")]
    ['diversity_2', 'diversity_1', 'rouge_l', 'bleu', 'micro_f_head']
    """
    key = name.lower().replace("-", "_")
    family, n = re.fullmatch(r"(.*?)((?:_\d+)?)", key, re.DOTALL).groups()  # type: ignore[union-attr]
    key = _ALIASES.get(family, family) + n
    return key if name not in GROUPS and (key in GROUPS or find_metric(key)) and not _is_band(name) else name


def totals_of(keys: Sequence[str], setting: Setting) -> tuple[list[Totals], dict[str, str]]:
    """The totals that metrics are computed from; metrics share totals where possible.

    Args:
        keys: keys of metrics, as :func:`select_metrics` returns them.
        setting: the settings that scores depend on.

    Returns:
        The totals; and key -> reason for each metric that cannot be computed here.

    Raises:
        UserError: there is no such metric.
    """
    shared: dict[tuple[type[Totals], int | None], list[Metric]] = {}
    for key in keys:
        metric = find_metric(key)
        if metric is None:
            raise UserError(f"there is no metric {key!r}")
        shared.setdefault((_family(metric).totals, metric.n), []).append(metric)
    totals, unavailable = [], {}
    for (kind, _), metrics in shared.items():
        try:
            totals.append(kind(metrics, setting))
        except UserError as error:  # METEOR's data is no package, so it is often missing
            if kind is not Meteor:
                raise
            unavailable["meteor"] = str(error)
    return totals, unavailable


def default_metrics(bands: Sequence[str] = (), novelty: int | None = None, n: int = 4) -> list[str]:
    """The keys of the default metrics.

    Args:
        bands: names of the bands of training frequency, the most frequent first; empty if there are none.
        novelty: words per n-gram of the training targets; None if there are none.
        n: words per n-gram.
    """
    keys = ["macro_f", "micro_f", "parlai_f1", f"diversity_{n}", "bleu"]
    keys += [f"diversity_{size}" for size in range(1, 5) if size != n]
    keys += [f"ead_{n}", f"entropy_{n}", "mean_length", "copies", "chrf", "rouge_l"]
    return keys + _band_metrics(bands) + ([f"novelty_{novelty}"] if novelty else [])


def all_metrics(bands: Sequence[str] = (), novelty: int | None = None) -> list[str]:
    """All keys, the default ones first; the arguments are those of :func:`default_metrics`."""
    keys = [*default_metrics(bands, novelty), *_PLAIN]
    keys += [f"{family}_{n}" for family in _NGRAMS if family != "novelty" for n in range(1, 5)]
    keys += [f"recall_{band}" for band in bands]
    return list(dict.fromkeys(keys))


def select_metrics(names: Sequence[str], bands: Sequence[str] = (), novelty: int | None = None) -> list[str]:
    """Keys of the named metrics and groups of metrics, without repetitions, in the order of the names.

    Args:
        names: keys, names of groups (``all``, ``bands``, ``diversity``, ...), or other names in common use,
            such as ``distinct-2`` and ``rouge-l``.
        bands, novelty: as in :func:`default_metrics`.

    Raises:
        UserError: a name is unknown, or needs training data that is not given.
    """
    groups = {family: [f"{family}_{n}" for n in range(1, 5)] for family in _NGRAMS}
    groups["novelty"] = [f"novelty_{novelty}"] if novelty else []
    groups["bands"] = _band_metrics(bands)
    groups["all"] = all_metrics(bands, novelty)
    keys: list[str] = []
    for name in map(canonical, names):
        metric = find_metric(name)
        unknown = name not in groups if metric is None else metric.band and bands and not _has(bands, metric)
        if unknown:
            expected = list(dict.fromkeys([*groups["all"], *GROUPS]))
            if "self" in name.lower() and "bleu" in name.lower():
                hint = " (replies that repeat one another are what copies and diversity_4 measure)"
            else:
                close = get_close_matches(name, expected, 1)
                hint = f" (did you mean {close[0]}?)" if close else ""
            raise UserError(f"there is no metric {name!r}{hint}, expected some of: {', '.join(expected)}")
        if name == "bands" or (metric and metric.band):
            _need(bands, name, "training counts")
        if name == "novelty" or (metric and metric.family == "novelty"):
            _need(novelty, name, "the training targets")
            if metric and metric.n != novelty:
                raise UserError(f"the metric {name!r} needs other n-grams than the given {novelty}-grams")
        keys += [name] if metric else groups[name]
    return list(dict.fromkeys(keys))


def _has(bands: Sequence[str], metric: Metric) -> bool:
    return metric.band in bands or metric.band == UNSEEN


def _band_metrics(bands: Sequence[str]) -> list[str]:
    keys = [f"{family}_{band}" for family in ("macro_f", "micro_f") for band in bands]
    return keys + [f"recall_{band}" for band in bands[-1:]]


def _need(known: object, name: str, what: str) -> None:
    if not known:
        raise UserError(f"the metric {name!r} needs {what}, which are not given")


def _is_band(name: str) -> bool:
    metric = find_metric(name)
    return metric is not None and metric.band is not None


def _metric(family: _Family, key: str, name: str, n: int | None = None, band: str | None = None) -> Metric:
    label, description = (text.format(n=n, band=band) for text in (family.label, family.description))
    kind = family.totals.resampling
    return Metric(key, label, description, name, n, band, family.unit, family.most, family.better, kind)


def _family(metric: Metric) -> _Family:
    return (_NGRAMS if metric.n is not None else _PLAIN if metric.band is None else _BANDS)[metric.family]
