"""The options of ``eureka prepare``, one field each; command line, manifest and checks follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from eureka_nlg.dialogue.exchanges import ContextOptions
from eureka_nlg.dialogue.tokenizers import TOKENIZERS
from eureka_nlg.errors import UserError
from eureka_nlg.limits import MOST_PIECES

__all__ = ["PrepareOptions", "option_name"]

_DEFAULT_PIECES = 8000
_LATER = {"skip_bad": False, "detokenize": False}  # options that came after the first version


def _option(default: Any, help: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class PrepareOptions:
    """Everything that decides what a prepared folder holds, apart from its inputs.

    Raises:
        UserError: an invalid value; the message has the name of the option on the command line.
    """

    history_turns: int | None = _option(
        None, "keep the last N turns before the reply (default: all)", minimum=1
    )
    persona: bool = _option(True, "begin the context with the persona sentences of the speaker who replies")
    speaker_tokens: bool = _option(True, "mark each part of the context with <persona>, <partner> or <self>")
    max_context_tokens: int | None = _option(
        None, "keep the last N tokens of the context (default: all)", minimum=1
    )
    both_sides: bool = _option(False, "train on the first speaker's turns as well")
    lowercase: bool = _option(True, "lower-case all text")
    tokenizer: str = _option(
        "whitespace",
        "how text is split into tokens (char: for scripts without spaces between words)",
        choices=TOKENIZERS,
    )
    vocab_size: int | None = _option(
        None,
        f"number of pieces of the SentencePiece model (default: {_DEFAULT_PIECES})",
        minimum=1,
        maximum=MOST_PIECES,
    )
    min_count: int = _option(
        1,
        "tokens that occur fewer than N times in the training contexts and replies become <unk>; a turn is"
        " counted wherever it is repeated",
        minimum=1,
    )
    detokenize: bool = _option(
        False, 'of --format-out messages: join text that is split into tokens, such as "do n\'t , Jim"'
    )
    skip_bad: bool = _option(False, "skip lines and rows that cannot be read, and report how many there are")

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            minimum, maximum = (option.metadata.get(name) for name in ("minimum", "maximum"))
            if minimum is not None and value is not None and not minimum <= value <= (maximum or value):
                end = "on" if maximum is None else f"to {maximum:,}"
                raise UserError(f"{option_name(option.name)} {value}: expected a number from {minimum} {end}")
        if self.tokenizer not in TOKENIZERS:
            raise UserError(f"--tokenizer {self.tokenizer}: expected one of {', '.join(TOKENIZERS)}")
        if self.tokenizer == "sentencepiece":
            object.__setattr__(self, "vocab_size", self.vocab_size or _DEFAULT_PIECES)
        elif self.vocab_size is not None:
            raise UserError(
                f"--vocab-size {self.vocab_size}: is for --tokenizer sentencepiece; give --min-count"
            )

    @property
    def context(self) -> ContextOptions:
        """The options that say what a context holds."""
        return ContextOptions(
            **{option.name: getattr(self, option.name) for option in fields(ContextOptions)}
        )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> PrepareOptions:
        """From a mapping that may hold other keys too, such as parsed arguments or a manifest.

        Raises:
            KeyError: an option that is not there, unless manifests of earlier versions lack it.
        """
        values = {**_LATER, **values}
        return cls(**{option.name: values[option.name] for option in fields(cls)})


def option_name(name: str) -> str:
    """Field name to command-line name."""
    return f"--{name.replace('_', '-')}"
