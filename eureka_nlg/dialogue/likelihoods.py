"""The likelihood of every word of the references under a trained model, given the words before it."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from eureka_nlg.dialogue.generation import Run
from eureka_nlg.dialogue.loaded import load_model
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.dialogue.run_data import TRAIN, training_shards
from eureka_nlg.errors import UserError

__all__ = ["ReferenceModel", "ScoringModel", "TokenLikelihoods", "perplexity", "reference_perplexity"]

# Bounds the logits of a batch, [tokens, words]: 0.3 GB for a vocabulary of 20,000.
_TOKENS_AT_ONCE = 4000


class TokenLikelihoods(NamedTuple):
    """The target tokens of a batch of references, their ends included and padding left out.

    Attributes:
        targets: [N] int64, index of each token in the target dictionary.
        log_likelihoods: [N] float32, natural logarithm of the model's probability of it.
        correct: [N] bool, whether the model gives no other token a higher probability.
    """

    targets: NDArray[np.int64]
    log_likelihoods: NDArray[np.float32]
    correct: NDArray[np.bool_]


class ScoringModel(Protocol):
    """A model in memory that scores references with teacher forcing.

    Attributes:
        symbols: its target vocabulary.
        criterion: the options of its criterion; may be empty.
        class_counts: [C] int64, how often each symbol is a target in the training data.
    """

    symbols: list[str]
    criterion: dict[str, Any]

    @property
    def class_counts(self) -> NDArray[np.int64]: ...

    def likelihoods(self, split: str, sample: int | None = None, seed: int = 1) -> Iterator[Sequence[Any]]:
        """Batches of targets [N], their log-probabilities [N] in nats, and whether they are likeliest [N]."""


class ReferenceModel:
    """A trained model in this process that scores references with teacher forcing.

    Args:
        run: checkpoint and data folder.
        cpu: run on the CPU even if there is a GPU.

    Attributes:
        symbols: the target dictionary, special symbols first.
        criterion: name and options of the criterion that the model was trained with.

    Raises:
        UserError: the dictionaries of the data folder are not those of the model.
    """

    def __init__(self, run: Run, cpu: bool = False) -> None:
        self.run = run
        loaded = load_model(run, cpu)
        self._model, self._task, self._device = loaded.model, loaded.task, loaded.device
        self.symbols: list[str] = self._task.target_dictionary.symbols
        self.criterion = loaded.criterion

    @functools.cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """How often each target word is a target in the training data, [C]; ``</s>`` ends each reply."""
        counts = np.zeros(len(self.symbols), dtype=np.int64)
        for dataset in self._datasets(self._task.cfg.train_subset):
            targets = dataset.tgt
            for start in range(0, len(targets), 10_000):
                indices = range(start, min(start + 10_000, len(targets)))
                tokens = torch.cat([targets[index] for index in indices])
                counts += np.bincount(tokens.numpy(), minlength=len(counts))
        return counts

    def likelihoods(self, split: str, sample: int | None = None, seed: int = 1) -> Iterator[TokenLikelihoods]:
        """Score the references of a split, a batch at a time.

        Args:
            split: name of the split in the data folder.
            sample: number of references to draw if there are more; None for all.
            seed: of the draw.

        Raises:
            UserError: no such split, no references, or an example that is too long for the model.
        """
        drawn = None
        if sample is not None:
            sizes = [len(dataset) for dataset in self._datasets(split)]
            if sample < sum(sizes):
                drawn = np.random.default_rng(seed).choice(sum(sizes), size=sample, replace=False)
        start = 0
        for dataset in self._datasets(split):
            kept = None if drawn is None else drawn - start
            start += len(dataset)
            for indices in self._batches(dataset, split, kept, seed):
                yield self._score(dataset.collater([dataset[index] for index in indices]))

    @torch.no_grad()
    def _score(self, batch: dict[str, Any]) -> TokenLikelihoods:
        from fairseq import utils

        if self._device.type == "cuda":
            batch = utils.move_to_cuda(batch, self._device)
        output = self._model(**batch["net_input"])
        scores = self._model.get_normalized_probs(output, log_probs=True, sample=batch)
        targets = self._model.get_targets(batch, output)
        kept = targets != self._task.target_dictionary.pad()
        found = scores.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        correct = scores.argmax(-1) == targets
        return TokenLikelihoods(
            targets[kept].cpu().numpy(), found[kept].float().cpu().numpy(), correct[kept].cpu().numpy()
        )

    def _datasets(self, split: str) -> Iterator[Any]:
        """The data of a split; the training data may be in several folders, one after the other."""
        self.run.check_split(split)
        if split in (TRAIN, self._task.cfg.train_subset):
            datasets = training_shards(self._task, split)
        else:
            with quiet():
                if split not in self._task.datasets:
                    self._task.load_dataset(split)
            datasets = iter([self._task.dataset(split)])
        while True:
            with quiet():
                dataset = next(datasets, None)
            if dataset is None:
                return
            if dataset.tgt is None or not len(dataset):
                raise UserError(f"split {split}: no references to score in {self.run.data}")
            yield dataset

    def _batches(self, dataset: Any, split: str, drawn: NDArray[np.int64] | None, seed: int) -> list[Any]:
        """Batches of indices of about the same length, so that there is little padding."""
        from fairseq import utils
        from fairseq.data.data_utils import numpy_seed

        limits = utils.resolve_max_positions(self._task.max_positions(), self._model.max_positions())
        with numpy_seed(seed):  # fairseq shuffles examples of equal length
            indices, too_long = dataset.filter_indices_by_size(dataset.ordered_indices(), limits)
        if too_long:
            raise UserError(
                f"split {split}: example {too_long[0]} has more tokens than the model takes, {limits}: "
                "prepare the data with --max-context-tokens"
            )
        if drawn is not None:
            indices = indices[np.isin(indices, drawn)]
            if not len(indices):
                return []
        return list(dataset.batch_by_size(indices, max_tokens=_TOKENS_AT_ONCE))


def perplexity(batches: Iterable[Sequence[Any]]) -> float:
    """``exp`` of the mean negative log-likelihood of a token.

    Args:
        batches: :class:`TokenLikelihoods`, or tuples that begin with targets and log-likelihoods.
    """
    total, num_tokens = 0.0, 0
    for targets, log_likelihoods, *_ in batches:
        total += float(log_likelihoods.sum(dtype=np.float64))
        num_tokens += len(targets)
    return math.exp(-total / num_tokens)


def reference_perplexity(run: Run, split: str) -> float:
    """Perplexity of the references of a split.

    Every token of a reference counts, including the end of sentence; this is the ``ppl`` of fairseq-validate.

    Raises:
        UserError: no such split, or an example that is too long for the model.
    """
    return perplexity(ReferenceModel(run).likelihoods(split))
