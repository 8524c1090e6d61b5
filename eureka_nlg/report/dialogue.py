"""The report on trained dialogue models: replies, scores, likelihoods, logs, and what is missing.

from eureka_nlg.report.dialogue import DialogueReport
from eureka_nlg.report.page import write_page
write_page(DialogueReport.of(["runs/ce", "runs/el"]).collect(), "report.html")
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eureka_nlg import __version__
from eureka_nlg.analysis import Document, check_analysis, merged_analysis, read_analysis
from eureka_nlg.dialogue.analysis import DialogueAnalysis
from eureka_nlg.dialogue.generation import Run, generate
from eureka_nlg.dialogue.manifest import MANIFEST
from eureka_nlg.dialogue.run_data import RunData
from eureka_nlg.dialogue.training_statistics import TrainingStatistics, read_training_statistics
from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json, sha256
from eureka_nlg.metrics.classes.bands import FrequencyBands, WordBands
from eureka_nlg.metrics.significance import compare
from eureka_nlg.report.cache import cached
from eureka_nlg.report.model import RareWords, Report, ScoreTable, System
from eureka_nlg.report.names import run_names
from eureka_nlg.report.provenance import provenance
from eureka_nlg.report.scores import perplexity_row, score_table_of
from eureka_nlg.report.training_log import find_log, read_log

__all__ = ["DialogueReport", "ReportedRun"]

_TRAIN_SAMPLE = 5000  # training replies that are scored; enough for the gap to the test data
_RARE_SHARE = 0.05  # of the words of the training replies
_NGRAM = 4  # of the share of n-grams that no training reply has


@dataclass(frozen=True)
class ReportedRun:
    """A trained model that takes part.

    Attributes:
        name: in the report.
        path: as the user gave it.
        run: its checkpoint and data.
    """

    name: str
    path: str
    run: Run

    @cached_property
    def sha256(self) -> str:
        return sha256(self.run.checkpoint)

    @cached_property
    def data(self) -> RunData:
        return self.run.folders

    def kept(
        self, what: str, splits: Sequence[str], options: Mapping[str, Any]
    ) -> tuple[Path, dict[str, Any]]:
        """Where a result about the model is kept, and everything that it depends on."""
        files = [path for split in splits for path in self.data.files(split)]
        names = [path.name for path in files]
        key = {
            "eureka_nlg": __version__,
            "checkpoint": self.sha256,
            # several folders have files of the same names
            "data": {
                (path.name if names.count(path.name) == 1 else str(path)): sha256(path) for path in files
            },
            **options,
        }
        return (
            self.run.checkpoint.parent / "report" / f"{what}.{self.run.checkpoint.stem}.{splits[0]}.json",
            key,
        )


@dataclass
class DialogueReport:
    """What a report is made from, as far as it can be had.

    Attributes:
        models: the baseline first.
        split: the split to decode.
        beam: size of the beam; 1 decodes greedily.
        title: of the page.
        analysis: the likelihoods by word frequency: True to compute them, False to leave them out, or the
            JSON file of ``eureka analyse`` for these models.
        missing: section of the page -> what it lacks, and why.
    """

    models: Sequence[ReportedRun]
    split: str = "test"
    beam: int = 1
    title: str = "Dialogue models compared"
    analysis: bool | str | os.PathLike[str] = True
    missing: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        runs: Sequence[str | os.PathLike[str]],
        names: Sequence[str] | None = None,
        data: str | None = None,
        split: str | None = None,
        **options: Any,
    ) -> DialogueReport:
        """A report on runs.

        Args:
            runs: folders of trainings, or checkpoints.
            names: of the runs; None for those of the folders.
            data: data folder; None for that of each training.
            split: to decode; None for ``test``, or the only one besides the training data.
            **options: ``beam``, ``title``, ``analysis``.

        Raises:
            UserError: names that do not fit, no checkpoint, or no such split.
        """
        paths = [os.fspath(run) for run in runs]
        models = [
            ReportedRun(name, path, Run.load(path, data))
            for name, path in zip(run_names(paths, names), paths)
        ]
        if split is None:
            split = models[0].data.default_split()
        for model in models:
            model.run.check_split(split)
        return cls(models, split, **options)

    def collect(self) -> Report:
        """Decode, score and analyse what is not there yet.

        Raises:
            UserError: runs on different data, or an analysis of other models.
        """
        examples = [_decode(model, self.split, self.beam) for model in self.models]
        for model, example in zip(self.models, examples):
            if example.references != examples[0].references:
                raise UserError(
                    f"run {model.path}: its {self.split} references are not those of "
                    f"{self.models[0].path}, expected runs on the same data"
                )
        systems = [self._system(model, example.replies) for model, example in zip(self.models, examples)]
        training = self._training_statistics()
        analysis = self._analysis()
        return Report(
            title=self.title,
            split=self.split,
            decoding="greedy" if self.beam == 1 else f"beam {self.beam}",
            contexts=examples[0].contexts,
            references=examples[0].references,
            systems=systems,
            scores=self._scores(systems, examples[0].references, training, analysis),
            rare=None if training.bands is None else _rare_words(training.bands),
            analysis=analysis,
            manifest=self._manifest(),
            missing=self.missing,
        )

    def _lack(self, section: str, line: str) -> None:
        self.missing.setdefault(section, []).append(line)

    def _system(self, model: ReportedRun, replies: list[str]) -> System:
        origin = provenance(model.run.checkpoint)
        facts = {**origin.facts, "sha256": model.sha256, "data": model.run.data}
        log_path = find_log(model.path)
        if log_path is None:
            self._lack("training", f"No training curves of {model.name}: there is no log with {model.path}.")
            return System(model.name, replies, facts, origin.options)
        log = read_log(log_path)
        facts |= {"log": str(log_path), "software": ", ".join(map(" ".join, log.versions.items()))}
        if not log.versions:
            facts["software"] = "not in the log"
        return System(model.name, replies, facts, origin.options, log)

    def _training_statistics(self) -> TrainingStatistics:
        try:
            return read_training_statistics(str(self.models[0].data), n=_NGRAM)
        except UserError as error:
            self._lack("replies", f"Rare words are not marked, and have no scores of their own: {error}.")
            return TrainingStatistics()

    def _scores(
        self,
        systems: Sequence[System],
        references: Sequence[str],
        training: TrainingStatistics,
        analysis: Document | None,
    ) -> ScoreTable:
        replies = {system.name: system.replies for system in systems}
        comparison = compare(replies, references, bands=training.bands, seen=training.training_ngrams)
        for metric, reason in comparison.unavailable.items():
            self._lack("scores", f"No {metric}: {reason}.")
        table = score_table_of(comparison)
        perplexity = None if analysis is None else perplexity_row(analysis, self.split)
        return table if perplexity is None else replace(table, metrics=[*table.metrics, perplexity])

    def _analysis(self) -> Document | None:
        """The likelihoods of all models, from the given file or computed for each."""
        names = [model.name for model in self.models]
        if self.analysis is False:
            why = "Left out: --no-analysis."
        elif self.analysis is not True:
            document = read_analysis(Path(self.analysis))
            for model in self.models:
                if model.name not in document["systems"]:
                    raise UserError(
                        f"{self.analysis}: holds {', '.join(document['systems'])} and not {model.name}, "
                        "expected the names of this report, see --names"
                    )
                if document["systems"][model.name].get("sha256", model.sha256) != model.sha256:
                    raise UserError(f"{self.analysis}: {model.name} is another checkpoint, analyse again")
            return {**document, "systems": {name: document["systems"][name] for name in names}}
        else:
            try:
                return merged_analysis({model.name: _analyse(model, self.split) for model in self.models})
            except UserError as error:
                why = f"Cannot be analysed: {error}."
        for section in ("likelihood", "frequency"):
            self._lack(section, why)
        return None

    def _manifest(self) -> Any:
        path = self.models[0].data.first / MANIFEST
        if not path.is_file():
            self._lack("configuration", f"The data folder has no manifest: {path} is not there.")
            return None
        return read_json(path)


@dataclass(frozen=True)
class _Examples:
    """What a model was decoded on, and its replies."""

    contexts: list[str]
    references: list[str]
    replies: list[str]


def _decode(model: ReportedRun, split: str, beam: int) -> _Examples:
    path, key = model.kept(f"replies.beam{beam}", [split], {"beam": beam})
    generated = cached(path, key, lambda: generate(model.run, split, ["--beam", str(beam)])._asdict())
    # the texts of `eureka prepare` also have the words that the model knows as <unk>
    references = model.data.texts("references", split) or generated["references"]
    if references is None:
        raise UserError(
            f"split {split}: {model.data} has no references for it, expected replies to compare with"
        )
    contexts = model.data.texts("contexts", split) or generated["sources"] or [""] * len(references)
    return _Examples(contexts, references, generated["hypotheses"])


def _analyse(model: ReportedRun, split: str) -> Document:
    """The document of `eureka analyse` for one model, under the name ``model``."""
    splits = list(dict.fromkeys([split, "train"]))
    path, key = model.kept("analysis", splits, {"train_sample": _TRAIN_SAMPLE})

    def compute() -> Document:
        analysis = DialogueAnalysis(FrequencyBands.by_token_mass, splits, _TRAIN_SAMPLE)
        analysis.add("model", model.run)
        return analysis.document()

    document: Document = cached(path, key, compute)
    check_analysis(document, str(path))
    return document


def _rare_words(training: WordBands) -> RareWords:
    """The rarest words, as many as make up a twentieth of the training replies: about one word in twenty."""
    counts = np.asarray(training.counts)
    levels, number = np.unique(counts[counts > 0], return_counts=True)
    share = np.cumsum(levels * number) / counts.sum()
    most = int(levels[max(1, int(np.searchsorted(share, _RARE_SHARE, side="right"))) - 1])
    words = {word: int(count) for word, count in zip(training.words, counts) if 0 < count <= most}
    rule = (
        f"they occur at most {most:,} {'time' if most == 1 else 'times'} in the training replies, "
        f"{len(words):,} of {len(training.words):,} word types, "
        f"{100 * sum(words.values()) / counts.sum():.1f} % of the words"
    )
    return RareWords(words, frozenset(training.words), rule)
