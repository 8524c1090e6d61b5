"""The names of all scores of replies: what each is called in a table, what it is, what it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN

__all__ = ["GROUPS", "Metric", "all_metrics", "default_metrics", "find_metric", "select_metrics"]


@dataclass(frozen=True)
class Metric:
    """A score of replies.

    Attributes:
        key: its name in ``ReplyScores.scores`` and on the command line.
        label: its name in the table.
        description: what it is, with the unit.
        family: the key without ``n`` and band.
        n: words per n-gram, where the metric has n-grams.
        band: the band of training frequency whose words it judges, where it judges one.
    """

    key: str
    label: str
    description: str
    family: str = ""
    n: int | None = None
    band: str | None = None


_PLAIN = {
    metric.key: replace(metric, family=metric.key)
    for metric in (
        Metric("macro_f", "macro F", "% mean F over word types: rare words weigh as much as common ones"),
        Metric("micro_f", "micro F", "% F over all words"),
        Metric("parlai_f1", "ParlAI F1", "% mean word F1 per reply, as in the ConvAI2 challenge"),
        Metric("bleu", "BLEU", "% corpus BLEU by sacrebleu"),
        Metric("chrf", "chrF", "% corpus chrF by sacrebleu: F of character n-grams"),
        Metric("rouge_l", "ROUGE-L", "% mean F1 of the longest common subsequence, by rouge-score"),
        Metric("meteor", "METEOR", "% mean METEOR by nltk: words, stems and synonyms of WordNet"),
        Metric("mean_length", "mean length", "words per reply"),
        Metric("copies", "copies", "% of replies that are the same as another reply"),
    )
}
_NGRAMS = {
    "diversity": ("{n}-gram diversity", "% of all {n}-grams that are distinct"),
    "reply_diversity": (
        "{n}-gram diversity in a reply",
        "% distinct of a reply's own {n}-grams, mean over replies",
    ),
    "ead": ("{n}-gram EAD", "% distinct {n}-grams of how many the length lets expect (Liu et al. 2022)"),
    "entropy": ("{n}-gram entropy", "nats, entropy of the {n}-grams (Zhang et al. 2018)"),
    "novelty": ("new {n}-grams", "% of all {n}-grams that are not in the training targets"),
}
_BANDS = {
    "macro_f": ("macro F, {band}", "% mean F over the word types of this band of training frequency"),
    "micro_f": ("micro F, {band}", "% F over the words of this band of training frequency"),
    "recall": ("recall, {band}", "% of the references' words in this band that the replies have"),
}
_NGRAM_KEY = re.compile(rf"({'|'.join(_NGRAMS)})_([1-9]\d*)", re.ASCII)
_BAND_KEY = re.compile(rf"({'|'.join(_BANDS)})_(.+)")
GROUPS = ("all", "bands", *_NGRAMS)
"""Names that stand for several metrics; those of n-grams for n = 1 to 4."""


def find_metric(key: str) -> Metric | None:
    """The metric of that key; None if there is none. Any name may be that of a band."""
    if key in _PLAIN:
        return _PLAIN[key]
    if match := _NGRAM_KEY.fullmatch(key):
        label, description = _NGRAMS[match[1]]
        n = int(match[2])
        return Metric(key, label.format(n=n), description.format(n=n), match[1], n=n)
    if match := _BAND_KEY.fullmatch(key):
        label, description = _BANDS[match[1]]
        return Metric(key, label.format(band=match[2]), description, match[1], band=match[2])
    return None


def default_metrics(bands: Sequence[str] = (), novelty: int | None = None, n: int = 4) -> list[str]:
    """The keys that are scored if none are asked for.

    Args:
        bands: names of the bands of training frequency, the most frequent first, where they are known.
        novelty: words per n-gram of the training targets, where these are known.
        n: words per n-gram.
    """
    keys = ["macro_f", "micro_f", "parlai_f1", f"diversity_{n}", "bleu"]
    keys += [f"diversity_{size}" for size in range(1, 5) if size != n]
    keys += [f"ead_{n}", f"entropy_{n}", "mean_length", "copies", "chrf", "rouge_l"]
    return keys + _band_metrics(bands) + ([f"novelty_{novelty}"] if novelty else [])


def all_metrics(bands: Sequence[str] = (), novelty: int | None = None) -> list[str]:
    """Every key, the default ones first; arguments as for :func:`default_metrics`."""
    keys = [*default_metrics(bands, novelty), *_PLAIN]
    keys += [f"{family}_{n}" for family in _NGRAMS if family != "novelty" for n in range(1, 5)]
    keys += [f"recall_{band}" for band in bands]
    return list(dict.fromkeys(keys))


def select_metrics(names: Sequence[str], bands: Sequence[str] = (), novelty: int | None = None) -> list[str]:
    """Keys of the named metrics and groups of metrics, each once, in the order of the names.

    Args:
        names: keys, or names of :data:`GROUPS`.
        bands, novelty: what is known of the training data, as for :func:`default_metrics`.

    Raises:
        UserError: an unknown name, or one that needs training data that is not known.
    """
    groups = {family: [f"{family}_{n}" for n in range(1, 5)] for family in _NGRAMS}
    groups["novelty"] = [f"novelty_{novelty}"] if novelty else []
    groups["bands"] = _band_metrics(bands)
    groups["all"] = all_metrics(bands, novelty)
    keys: list[str] = []
    for name in names:
        metric = find_metric(name)
        unknown = name not in groups if metric is None else metric.band and bands and not _has(bands, metric)
        if unknown:
            expected = ", ".join(dict.fromkeys([*groups["all"], *GROUPS]))
            raise UserError(f"there is no metric {name!r}, expected some of: {expected}")
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
