"""A conversation with several models: one writes once, each goes on with its own replies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from eureka_nlg.chat.models import ChatModel
from eureka_nlg.errors import UserError
from eureka_nlg.runs.base import Conversation, Reply
from eureka_nlg.runs.decoding import Decoding

__all__ = ["DEFAULTS", "Exchange", "Session"]

DEFAULTS: Mapping[str, Any] = {"beam": 1, "max_length": 64, "no_repeat_ngram_size": 3}
"""Options of decoding whose defaults in a chat differ from those of :class:`Decoding`."""


@dataclass
class Exchange:
    """A message and the replies to it.

    Attributes:
        message: what the user wrote.
        replies: name of the model -> its replies, the best first.
        kept: the model whose reply all go on with; None if each goes on with its own.
    """

    message: str
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    kept: str | None = None

    def reply_of(self, name: str) -> Reply:
        """The reply that a model goes on with."""
        if self.kept in (None, name):
            return self.replies[name][0]
        # raw is in the tokens of the model that wrote it; the others read the text
        kept = self.replies[str(self.kept)][0]
        return Reply(kept.text, kept.text, None)


@dataclass
class Session:
    """A conversation of the user with several models.

    Attributes:
        models: the models.
        decoding: how replies are decoded.
        persona: sentences about who the models are.
        exchanges: the messages so far and their replies.
    """

    models: Sequence[ChatModel]
    decoding: Decoding = field(default_factory=lambda: Decoding(**DEFAULTS))
    persona: list[str] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)

    def conversation(self, name: str, upto: int | None = None) -> Conversation:
        """The conversation that a model reads, up to the message of an exchange (default: the last one)."""
        turns = []
        exchanges = self.exchanges[: len(self.exchanges) if upto is None else upto + 1]
        for exchange in exchanges:
            turns.append(exchange.message)
            if exchange is not exchanges[-1]:
                turns.append(exchange.reply_of(name).raw)
        return Conversation(tuple(turns), tuple(self.persona))

    def say(self, message: str) -> Iterator[tuple[ChatModel, list[Reply] | None]]:
        """Answer a message.

        Yields:
            Each model with None before it answers, and again with its replies. A message that not all models
            answer, because of an error or an interruption, is removed again.
        """
        exchange = Exchange(message)
        self.exchanges.append(exchange)
        try:
            for model in self.models:
                yield model, None
                exchange.replies[model.name] = model.replies(self.conversation(model.name), self.decoding)
                yield model, exchange.replies[model.name]
        finally:
            if len(exchange.replies) < len(self.models):
                self.exchanges.remove(exchange)

    def undo(self) -> str:
        """Remove the last exchange, and return its message.

        Raises:
            UserError: nothing was said yet.
        """
        message = self._last("take back").message
        self.exchanges.pop()
        return message

    def keep(self, name: str) -> None:
        """Make the last reply of one model that of all of them.

        Raises:
            UserError: no such model, or nothing was said yet.
        """
        exchange = self._last("keep")
        if name not in exchange.replies:
            raise UserError(f"no model {name!r}; expected one of {', '.join(exchange.replies)}")
        exchange.kept = name

    def likelihoods(self) -> dict[str, list[tuple[str, float]]]:
        """Name of the model -> tokens of its last reply, each with its log-probability in nats."""
        exchange = self._last("explain")
        return {
            model.name: model.talker.likelihoods(self.conversation(model.name), exchange.reply_of(model.name))
            for model in self.models
        }

    def set(self, name: str, value: str) -> None:
        """Change an option of decoding.

        Raises:
            UserError: no such option, or a bad value.
        """
        options = {option.name: option for option in fields(Decoding)}
        if name == "logit_adjustment":
            raise UserError(
                "logit_adjustment: is set when a chat begins: eureka chat RUN --logit-adjustment 0.2"
            )
        if name not in options:
            raise UserError(f"no option {name!r}; expected one of {', '.join(options)}")
        changes = {name: _parsed(name, value, str(options[name].type))}
        if name == "sampling" and not changes[name]:  # what is for sampling goes with it
            changes |= {other: options[other].default for other in ("top_k", "top_p", "temperature")}
        self.decoding = replace(self.decoding, **changes)

    def _last(self, what: str) -> Exchange:
        if not self.exchanges:
            raise UserError(f"nothing to {what}: nothing was said yet")
        return self.exchanges[-1]


def _parsed(name: str, text: str, kind: str) -> Any:
    if kind == "bool":
        if text.lower() not in ("on", "off", "true", "false", "yes", "no"):
            raise UserError(f"{name} {text!r}: expected on or off")
        return text.lower() in ("on", "true", "yes")
    if "None" in kind and text.lower() in ("off", "none"):
        return None
    try:
        return float(text) if "float" in kind else int(text)
    except ValueError:
        raise UserError(
            f"{name} {text!r}: expected a number" + (" or off" if "None" in kind else "")
        ) from None
