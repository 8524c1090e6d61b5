"""A small fairseq world: one dictionary for both sides, a task with data in memory, a model of one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("fairseq")

from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.models import FairseqDecoder, FairseqEncoder, FairseqEncoderDecoderModel
from fairseq.tasks.translation import TranslationConfig, TranslationTask

WORDS = ["the", "a", "cat", "dog", "only-in-source", "never"]
PAIRS = [
    ("the cat only-in-source", "the cat"),
    ("a dog only-in-source the", "the dog a cat the"),
    ("only-in-source", "zebra the a"),  # zebra: <unk>
    ("the a", "the"),
]
# by hand, from the second column: <s> <pad> </s> <unk>, the words, and the word that pads the dictionary
TARGET_COUNTS = [0, 0, 4, 1, 5, 2, 2, 1, 0, 0, 0]


@pytest.fixture
def dictionary() -> Dictionary:
    """Joined dictionary with the counts of both sides, as fairseq's preprocessing leaves it."""
    result = Dictionary()
    for word in WORDS:
        result.add_symbol(word, n=" ".join(" ".join(pair) for pair in PAIRS).split().count(word))
    result.add_symbol("madeupword0000", n=0)
    return result


def pair_dataset(
    dictionary: Dictionary, pairs: Sequence[tuple[str, str]], **options: Any
) -> LanguagePairDataset:
    """Sentence pairs as fairseq's translation task holds them."""
    sources, targets = (
        [dictionary.encode_line(line, add_if_not_exist=False).long() for line in side] for side in zip(*pairs)
    )
    return LanguagePairDataset(
        sources,
        [len(line) for line in sources],
        dictionary,
        targets,
        [len(line) for line in targets],
        dictionary,
        shuffle=False,
        **options,
    )


@pytest.fixture
def task(dictionary: Dictionary, tmp_path: Any) -> TranslationTask:
    """Translation task with a training split; its data folder is empty."""
    task = TranslationTask(
        TranslationConfig(
            data=str(tmp_path), source_lang="context", target_lang="reply", train_subset="train"
        ),
        dictionary,
        dictionary,
    )
    task.datasets["train"] = pair_dataset(dictionary, PAIRS)
    return task


@pytest.fixture
def sample(task: TranslationTask) -> dict[str, Any]:
    """All of the training data in one batch, with padding."""
    dataset = task.dataset("train")
    return dataset.collater([dataset[index] for index in range(len(dataset))])


class _NoEncoder(FairseqEncoder):
    def forward(self, src_tokens: Tensor, src_lengths: Tensor, **_: Any) -> None:
        return None


class TableDecoder(FairseqDecoder):
    """Logits of a word are a row of a table, chosen by the word before it."""

    def __init__(self, dictionary: Dictionary, scale: float = 1.0) -> None:
        super().__init__(dictionary)
        self.table = nn.Embedding(len(dictionary), len(dictionary))
        nn.init.normal_(self.table.weight, std=scale)

    def forward(self, prev_output_tokens: Tensor, **_: Any) -> tuple[Tensor, None]:
        return self.table(prev_output_tokens), None


@pytest.fixture
def model(dictionary: Dictionary) -> FairseqEncoderDecoderModel:
    """The model of one table."""
    return FairseqEncoderDecoderModel(_NoEncoder(dictionary), TableDecoder(dictionary))


@pytest.fixture
def pointer_model(dictionary: Dictionary) -> FairseqEncoderDecoderModel:
    """A model whose likelihoods are no softmax of its output: half of the mass goes to one word."""

    class PointerDecoder(TableDecoder):
        def get_normalized_probs(self, net_output: Any, log_probs: bool, sample: Any = None) -> Tensor:
            mixed = 0.5 * net_output[0].float().softmax(-1)
            mixed[..., 4] += 0.5
            return mixed.log() if log_probs else mixed

    return FairseqEncoderDecoderModel(_NoEncoder(dictionary), PointerDecoder(dictionary))


@pytest.fixture
def target_counts() -> torch.Tensor:
    """Counts of the training targets, by hand."""
    return torch.tensor(TARGET_COUNTS)
