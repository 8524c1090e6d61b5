"""The interface of a run, whatever trained it: a model that answers, its data, and how it was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from eureka_nlg.dialogue.likelihoods import ScoringModel
from eureka_nlg.dialogue.run_data import TrainingTargets
from eureka_nlg.runs.decoding import Decoding
from eureka_nlg.training_log import TrainingLog

__all__ = ["Conversation", "Decoded", "Kind", "Provenance", "Reply", "Run", "Talker"]

Kind = Literal["fairseq", "transformers"]


@dataclass(frozen=True)
class Conversation:
    """What a model replies to.

    Attributes:
        turns: oldest first, by alternating speakers; the model replies to the last one. Its own turns are
            :attr:`Reply.raw`.
        persona: sentences about the one who replies.
    """

    turns: tuple[str, ...]
    persona: tuple[str, ...] = ()


class Reply(NamedTuple):
    """A reply of a model.

    Attributes:
        text: the reply as readable text.
        raw: the reply as the model wrote it, which becomes part of the conversation.
        score: mean log-likelihood of a token in nats, after the length penalty; None without a search.
    """

    text: str
    raw: str
    score: float | None


class Talker(Protocol):
    """A model in memory."""

    def replies(
        self, conversations: Sequence[Conversation], decoding: Decoding, options: Sequence[str] = ()
    ) -> list[list[Reply]]:
        """``decoding.nbest`` replies to each conversation, the best first.

        Args:
            conversations: the conversations to reply to.
            decoding: how replies are searched or sampled.
            options: further options of fairseq-generate; a model of another kind refuses them.

        Raises:
            UserError: options that do not go together.
        """

    def likelihoods(self, conversation: Conversation, reply: Reply) -> list[tuple[str, float]]:
        """Each token of a reply and its end, with the natural logarithm of its probability."""

    def words(self, text: str) -> list[str]:
        """The words of a text, split as in the training data."""


class Decoded(NamedTuple):
    """A split and the replies to it.

    Attributes:
        contexts: one for each reply, with ``<persona>``, ``<partner>`` and ``<self>`` before their parts.
        references: the replies of the corpus; None if the data have none.
        replies: the replies of the model.
    """

    contexts: list[str]
    references: list[str] | None
    replies: list[str]


@dataclass(frozen=True)
class Provenance:
    """How a model was trained.

    Attributes:
        facts: label -> text, such as the number of parameters.
        options: section -> option -> value.
    """

    facts: dict[str, str]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)


class Run(Protocol):
    """A trained model on disk.

    Attributes:
        kind: what trained it.
        weights: the files of its weights.
        data: folder of its data; several are separated by ``:``.
        results: folder for everything that is computed with the model.
        stem: the checkpoint's part of the names of such files.
    """

    kind: Kind

    @property
    def weights(self) -> tuple[Path, ...]: ...
    @property
    def data(self) -> str: ...
    @property
    def results(self) -> Path: ...
    @property
    def stem(self) -> str: ...

    def adjust(self, tau: float, again: bool = False) -> None:
        """Decode and talk with logit adjustment from now on; likelihoods stay those of the model.

        Args:
            tau: factor of the log-frequencies of the words in the training targets.
            again: adjust even a model that was trained with logit adjustment.

        Raises:
            UserError: a bad tau, or a model whose training targets cannot be counted.
        """

    def default_split(self) -> str:
        """``test``, or the only split besides the training data."""

    def check_split(self, split: str) -> None:
        """Raise UserError if there is no such split."""

    def files(self, split: str) -> list[Path]:
        """Files that a split is read from."""

    def decode(self, split: str, decoding: Decoding, options: Sequence[str] = ()) -> Decoded:
        """The best reply to every context of a split."""

    def text_form(self) -> Callable[[str], str] | None:
        """How its data split a text into words, separated by spaces; None if they leave text as it is."""

    def training_targets(self) -> TrainingTargets:
        """The replies that it was trained on, as its data hold them."""

    def scoring_model(self, cpu: bool = False) -> ScoringModel:
        """The model, to score references."""

    def talker(self, cpu: bool = False) -> Talker:
        """The model, to talk to."""

    def provenance(self) -> Provenance:
        """How it was trained."""

    def log(self) -> tuple[Path, TrainingLog] | None:
        """Its training log, if there is one."""
