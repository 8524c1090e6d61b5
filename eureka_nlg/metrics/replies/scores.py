"""All scores of one or more systems in one pass over their replies, with the settings that define them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eureka_nlg import __version__
from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN, WordBands
from eureka_nlg.metrics.replies.advice import Advice
from eureka_nlg.metrics.replies.catalogue import default_metrics, find_metric, select_metrics, totals_of
from eureka_nlg.metrics.replies.f_score import MacroF, check_types
from eureka_nlg.metrics.replies.setting import BleuTokenizer, Metric, NgramCounts, Setting, Types, Unit
from eureka_nlg.metrics.replies.stream import Stream
from eureka_nlg.metrics.text.lines import Reply, check_sequence
from eureka_nlg.metrics.text.pairs import Pairs, paired

__all__ = ["ReplyScores", "ScoredSystems", "Scorer", "score_replies"]


@dataclass(frozen=True)
class ReplyScores:
    """The scores of one system.

    Attributes:
        scores: key of the metric -> value; :func:`find_metric` has its unit and its range.
        num_pairs: number of pairs of reply and reference.
        num_types: number of word types that macro F averages over.
        num_hypothesis_words, num_reference_words: number of words on each side.
        signature: all settings that define the numbers.
        unavailable: key of a requested metric that cannot be computed here -> the reason.
        bands: if there are bands of training frequency: band -> ``num_types``, the word types that macro F
            averages over, and ``num_reference_words``.
        warnings: sentences that say what makes the scores of these texts meaningless.
    """

    scores: dict[str, float]
    num_pairs: int
    num_types: int
    num_hypothesis_words: int
    num_reference_words: int
    signature: dict[str, Any] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    bands: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The scores as a JSON document."""
        document = {"scores": self.scores, "num_pairs": self.num_pairs, "num_types": self.num_types}
        optional = {"bands": self.bands, "unavailable": self.unavailable, "warnings": self.warnings}
        document |= {name: value for name, value in optional.items() if value}
        return document | {"signature": self.signature}


class Scorer:
    """The scores of one or more systems on the same references, from chunks of pairs.

    Args:
        metrics: keys or groups of metrics; None for the default metrics.
        setting: the settings that scores depend on; pairs have to be made with its ``tokenise``.
        n: words per n-gram of the default metrics.
        num_systems: number of systems in the pairs.

    Attributes:
        keys: keys of the metrics, including unavailable ones.
        totals: the totals that the metrics are computed from.
        unavailable: key of a metric that cannot be computed here -> the reason.
    """

    def __init__(
        self, metrics: Sequence[str] | None, setting: Setting, n: int = 4, num_systems: int = 1
    ) -> None:
        self.setting = setting
        self._n = n if metrics is None else None  # the keys of named metrics contain their n
        self.keys = (
            default_metrics(*setting.bands_and_novelty, n=n)
            if metrics is None
            else select_metrics(metrics, *setting.bands_and_novelty)
        )
        self.totals, self.unavailable = totals_of(self.keys, setting)
        bands = () if setting.bands is None else (*setting.bands.names, UNSEEN)
        self._words = MacroF([Metric("", band=band) for band in (None, *bands)], setting)
        self._advice = Advice(setting.unit, setting.lowercase, num_systems)
        self._num_pairs, self._num_references = 0, 1
        self._streams: list[list[Stream]] = [[] for _ in range(num_systems)]
        for streams in self._streams:
            for totals in self.totals:
                streams.append(Stream(totals, beside=streams))
        self._word_streams = [Stream(self._words, beside=streams) for streams in self._streams]

    def update(self, pairs: Pairs) -> None:
        """Add pairs to the scores; :meth:`count_words` counts their words."""
        self._advice.update(pairs)
        self._num_pairs += len(pairs)
        self._num_references = len(pairs.words.references)
        for totals in self.totals:
            totals.note(pairs)
        for system, streams in enumerate(self._streams):
            for stream in streams:
                stream.update(pairs, system)

    def count_words(self, pairs: Pairs) -> None:
        """Count the words and word types of pairs, which :meth:`scores` reports, too."""
        for system, stream in enumerate(self._word_streams):
            stream.update(pairs, system)

    def values(self, system: int) -> dict[str, float]:
        """Key of each metric -> its value for a system."""
        found: dict[str, float] = {}
        for stream in self._streams[system]:
            found |= stream.scores()
        return {key: found[key] for key in self.keys if key not in self.unavailable}

    def warnings(self, system: int) -> list[str]:
        """Reasons why the scores of a system are meaningless; with bands, words have to be counted first."""
        warnings = self._advice.of(system)
        if self.setting.bands is not None:
            num_words = self._words.num_words(self._word_streams[system].sums())[:, 2].tolist()
            if 2 * num_words[-1] > num_words[0]:
                warnings.append(
                    f"{100 * num_words[-1] / num_words[0]:.0f} % of the references' words do not occur in "
                    "the training data: are both written in the same way?"
                )
        return warnings

    def scores(self, system: int = 0) -> ReplyScores:
        """The scores of a system, after its words have been counted."""
        sums = self._word_streams[system].sums()
        num_types = self._words.num_types(sums)[:, 0].astype(int).tolist()
        num_words = self._words.num_words(sums).tolist()
        bands = [metric.band for metric in self._words.metrics[1:]]
        return ReplyScores(
            scores=self.values(system),
            num_pairs=self._num_pairs,
            num_types=num_types[0],
            num_hypothesis_words=num_words[0][1],
            num_reference_words=num_words[0][2],
            signature=self.signature(),
            unavailable=self.unavailable,
            bands={
                str(band): {"num_types": types, "num_reference_words": counts[2]}
                for band, types, counts in zip(bands, num_types[1:], num_words[1:])
            },
            warnings=self.warnings(system),
        )

    def signature(self) -> dict[str, Any]:
        """The settings that define the scores."""
        signature: dict[str, Any] = {
            "types": self.setting.types,
            "tokenisation": {"word": "whitespace", "character": "characters"}[self.setting.unit],
            "lowercase": self.setting.lowercase,
        }
        for totals in self.totals:
            for name, value in totals.signature().items():
                signature[name] = {**signature.get(name, {}), **value} if isinstance(value, dict) else value
        if self._n is not None:
            signature["n"] = self._n
        if self._num_references > 1:
            signature["references"] = self._num_references
        if self.setting.bands is not None:
            signature["bands"] = self.setting.bands.rule
        described = {key: metric.meaning for key in self.keys if (metric := find_metric(key))}
        return signature | {"metrics": described, "eureka_nlg": __version__}


class ScoredSystems:
    """Systems that have been scored on the same test set, with all that a comparison needs.

    Args:
        systems: name -> N replies, strings (split on white space) or token sequences.
        references: N references in the same order.
        metrics: keys or groups of metrics; None for the default metrics.
        setting: the settings that scores depend on.
        more_references: further sets of N references.

    Attributes:
        names: names of the systems.
        pairs: all texts, tokenised.
        scorer: the totals and scores.

    Raises:
        UserError: there are no systems, or the numbers of replies and references differ.
    """

    def __init__(
        self,
        systems: Mapping[str, Sequence[Reply]],
        references: Sequence[Reply],
        metrics: Sequence[str] | None,
        setting: Setting,
        more_references: Sequence[Sequence[Reply]] = (),
    ) -> None:
        if not systems:
            raise UserError("there is no system to compare: give the replies of one or more")
        check_sequence("references", references)
        for number, more in enumerate(more_references, 2):
            check_sequence(f"references {number}", more)
            if len(more) != len(references):
                raise UserError(
                    f"references {number}: {len(more)}, expected {len(references)} as in the first set"
                )
        for name, replies in systems.items():
            check_sequence(name, replies)
            if len(replies) != len(references):
                raise UserError(
                    f"{name}: {len(replies)} replies for {len(references)} references: "
                    "expected one reply per reference, in the same order"
                )
        self.names = tuple(systems)
        self.scorer = Scorer(metrics, setting, num_systems=len(systems))
        self.pairs = Pairs(list(systems.values()), [references, *more_references], setting.tokenise)
        self.scorer.update(self.pairs)
        self._has_counted = False

    def scores(self) -> dict[str, ReplyScores]:
        """Name of each system -> its scores."""
        self._count_words()
        return {name: self.scorer.scores(system) for system, name in enumerate(self.names)}

    def warnings(self) -> dict[str, list[str]]:
        """Name of each system with warnings -> its warnings; see :attr:`ReplyScores.warnings`."""
        if self.scorer.setting.bands is not None:
            self._count_words()
        found = {name: self.scorer.warnings(system) for system, name in enumerate(self.names)}
        return {name: sentences for name, sentences in found.items() if sentences}

    def _count_words(self) -> None:
        if not self._has_counted:
            self._has_counted = True
            self.scorer.count_words(self.pairs)

    @property
    def signature(self) -> dict[str, Any]:
        """The settings that define the scores."""
        return self.scorer.signature()


def score_replies(
    hypotheses: Iterable[Reply],
    references: Iterable[Reply],
    *,
    metrics: Sequence[str] | None = None,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
    lowercase: bool = False,
    n: int = 4,
    bands: WordBands | None = None,
    training_ngrams: NgramCounts | None = None,
    names: Sequence[str] = ("hypotheses", "references"),
    more_references: Sequence[Iterable[Reply]] = (),
    unit: Unit = "word",
    bleu_tokenize: BleuTokenizer = "none",
) -> ReplyScores:
    """Score the replies of one system as a stream: memory grows only with distinct words and n-grams.

    Args:
        hypotheses: replies of the system, strings (split on white space) or token sequences.
        references: one reference per reply, in the same order.
        metrics: keys or groups of metrics (see :func:`eureka_nlg.metrics.select_metrics`); default:
            :func:`eureka_nlg.metrics.default_metrics`.
        types: the word types that macro F averages over; see :func:`eureka_nlg.metrics.f_scores`.
        vocabulary: the word types for ``types="vocabulary"``.
        lowercase: whether to convert replies, references and vocabulary to lower case first.
        n: words per n-gram of the default metrics.
        bands: bands of training frequency, for the scores of each band; made of lower-case words if
            ``lowercase`` is set.
        training_ngrams: n-grams of the training targets, for ``novelty_<n>``; made of lower-case words if
            ``lowercase`` is set.
        names: names of the two sides in error messages, for example the names of their files.
        more_references: further sets of references. Each reply is compared with the best reference, as each
            metric defines it. An empty line means that there is no further reference.
        unit: ``"word"``; or ``"character"``, each character of scripts without spaces, and the words of all
            other scripts.
        bleu_tokenize: a tokeniser of sacrebleu for BLEU; ``"none"`` keeps the units.

    Raises:
        UserError: the lengths differ, ``types`` or a metric is unknown, or a vocabulary, bands or training
            targets are needed and not given.
        MissingExtraError: a package that a metric needs is not installed.
    """
    check_types(types, vocabulary)
    setting = Setting(lowercase, types, vocabulary, bands, training_ngrams, unit, bleu_tokenize)
    scorer = Scorer(metrics, setting, n)
    names = [*names, *(f"references {number}" for number in range(2, 2 + len(more_references)))]
    for pairs in paired(hypotheses, references, *more_references, tokenise=setting.tokenise, names=names):
        scorer.update(pairs)
        scorer.count_words(pairs)
    return scorer.scores()
