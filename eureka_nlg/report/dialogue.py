"""Collect a report on trained dialogue models: replies, scores, likelihoods, logs, and what is missing.

from eureka_nlg.report.dialogue import DialogueReport
from eureka_nlg.report.page import write_page
write_page(DialogueReport.of(["runs/ce", "runs/el"]).collect(), "report.html")
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from eureka_nlg import __version__
from eureka_nlg.analysis import Document, check_analysis, merged_analysis, read_analysis
from eureka_nlg.dialogue.analysis import DialogueAnalysis
from eureka_nlg.dialogue.manifest import MANIFEST
from eureka_nlg.dialogue.training_statistics import TrainingStatistics, training_statistics
from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json, sha256, sha256_of
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.replies.advice import are_unspaced
from eureka_nlg.metrics.significance import compare
from eureka_nlg.report.cache import cached
from eureka_nlg.report.model import Report, ScoreTable, System
from eureka_nlg.report.scores import perplexity_row, score_table_of
from eureka_nlg.runs.base import Decoded, Run
from eureka_nlg.runs.decoding import Decoding
from eureka_nlg.runs.find import load_run
from eureka_nlg.runs.names import run_names
from eureka_nlg.runs.rare_words import rare_words
from eureka_nlg.runs.text_form import in_form, nltk_words
from eureka_nlg.units import split_characters

__all__ = ["DialogueReport", "ReportedRun"]

_LOGGER = logging.getLogger(__name__)

_TRAIN_SAMPLE = 5000  # training replies that are scored; enough for the gap to the test data
_NGRAM = 4  # of the share of n-grams that no training reply has


@dataclass(frozen=True)
class ReportedRun:
    """A trained model in the report.

    Attributes:
        name: its name in the report.
        path: as the user gave it.
        run: its weights and data.
    """

    name: str
    path: str
    run: Run

    @cached_property
    def sha256(self) -> str:
        return sha256_of(self.run.weights)

    def kept(
        self, what: str, splits: Sequence[str], options: Mapping[str, Any]
    ) -> tuple[Path, dict[str, Any]]:
        """The file in which a result about the model is kept, and everything that the result depends on."""
        files = [path for split in splits for path in self.run.files(split)]
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
        return self.run.results / "report" / f"{what}.{self.run.stem}.{splits[0]}.json", key


@dataclass
class DialogueReport:
    """A report on dialogue models, made from whatever their folders hold.

    Attributes:
        models: the models; the first is the baseline.
        split: the split to decode.
        beam: size of the beam; 1 decodes greedily.
        logit_adjustment: factor of the log-frequencies that the replies of all models are decoded with; None
            for none.
        title: of the page.
        analysis: the likelihoods by word frequency: True to compute them, False to leave them out, or the
            JSON file of ``eureka analyse`` for these models.
        missing: section of the page -> what it lacks and why.
    """

    models: Sequence[ReportedRun]
    split: str = "test"
    beam: int = 1
    logit_adjustment: float | None = None
    title: str = "Dialogue models compared"
    analysis: bool | str | os.PathLike[str] = True
    missing: dict[str, list[str]] = field(default_factory=dict)
    characters: bool = field(default=False, init=False)
    """Whether a word is a character, since the references have no spaces between words."""

    @classmethod
    def of(
        cls,
        runs: Sequence[str | os.PathLike[str]],
        names: Sequence[str] | None = None,
        data: str | None = None,
        split: str | None = None,
        **options: Any,
    ) -> DialogueReport:
        """Make a report on runs.

        Args:
            runs: folders of trainings, or checkpoints.
            names: names of the runs on the page; None for those of their folders.
            data: data folder; None for the one that each run was trained on.
            split: the split to decode; None for ``test``, or the only one besides the training data.
            **options: ``beam``, ``logit_adjustment``, ``title``, ``analysis``.

        Raises:
            UserError: names that do not fit, no checkpoint, no such split, or a model that cannot be
                adjusted.
        """
        paths = [os.fspath(run) for run in runs]
        models = [
            ReportedRun(name, path, load_run(path, data))
            for name, path in zip(run_names(paths, names), paths)
        ]
        if split is None:
            split = models[0].run.default_split()
        for model in models:
            model.run.check_split(split)
        report = cls(models, split, **options)
        if report.logit_adjustment is not None:
            for model in models:
                model.run.adjust(report.logit_adjustment)
        return report

    def collect(self) -> Report:
        """Decode, score and analyse everything that is not kept from an earlier report.

        Raises:
            UserError: runs on different data, or an analysis of other models.
        """
        decoded = [self._decode(model) for model in self.models]
        self.characters = are_unspaced(decoded[0].references or ())
        examples = self._in_one_form(decoded)
        if self.characters:
            examples = [in_form(found, _characters) for found in examples]
        for model, example in zip(self.models, examples):
            if example.references != examples[0].references:
                raise UserError(
                    f"run {model.path}: its {self.split} references differ from those of "
                    f"{self.models[0].path}, expected runs on the same data"
                )
        references = examples[0].references
        assert references is not None  # decoding sees to it
        systems = [self._system(model, example.replies) for model, example in zip(self.models, examples)]
        training = self._training_statistics()
        analysis = self._analysis()
        return Report(
            title=self.title,
            split=self.split,
            decoding=self._decoding(),
            contexts=examples[0].contexts,
            references=references,
            systems=systems,
            scores=self._scores(systems, references, training, analysis),
            rare=None if training.bands is None else rare_words(training.bands),
            analysis=analysis,
            manifest=self._manifest(),
            missing=self.missing,
        )

    def _lack(self, section: str, line: str) -> None:
        self.missing.setdefault(section, []).append(line)

    @cached_property
    def _form(self) -> Callable[[str], str]:
        """How a text is split into words separated by spaces: as in fairseq's data, else by NLTK."""
        for model in self.models:
            try:
                form = model.run.text_form()
            except UserError as error:  # a data folder of another maker
                if len({model.run.kind for model in self.models}) > 1:
                    raise UserError(f"run {model.path}: beside a model of transformers: {error}") from error
                return str
            if form is not None:
                return form
        return nltk_words

    def _in_one_form(self, decoded: Sequence[Decoded]) -> list[Decoded]:
        return [
            found if model.run.kind == "fairseq" else in_form(found, self._form)
            for model, found in zip(self.models, decoded)
        ]

    def _system(self, model: ReportedRun, replies: list[str]) -> System:
        origin = model.run.provenance()
        facts = {**origin.facts, "sha256": model.sha256, "data": model.run.data}
        if model.run.kind == "transformers":
            same = any(other.run.kind == "fairseq" for other in self.models)
            facts["words"] = "split as in the data of the others" if same else "split by NLTK"
        if self.characters:
            facts["words"] = "characters, where a script has no spaces"
        found = model.run.log()
        if found is None:
            self._lack("training", f"No training curves of {model.name}: there is no log in {model.path}.")
            return System(model.name, replies, facts, origin.options)
        log_path, log = found
        facts |= {"log": str(log_path), "software": ", ".join(map(" ".join, log.versions.items()))}
        if not log.versions:
            facts["software"] = "not in the log"
        return System(model.name, replies, facts, origin.options, log)

    def _decoding(self) -> str:
        said = "greedy decoding" if self.beam == 1 else f"decoding with beam {self.beam}"
        if self.logit_adjustment is None:
            return said
        without = "perplexity and likelihoods are those without it"
        return f"{said}, logit adjustment {self.logit_adjustment:g} ({without})"

    def _training_statistics(self) -> TrainingStatistics:
        run = self.models[0].run
        try:
            form = None if run.kind == "fairseq" else self._form
            if self.characters:
                form = _characters
            return training_statistics(run.training_targets(), n=_NGRAM, form=form)
        except UserError as error:
            self._lack("replies", f"Rare words are not marked, and there are no scores for them: {error}.")
            return TrainingStatistics()

    def _scores(
        self,
        systems: Sequence[System],
        references: Sequence[str],
        training: TrainingStatistics,
        analysis: Document | None,
    ) -> ScoreTable:
        replies = {system.name: system.replies for system in systems}
        _LOGGER.info("scores of %d replies of each, with intervals and tests ...", len(references))
        comparison = compare(
            replies, references, bands=training.bands, training_ngrams=training.training_ngrams
        )
        for metric, reason in comparison.unavailable.items():
            self._lack("scores", f"No {metric}: {reason}.")
        table = score_table_of(comparison)
        perplexity = None if analysis is None else perplexity_row(analysis, self.split)
        return table if perplexity is None else replace(table, metrics=[*table.metrics, perplexity])

    def _decode(self, model: ReportedRun) -> Decoded:
        name, splits, options = f"replies.beam{self.beam}", [self.split], {"beam": float(self.beam)}
        if self.logit_adjustment is not None:
            name += f".logit-adjustment-{self.logit_adjustment:g}"
            splits = list(dict.fromkeys([self.split, "train"]))  # whose words are counted
            options["logit_adjustment"] = self.logit_adjustment
        path, key = model.kept(name, splits, options)

        def compute() -> Document:
            _LOGGER.info("%s: decoding the replies of the split %s ...", model.name, self.split)
            return model.run.decode(self.split, Decoding(beam=self.beam))._asdict()

        found = Decoded(**cached(path, key, compute))
        if found.references is None:
            raise UserError(
                f"split {self.split}: {model.run.data} has no references for it; expected replies to compare "
                "with"
            )
        return found

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
                        f"{self.analysis}: holds {', '.join(document['systems'])} but not {model.name}; "
                        "expected the names of this report: give --names"
                    )
                if document["systems"][model.name].get("sha256", model.sha256) != model.sha256:
                    raise UserError(
                        f"{self.analysis}: of another checkpoint of {model.name}; run `eureka analyse` again"
                    )
            return {**document, "systems": {name: document["systems"][name] for name in names}}
        elif len({model.run.kind for model in self.models}) > 1:
            why = (
                "Left out: models of fairseq and of transformers have different vocabularies, so that the "
                "likelihoods of their tokens cannot be compared; `eureka analyse` takes models of one kind."
            )
        else:
            try:
                return merged_analysis({model.name: _analyse(model, self.split) for model in self.models})
            except UserError as error:
                why = f"Cannot be analysed: {error}."
        for section in ("likelihood", "frequency"):
            self._lack(section, why)
        return None

    def _manifest(self) -> Any:
        path = Path(self.models[0].run.data.partition(os.pathsep)[0]) / MANIFEST
        if not path.is_file():
            self._lack("configuration", f"The data folder has no manifest: {path} does not exist.")
            return None
        return read_json(path)


def _characters(text: str) -> str:
    """Each character of a script without spaces on its own, as `eureka evaluate --unit character`."""
    return " ".join(split_characters(text))


def _analyse(model: ReportedRun, split: str) -> Document:
    """The document of `eureka analyse` for one model, under the name ``model``."""
    splits = list(dict.fromkeys([split, "train"]))
    path, key = model.kept("analysis", splits, {"train_sample": _TRAIN_SAMPLE})

    def compute() -> Document:
        _LOGGER.info("%s: likelihoods of the references of %s ...", model.name, " and ".join(splits))
        analysis = DialogueAnalysis(FrequencyBands.by_token_mass, splits, _TRAIN_SAMPLE)
        analysis.add("model", model.run.scoring_model(), model.run.weights)
        return analysis.document()

    document: Document = cached(path, key, compute)
    check_analysis(document, str(path))
    return document
