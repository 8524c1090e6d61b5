"""What ``eureka report`` shows of fairseq runs: replies, scores, likelihoods, logs, and what is missing."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from eureka_nlg import __version__
from eureka_nlg.analysis import Document, check_analysis, read_analysis
from eureka_nlg.cli.training_data import TrainingData, add_training_arguments, read_training_data
from eureka_nlg.dialogue.analysis import DialogueAnalysis
from eureka_nlg.dialogue.generation import Run, generate
from eureka_nlg.dialogue.manifest import MANIFEST
from eureka_nlg.errors import UserError
from eureka_nlg.files import sha256
from eureka_nlg.metrics.classes.bands import FrequencyBands, WordBands
from eureka_nlg.metrics.significance import compare
from eureka_nlg.report.cache import cached
from eureka_nlg.report.model import RareWords, Report, ScoreTable, System
from eureka_nlg.report.provenance import provenance
from eureka_nlg.report.scores import perplexity_row, score_table_of
from eureka_nlg.report.training_log import find_log, read_log
from eureka_nlg.text_files import TextFile

__all__ = ["Collection", "ReportedRun"]

_TRAIN_SAMPLE = 5000  # training replies that are scored; enough for the gap to the test data
_NGRAM = 4  # of the share of n-grams that no training reply has


@dataclass(frozen=True)
class ReportedRun:
    """A trained model that takes part.

    Attributes:
        name: in the report.
        path: as the user gave it.
        run: its checkpoint and data folder.
    """

    name: str
    path: str
    run: Run

    @cached_property
    def sha256(self) -> str:
        return sha256(self.run.checkpoint)

    @property
    def data(self) -> Path:
        return Path(self.run.data.split(os.pathsep)[0])

    def kept(
        self, what: str, splits: Sequence[str], options: Mapping[str, Any]
    ) -> tuple[Path, dict[str, Any]]:
        """Where a result about the model is kept, and everything that it depends on."""
        files = (path for split in splits for path in sorted(self.data.glob(f"{split}.*")))
        key = {
            "eureka_nlg": __version__,
            "checkpoint": self.sha256,
            "data": {path.name: sha256(path) for path in files},
            **options,
        }
        return (
            self.run.checkpoint.parent / "report" / f"{what}.{self.run.checkpoint.stem}.{splits[0]}.json",
            key,
        )


@dataclass
class Collection:
    """What a report is made from, as far as it can be had.

    Attributes:
        args: parsed options of ``eureka report``.
        models: the baseline first.
        missing: section of the page -> what it lacks, and why.
    """

    args: argparse.Namespace
    models: Sequence[ReportedRun]
    missing: dict[str, list[str]] = field(default_factory=dict)

    def report(self) -> Report:
        """Decode, score and analyse what is not there yet.

        Raises:
            UserError: runs on different data, or an analysis of other models.
        """
        examples = [_decode(model, self.args.split, self.args.beam) for model in self.models]
        for model, example in zip(self.models, examples):
            if example.references != examples[0].references:
                raise UserError(
                    f"run {model.path}: its {self.args.split} references are not those of "
                    f"{self.models[0].path}, expected runs on the same data"
                )
        systems = [self._system(model, example.replies) for model, example in zip(self.models, examples)]
        training = self._training_data()
        analysis = self._analysis()
        return Report(
            title=self.args.title,
            split=self.args.split,
            decoding="greedy" if self.args.beam == 1 else f"beam {self.args.beam}",
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

    def _training_data(self) -> TrainingData:
        parser = argparse.ArgumentParser()
        add_training_arguments(parser)
        data = self.models[0].data
        try:
            return read_training_data(
                parser.parse_args(["--train-targets", str(data)]), _NGRAM, lowercase=False
            )
        except UserError as error:
            self._lack("replies", f"Rare words are not marked, and have no scores of their own: {error}.")
            return TrainingData()

    def _scores(
        self,
        systems: Sequence[System],
        references: Sequence[str],
        training: TrainingData,
        analysis: Document | None,
    ) -> ScoreTable:
        replies = {system.name: system.replies for system in systems}
        comparison = compare(replies, references, bands=training.bands, seen=training.seen)
        for metric, reason in comparison.unavailable.items():
            self._lack("scores", f"No {metric}: {reason}.")
        table = score_table_of(comparison)
        perplexity = None if analysis is None else perplexity_row(analysis, self.args.split)
        return table if perplexity is None else replace(table, metrics=[*table.metrics, perplexity])

    def _analysis(self) -> Document | None:
        """The likelihoods of all models, from the given file or computed for each."""
        names = [model.name for model in self.models]
        if self.args.no_analysis:
            why = "Left out: --no-analysis."
        elif self.args.analysis:
            document = read_analysis(self.args.analysis)
            for model in self.models:
                if model.name not in document["systems"]:
                    raise UserError(
                        f"{self.args.analysis}: holds {', '.join(document['systems'])} and not {model.name}, "
                        "expected the names of this report, see --names"
                    )
                if document["systems"][model.name].get("sha256", model.sha256) != model.sha256:
                    raise UserError(
                        f"{self.args.analysis}: {model.name} is another checkpoint, analyse again"
                    )
            return {**document, "systems": {name: document["systems"][name] for name in names}}
        else:
            try:
                return _merged(dict(zip(names, (_analyse(model, self.args.split) for model in self.models))))
            except UserError as error:
                why = f"Cannot be analysed: {error}."
        for section in ("likelihood", "frequency"):
            self._lack(section, why)
        return None

    def _manifest(self) -> Any:
        path = self.models[0].data / MANIFEST
        if not path.is_file():
            self._lack("configuration", f"The data folder has no manifest: {path} is not there.")
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path}: not valid JSON ({error}); prepare the folder again") from error


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
    texts = {
        side: list(TextFile(file)) if (file := model.data / side / f"{split}.txt").is_file() else None
        for side in ("contexts", "references")
    }
    references = texts["references"] or generated["references"]
    if references is None:
        raise UserError(
            f"split {split}: {model.data} has no references for it, expected replies to compare with"
        )
    contexts = texts["contexts"] or generated["sources"] or [""] * len(references)
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


def _merged(documents: Mapping[str, Document]) -> Document:
    """One document with all systems; the data and so the groups are the same in each."""
    first = next(iter(documents.values()))
    return {
        **first,
        "systems": {name: document["systems"]["model"] for name, document in documents.items()},
        "encouragement": {
            label: block
            for document in documents.values()
            for label, block in document["encouragement"].items()
        },
    }


def _rare_words(training: WordBands) -> RareWords:
    band = training.bands.names[-1]
    members = training.bands.members(band)
    words = {word: int(count) for word, count, rare in zip(training.words, training.counts, members) if rare}
    rule = (
        f"they are of the {band} of the training replies, {len(words):,} of {len(training.words):,} word "
        f"types ({training.bands.rule})"
    )
    return RareWords(words, frozenset(training.words), rule)
