"""A run of fairseq-train as a model that answers."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from eureka_nlg.dialogue.generation import Run as FairseqFolder
from eureka_nlg.dialogue.generation import generate
from eureka_nlg.dialogue.likelihoods import ReferenceModel
from eureka_nlg.dialogue.own_text import Preparation, readable
from eureka_nlg.dialogue.run_data import TrainingTargets
from eureka_nlg.dialogue.talker import FairseqTalker
from eureka_nlg.errors import UserError
from eureka_nlg.runs.base import Conversation, Decoded, Kind, Provenance, Reply
from eureka_nlg.runs.decoding import Decoding
from eureka_nlg.runs.fairseq_provenance import provenance
from eureka_nlg.training_log import TrainingLog, find_log, read_log

__all__ = ["FairseqRun"]

_NEVER_UNKNOWN = ("--unkpen", "10000")


class FairseqRun:
    """See :class:`eureka_nlg.runs.base.Run`.

    Args:
        path: folder of a training, or a checkpoint.
        data: data folder; None for the one that the model was trained on.

    Raises:
        UserError: no checkpoint, or no data.
    """

    kind: Kind = "fairseq"

    def __init__(self, path: str | os.PathLike[str], data: str | None = None) -> None:
        self.path = os.fspath(path)
        self.inner = FairseqFolder.load(path, data)

    def adjust(self, tau: float, again: bool = False) -> None:
        self.inner = self.inner.adjusted(tau, again)

    @property
    def weights(self) -> tuple[Path, ...]:
        return (self.inner.checkpoint,)

    @property
    def data(self) -> str:
        return self.inner.data

    @property
    def results(self) -> Path:
        return self.inner.checkpoint.parent

    @property
    def stem(self) -> str:
        return self.inner.checkpoint.stem

    def default_split(self) -> str:
        return self.inner.folders.default_split()

    def check_split(self, split: str) -> None:
        self.inner.check_split(split)

    def files(self, split: str) -> list[Path]:
        return self.inner.folders.files(split)

    def decode(self, split: str, decoding: Decoding, options: Sequence[str] = ()) -> Decoded:
        found = generate(self.inner, split, [*decoding.fairseq_options(), *options])
        # the texts of `eureka prepare` also have the words that are <unk> to the model
        folders = self.inner.folders
        contexts = folders.texts("contexts", split) or found.sources or [""] * len(found.hypotheses)
        return Decoded(contexts, folders.texts("references", split) or found.references, found.hypotheses)

    def text_form(self) -> Callable[[str], str] | None:
        return Preparation.of(self.inner.folders).text

    def training_targets(self) -> TrainingTargets:
        return self.inner.folders.training_targets()

    def scoring_model(self, cpu: bool = False) -> ReferenceModel:
        return ReferenceModel(self.inner, cpu)

    def talker(self, cpu: bool = False) -> _Talker:
        return _Talker(FairseqTalker(self.inner, cpu))

    def provenance(self) -> Provenance:
        return provenance(self.inner.checkpoint)

    def log(self) -> tuple[Path, TrainingLog] | None:
        path = find_log(self.path)
        return None if path is None else (path, read_log(path))


class _Talker:
    def __init__(self, inner: FairseqTalker) -> None:
        readable("")  # imports NLTK, for which the first reply would have to wait
        self._inner = inner

    def replies(
        self, conversations: Sequence[Conversation], decoding: Decoding, options: Sequence[str] = ()
    ) -> list[list[Reply]]:
        contexts = [self._context(conversation) for conversation in conversations]
        known = [*decoding.fairseq_options(), *_NEVER_UNKNOWN, *options]
        return [
            [
                Reply(readable(tokens), tokens, score if math.isfinite(score) else None)
                for tokens, score in found
            ]
            for found in self._inner.replies(contexts, known)
        ]

    def likelihoods(self, conversation: Conversation, reply: Reply) -> list[tuple[str, float]]:
        return self._inner.likelihoods(self._context(conversation), reply.raw)

    def words(self, text: str) -> list[str]:
        return self._inner.preparation.text(text).split()

    def _context(self, conversation: Conversation) -> list[str]:
        if not conversation.turns or not conversation.turns[-1].strip():
            raise UserError("nothing to reply to")
        return self._inner.context(conversation.turns, conversation.persona)
