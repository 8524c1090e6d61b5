"""A run of ``eureka finetune``, or any other Hugging Face model in a folder, as a model that answers."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eureka_nlg.dialogue.exchanges import PARTNER, PERSONA, SELF, SILENCE
from eureka_nlg.dialogue.run_data import TrainingTargets
from eureka_nlg.errors import UserError
from eureka_nlg.finetune.conversations import Messages, file_of_split, read_messages, splits_of
from eureka_nlg.finetune.likelihoods import FinetunedReferenceModel
from eureka_nlg.finetune.model import load_folder
from eureka_nlg.finetune.run_folder import FinetuneFolder
from eureka_nlg.finetune.talker import TransformersTalker
from eureka_nlg.runs.base import Conversation, Decoded, Kind, Provenance, Reply
from eureka_nlg.runs.decoding import Decoding
from eureka_nlg.runs.finetune_provenance import provenance, trainer_log
from eureka_nlg.runs.text_form import nltk_words
from eureka_nlg.training_log import TrainingLog

__all__ = ["TransformersRun"]

_MARKS = {"user": PARTNER, "assistant": SELF}


class TransformersRun:
    """See :class:`eureka_nlg.runs.base.Run`.

    Args:
        path: folder of a fine-tuning, of one of its checkpoints, or of a model.
        data: folder of conversations; None for the one that it was trained on.

    Raises:
        UserError: there are no weights in safetensors format.
    """

    kind: Kind = "transformers"

    def __init__(self, path: str | os.PathLike[str], data: str | None = None) -> None:
        self.path = os.fspath(path)
        self.found = FinetuneFolder.find(path)
        self._data = data or self.found.option("data")

    @property
    def weights(self) -> tuple[Path, ...]:
        return self.found.weights

    @property
    def data(self) -> str:
        if not self._data:
            raise UserError(f"run {self.path}: does not record its training data: give --data DIR")
        if not Path(self._data).is_dir():
            raise UserError(f"data folder {self._data}: does not exist; give --data DIR")
        return str(self._data)

    @property
    def results(self) -> Path:
        return self.found.folder

    @property
    def stem(self) -> str:
        return self.weights[0].stem

    def adjust(self, tau: float, again: bool = False) -> None:
        raise UserError(
            "--logit-adjustment: is for runs of `eureka train`, whose training targets are counted; "
            f"{self.results} is a Hugging Face model"
        )

    def default_split(self) -> str:
        others = [name for name in splits_of(self.data) if name != "train"]
        if "test" in others or len(others) != 1:
            self.check_split("test")
            return "test"
        return others[0]

    def check_split(self, split: str) -> None:
        file_of_split(self.data, split)

    def files(self, split: str) -> list[Path]:
        return [file_of_split(self.data, split)]

    def decode(self, split: str, decoding: Decoding, options: Sequence[str] = ()) -> Decoded:
        _refuse(options)
        before, references = [], []
        for messages in read_messages(self.data, split):
            for place, message in enumerate(messages):
                if message["role"] == "assistant":
                    before.append(messages[:place])
                    references.append(" ".join(message["content"].split()))
        if not before:
            raise UserError(f"split {split}: no message of the assistant in {self.data}")
        found = self._load(cpu=False).replies(before, decoding.seed, **decoding.transformers_options())
        return Decoded(
            [_context(messages) for messages in before], references, [each[0][0] for each in found]
        )

    def text_form(self) -> Callable[[str], str] | None:
        return None

    def training_targets(self) -> TrainingTargets:
        def replies() -> Iterator[str]:
            for messages in read_messages(self.data, "train"):
                for message in messages:
                    if message["role"] == "assistant":
                        yield " ".join(message["content"].split())

        return TrainingTargets(self.files("train"), replies())

    def scoring_model(self, cpu: bool = False) -> FinetunedReferenceModel:
        return FinetunedReferenceModel(self._load(cpu), self.found, self.data)

    def talker(self, cpu: bool = False) -> _Talker:
        return _Talker(self._load(cpu))

    def provenance(self) -> Provenance:
        return provenance(self.found)

    def log(self) -> tuple[Path, TrainingLog] | None:
        return trainer_log(self.found)

    def _load(self, cpu: bool) -> TransformersTalker:
        return TransformersTalker(load_folder(self.found, cpu))


class _Talker:
    def __init__(self, inner: TransformersTalker) -> None:
        self._inner = inner

    def replies(
        self, conversations: Sequence[Conversation], decoding: Decoding, options: Sequence[str] = ()
    ) -> list[list[Reply]]:
        _refuse(options)
        found = self._inner.replies(
            [_messages(each) for each in conversations], decoding.seed, **decoding.transformers_options()
        )
        return [
            [Reply(text, text, score if math.isfinite(score) else None) for text, score in each]
            for each in found
        ]

    def likelihoods(self, conversation: Conversation, reply: Reply) -> list[tuple[str, float]]:
        messages = [*_messages(conversation), {"role": "assistant", "content": reply.raw}]
        scored = self._inner.score(messages, last_only=True)
        tokenizer = self._inner.loaded.tokenizer
        pieces = [tokenizer.decode([token]) for token in scored.ids.tolist()]
        return list(zip(pieces, scored.log_likelihoods.tolist()))

    def words(self, text: str) -> list[str]:
        return nltk_words(text).split()


def _messages(conversation: Conversation) -> Messages:
    if not conversation.turns or not conversation.turns[-1].strip():
        raise UserError("nothing to reply to")
    messages = (
        [{"role": "system", "content": "\n".join(conversation.persona)}] if conversation.persona else []
    )
    for place, turn in enumerate(conversation.turns):
        role = "user" if (len(conversation.turns) - place) % 2 else "assistant"
        messages.append({"role": role, "content": turn})
    return messages


def _context(messages: Messages) -> str:
    """The messages before a reply, written as a context in fairseq's data."""
    parts = []
    for message in messages:
        if message["role"] in _MARKS:
            parts.append(f"{_MARKS[message['role']]} {' '.join(message['content'].split())}")
        else:
            parts += [f"{PERSONA} {' '.join(line.split())}" for line in message["content"].splitlines()]
    return " ".join(parts) or SILENCE


def _refuse(options: Sequence[str]) -> None:
    if options:
        raise UserError(f"{options[0]}: is for fairseq-generate, but this is a Hugging Face model")
