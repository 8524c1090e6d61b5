"""Prepare text that a user types as the data of a model were, and turn its replies into readable text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from eureka_nlg.dialogue.exchanges import PARTNER, SELF
from eureka_nlg.dialogue.manifest import MANIFEST
from eureka_nlg.dialogue.options import PrepareOptions
from eureka_nlg.dialogue.prepare import tokenizer_of
from eureka_nlg.dialogue.run_data import RunData
from eureka_nlg.dialogue.tokenizers import Tokenizer, nltk_tokenizer, normalize
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import read_json

__all__ = ["Preparation", "readable", "turns_of"]


@dataclass(frozen=True)
class Preparation:
    """How the text of a data folder was prepared.

    Attributes:
        options: of `eureka prepare`.
        tokenizer: what makes tokens of text.
    """

    options: PrepareOptions
    tokenizer: Tokenizer

    @classmethod
    def of(cls, data: RunData) -> Preparation:
        """Read from the manifest how a folder of `eureka prepare` was made.

        Raises:
            UserError: there is no manifest, or it lacks the options.
        """
        manifest = read_json(data.first / MANIFEST)
        try:
            options = PrepareOptions.from_values(manifest["options"])
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{data.first / MANIFEST}: does not say how the text was prepared ({error}); prepare it again"
            ) from error
        return cls(options, tokenizer_of(options, data.first))

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a turn or a persona sentence of the corpus."""
        return self.tokenizer.tokenize(normalize(text, self.options.lowercase))

    def text(self, text: str) -> str:
        """The text as it would stand in ``references/``."""
        return self.tokenizer.detokenize(self.tokenize(text))

    def tokenize_typed(self, text: str, is_known: Callable[[str], bool]) -> list[str]:
        """Tokens of what somebody types.

        Corpora that are split at white space often have spaces around punctuation. Of "Hi, you?" and
        "Hi , you ?" this takes the one with fewer unknown tokens.
        """
        tokens = self.tokenize(text)
        if self.options.tokenizer != "whitespace" or all(map(is_known, tokens)):
            return tokens
        apart = nltk_tokenizer().tokenize(normalize(text, self.options.lowercase))

        def num_unknown(tokens: list[str]) -> int:
            return sum(not is_known(token) for token in tokens)

        return apart if num_unknown(apart) < num_unknown(tokens) else tokens

    def context(
        self,
        turns: Sequence[str],
        persona: Sequence[str] = (),
        is_known: Callable[[str], bool] = lambda token: True,
    ) -> list[str]:
        """Tokens that the model reads.

        Args:
            turns: oldest first, by alternating speakers; the model replies to the last one.
            persona: sentences about the one who replies.
            is_known: whether the model has a token in its dictionary.
        """
        spoken = [self.tokenize_typed(turn, is_known) for turn in turns]
        speakers = [PARTNER if (len(spoken) - place) % 2 else SELF for place in range(len(spoken))]
        history = [(speaker, turn) for speaker, turn in zip(speakers, spoken) if turn]
        sentences = [self.tokenize_typed(line, is_known) for line in persona if line.strip()]
        return self.options.context.context(sentences, history)


def turns_of(dialogues: Iterable[str]) -> list[list[str]]:
    """The turns of each line, where they are separated by tabs.

    Raises:
        UserError: there is no line, or one whose last turn is empty.
    """
    found = []
    for number, dialogue in enumerate(dialogues, start=1):
        turns = dialogue.split("\t")
        if not turns[-1].strip():
            raise UserError(f"line {number}: nothing to reply to; expected text, earlier turns before tabs")
        found.append(turns)
    if not found:
        raise UserError("no text to reply to")
    return found


def readable(tokens: str) -> str:
    """Tokens joined into text with English spacing.

    >>> readable("i 'm good , thanks .")
    "i'm good, thanks."
    """
    detokenizer = require("nltk.tokenize.treebank", extra="data").TreebankWordDetokenizer()
    return str(detokenizer.detokenize(tokens.split()))
