"""The likelihood of every token of the assistant's messages under a Hugging Face model."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.finetune.conversations import examples_of, read_messages
from eureka_nlg.finetune.run_folder import FinetuneFolder
from eureka_nlg.finetune.talker import ScoredTokens, TransformersTalker

__all__ = ["FinetunedReferenceModel"]


class FinetunedReferenceModel:
    """A model that scores references with teacher forcing, as ``dialogue.likelihoods.ReferenceModel`` does.

    Args:
        talker: the model.
        found: its folder.
        data: folder of the conversations.

    Attributes:
        symbols: the tokens of its vocabulary.
        criterion: the options of its loss, if that has an encouragement by counts; else empty.
    """

    def __init__(self, talker: TransformersTalker, found: FinetuneFolder, data: str) -> None:
        self._talker = talker
        self._data = data
        tokenizer = talker.loaded.tokenizer
        self.symbols: list[str] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        self.criterion: dict[str, Any] = {}
        if found.option("loss") == "eureka" and found.option("encouragement") == "counts":
            self.criterion = dict(found.record["options"])

    @functools.cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """How often each token is a target in the training data, [C] int64."""
        counts = np.zeros(len(self.symbols), dtype=np.int64)
        loaded = self._talker.loaded
        for messages in read_messages(self._data, "train"):
            for example in examples_of(
                messages, loaded.tokenizer, loaded.is_encoder_decoder, loaded.max_length
            ):
                # a decoder predicts nothing before the first token of a conversation
                labels = np.array(example["labels"][0 if loaded.is_encoder_decoder else 1 :])
                counts += np.bincount(labels[labels != -100], minlength=len(counts))
        return counts

    def likelihoods(
        self, split: str, sample: int | None = None, seed: int = 1
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]]:
        """Score the assistant's messages of a split, a conversation at a time.

        Args:
            split: name of the split.
            sample: draw conversations until they have this many messages of the assistant; None for all.
            seed: of the draw.

        Yields:
            Tokens [N] int64, natural logarithms of their probabilities [N] float32, and whether the model
            gives no other token a higher probability [N] bool.

        Raises:
            UserError: no such split, or none of its conversations has a message of the assistant.
        """
        conversations = list(read_messages(self._data, split))
        replies = np.array(
            [sum(message["role"] == "assistant" for message in each) for each in conversations]
        )
        if not replies.sum():
            raise UserError(f"split {split}: no messages of the assistant in {self._data}")
        chosen = np.arange(len(conversations))
        if sample is not None and sample < replies.sum():
            chosen = np.random.default_rng(seed).permutation(len(conversations))
            chosen = np.sort(chosen[: int(np.searchsorted(replies[chosen].cumsum(), sample)) + 1])
        for number in chosen.tolist():
            scored = self._talker.score(conversations[number])
            if len(scored.ids):
                yield _arrays(scored)


def _arrays(scored: ScoredTokens) -> tuple[Any, Any, Any]:
    return scored.ids.numpy(), scored.log_likelihoods.numpy(), scored.correct.numpy()
