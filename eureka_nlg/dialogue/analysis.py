"""Likelihood of the references by word frequency for several dialogue models, side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.analysis import (
    Document,
    analysis_document,
    corpus_block,
    encouragement_block,
    encouragement_label,
    system_block,
)
from eureka_nlg.dialogue.likelihoods import ScoringModel
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import sha256_of
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.losses.bonus import eureka_options
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.likelihood import ALL, GroupLikelihood, LikelihoodStatistics

__all__ = ["DialogueAnalysis"]

_PAPER = EncouragementOptions()  # shown where no model has an encouragement


class DialogueAnalysis:
    """Models that are scored on the same references; the first one sets the dictionary and the bands.

    Args:
        bands: makes the frequency bands of the training counts of the target words.
        splits: names of the splits to score.
        train_sample: replies to draw from the split ``train``; None for all.
        seed: of the draw.

    Attributes:
        groups: name of the model -> split -> group -> likelihoods.
        class_counts: [C] int64, how often each target word is a target in the training data.
        bands: the frequency band of each target word.
    """

    class_counts: NDArray[np.int64]
    bands: FrequencyBands

    def __init__(
        self,
        bands: Callable[[NDArray[np.int64]], FrequencyBands],
        splits: Sequence[str] = ("test", "train"),
        train_sample: int | None = None,
        seed: int = 1,
    ) -> None:
        self.splits = list(dict.fromkeys(splits))
        self.groups: dict[str, dict[str, dict[str, GroupLikelihood]]] = {}
        self._make_bands = bands
        self._train_sample = train_sample
        self._seed = seed
        self._symbols: list[str] = []
        self._systems: dict[str, Document] = {}
        self._encouragements: dict[str, EncouragementOptions] = {}

    def add(self, name: str, model: ScoringModel, weights: Sequence[Path]) -> None:
        """Score the references with one more model.

        Args:
            name: of the model.
            model: the loaded model.
            weights: the files it was loaded from.

        Raises:
            UserError: the target dictionary or the references differ from those of the first model.
        """
        if not self._symbols:
            self._symbols, self.class_counts = model.symbols, model.class_counts
            self.bands = self._make_bands(self.class_counts)
        elif model.symbols != self._symbols:
            sizes = f"{len(model.symbols):,} and {len(self._symbols):,} entries"
            raise UserError(
                f"{name} and {next(iter(self.groups))} have different target dictionaries ({sizes}): "
                "only runs on the same prepared data can be compared"
            )
        self.groups[name] = {split: self._score(name, model, split) for split in self.splits}
        provenance = {"checkpoint": ", ".join(map(str, weights)), "sha256": sha256_of(weights)}
        self._systems[name] = system_block(self.groups[name], **provenance)
        if "encouragement_normalization" in model.criterion:
            options, _ = eureka_options(model.criterion)
            self._encouragements[encouragement_label(options)] = options

    def document(self) -> Document:
        """The analysis that ``eureka report`` draws; see :mod:`eureka_nlg.analysis`.

        Its encouragements are those that the models were trained with, computed from the target counts.
        """
        settings = self._encouragements or {encouragement_label(_PAPER): _PAPER}
        return analysis_document(
            self.bands,
            self._systems,
            corpus_block(self.class_counts),
            {label: encouragement_block(self.class_counts, options) for label, options in settings.items()},
        )

    def _score(self, name: str, model: ScoringModel, split: str) -> dict[str, GroupLikelihood]:
        statistics = LikelihoodStatistics(self.bands)
        batches = require("tqdm", extra="data").tqdm(
            model.likelihoods(split, self._train_sample if split == "train" else None, self._seed),
            desc=f"{name}, {split}",
            unit=" batches",
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        for batch in batches:
            statistics.update(*batch)
        groups = statistics.compute()
        for other, splits in self.groups.items():
            if _counts(splits[split]) != _counts(groups):
                raise UserError(
                    f"split {split}: {name} and {other} have different references ({groups[ALL].count:,} and "
                    f"{splits[split][ALL].count:,} tokens): give one data folder for both, --data DIR"
                )
        return groups


def _counts(groups: dict[str, GroupLikelihood]) -> dict[str, int]:
    return {group: numbers.count for group, numbers in groups.items()}
