"""The data of a report: plain data about runs, scores and replies, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eureka_nlg.errors import UserError
from eureka_nlg.runs.rare_words import RareWords
from eureka_nlg.training_log import TrainingLog

__all__ = ["Score", "ScoreRow", "ScoreTable", "System", "Report", "ImageReport"]


# title of a group of scores -> the beginnings of the keys of its metrics; a key is in the first that fits
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The scores of the paper", ("macro_f\0", "micro_f\0", "diversity_4\0")),
    ("By training frequency of the words", ("macro_f_", "micro_f_", "recall_")),
    ("Likeness to the reference", ("parlai_f1", "bleu", "chrf", "rouge_l", "meteor", "perplexity")),
    ("Variety", ("diversity_", "reply_diversity_", "ead_", "entropy_", "novelty_", "copies")),
    ("Other", ("",)),
)


@dataclass(frozen=True)
class Score:
    """A score of one system.

    Attributes:
        value: the score.
        low, high: ends of its confidence interval, if one was computed.
        p_value: probability of a difference from the baseline this large by chance; None for the baseline.
        significant: whether the difference counts as real.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    significant: bool = False


@dataclass(frozen=True)
class ScoreRow:
    """A row of the table of scores.

    Attributes:
        label: name with the unit, such as ``"macro F (%)"``.
        description: what the metric measures, in a few words.
        scores: system -> score; a system may be missing.
        higher_is_better: which direction is good; None if neither is.
        key: of the metric, such as ``"macro_f"``; decides the group of the row in the table.
        group: title of the group, where the key does not decide it.
    """

    label: str
    description: str
    scores: Mapping[str, Score]
    higher_is_better: bool | None = True
    key: str = ""
    group: str = ""

    @property
    def digits(self) -> int:
        """Decimals to show: two, or three where the largest score is below one, but not 0."""
        largest = max((abs(score.value) for score in self.scores.values()), default=0.0)
        return 3 if 0 < largest < 1 else 2

    @property
    def best(self) -> str | None:
        """The system with the best score, if there are two or more systems and one is best."""
        if self.higher_is_better is None or len(self.scores) < 2:
            return None
        sign = 1 if self.higher_is_better else -1
        ranked = sorted(self.scores, key=lambda system: -sign * self.scores[system].value)
        first, second = (self.scores[system].value for system in ranked[:2])
        return ranked[0] if first != second else None

    def is_better(self, system: str, baseline: str) -> bool | None:
        """Whether a system is better than the baseline; None if neither direction is good."""
        if self.higher_is_better is None:
            return None
        return (self.scores[system].value > self.scores[baseline].value) == self.higher_is_better


@dataclass(frozen=True)
class ScoreTable:
    """Scores of all systems.

    Attributes:
        metrics: the rows.
        baseline: the system that the others are tested against, if they are.
        method: how intervals and p-values were computed, in a sentence or two.
        signature: everything else that defines the numbers, in values that JSON can hold.
        warnings: system -> reasons why its scores are meaningless.
    """

    metrics: Sequence[ScoreRow]
    baseline: str | None = None
    method: str = ""
    signature: Mapping[str, Any] = field(default_factory=dict)
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def groups(self) -> list[tuple[str, list[ScoreRow]]]:
        """Title and rows of each group that is not empty; the scores of the paper's Table 4 come first."""
        groups: dict[str, list[ScoreRow]] = {title: [] for title, _ in _GROUPS}
        for row in self.metrics:
            title = row.group or next(title for title, start in _GROUPS if f"{row.key}\0".startswith(start))
            groups.setdefault(title, []).append(row)
        return [(title, rows) for title, rows in groups.items() if rows]


@dataclass(frozen=True)
class System:
    """A trained model.

    Attributes:
        name: its name in the report.
        replies: one for each context.
        facts: label -> text; checkpoint, epoch, SHA-256, software.
        options: section -> option -> value, of the training.
        log: the training log, if there is one.
    """

    name: str
    replies: Sequence[str]
    facts: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    log: TrainingLog | None = None


@dataclass(frozen=True)
class Report:
    """Everything that the page shows.

    Attributes:
        title: of the page.
        split: name of the split that was decoded.
        decoding: how it was decoded, such as ``"greedy"`` or ``"beam 5"``.
        contexts, references: one for each example.
        systems: the models, in the order of their columns; the first is the baseline.
        scores: the table, if there is one.
        rare: which words are rare, if the training counts are known.
        analysis: document of ``eureka analyse``, version 1, if there is one.
        manifest: manifest of the data folder, if there is one.
        missing: name of a section -> why it, or a part of it, is not on the page.

    Raises:
        UserError: no system, two systems with the same name, or numbers of replies and contexts that differ.
    """

    title: str
    split: str
    decoding: str
    contexts: Sequence[str]
    references: Sequence[str]
    systems: Sequence[System]
    scores: ScoreTable | None = None
    rare: RareWords | None = None
    analysis: Mapping[str, Any] | None = None
    manifest: Mapping[str, Any] | None = None
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [system.name for system in self.systems]
        if not names or len(set(names)) != len(names):
            raise UserError(f"systems are named {names}, expected one or more with different names")
        for name, texts in (
            ("references", self.references),
            *((system.name, system.replies) for system in self.systems),
        ):
            if len(texts) != len(self.contexts):
                raise UserError(
                    f"{name}: {len(texts)} lines for {len(self.contexts)} contexts, expected one for each"
                )

    @property
    def nouns(self) -> tuple[str, str]:
        """The words for a class and for the examples in titles and captions."""
        return "word", "references"


@dataclass(frozen=True)
class ImageReport(Report):
    """A report on classifiers of images; ``contexts``, ``references`` and replies are empty.

    Attributes:
        class_counts: training images of each class.
        accuracy_of_class: system -> test accuracy of each class in percent; None without test images.
        confusion: system -> group -> where its test images go, in percent: ``right``, or ``wrong_GROUP``.
    """

    class_counts: Sequence[int] = ()
    accuracy_of_class: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)

    @property
    def nouns(self) -> tuple[str, str]:
        """See :class:`Report`."""
        return "class", "images"
