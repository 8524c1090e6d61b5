"""Models in memory that answer side by side, and the rare words in their replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from eureka_nlg.dialogue.training_statistics import training_statistics
from eureka_nlg.errors import UserError
from eureka_nlg.runs.base import Conversation, Reply, Run, Talker
from eureka_nlg.runs.decoding import Decoding
from eureka_nlg.runs.find import load_run
from eureka_nlg.runs.names import run_names
from eureka_nlg.runs.rare_words import RareWords, rare_words
from eureka_nlg.runs.text_form import nltk_words

__all__ = ["ChatModel", "Piece", "load_models"]

Piece = tuple[str, int | None]
"""A part of a text. For a rare word, how often it occurs in the training replies, 0 if never; else None."""


@dataclass
class ChatModel:
    """A model that answers.

    Attributes:
        name: its name in the conversation.
        run: the run on disk.
        talker: the model in memory.
        logit_adjustment: factor of the log-frequencies that its replies are adjusted with; None for none.
    """

    name: str
    run: Run
    talker: Talker
    logit_adjustment: float | None = None

    def replies(self, conversation: Conversation, decoding: Decoding) -> list[Reply]:
        """Its replies, the best first."""
        (found,) = self.talker.replies([conversation], decoding)
        return found

    @cached_property
    def rare(self) -> RareWords | str:
        """The rare words of its training replies, or why they are not known."""
        try:
            # the words in fairseq's training data are already separated by spaces
            form = None if self.run.kind == "fairseq" else nltk_words
            statistics = training_statistics(self.run.training_targets(), n=None, form=form)
        except (UserError, OSError) as error:
            return str(error)
        assert statistics.bands is not None
        return rare_words(statistics.bands)

    def pieces(self, reply: Reply) -> list[Piece]:
        """The text of a reply, cut at its rare words."""
        rare = self.rare
        if isinstance(rare, str):
            return [(reply.text, None)]
        return list(_cut(reply.text, self.talker.words(reply.raw), rare))


def _cut(text: str, words: Sequence[str], rare: RareWords) -> Iterator[Piece]:
    lower, done, position = text.lower(), 0, 0
    if len(lower) != len(text):  # positions would not fit
        lower = text
    for word in words:
        found = lower.find(word.lower(), position)
        if found < 0:  # quotation marks are written in another way
            continue
        position = found + len(word)
        count = rare.counts.get(word, None if word in rare.known or not any(map(str.isalnum, word)) else 0)
        if count is not None:
            if found > done:
                yield text[done:found], None
            yield text[found:position], count
            done = position
    if done < len(text):
        yield text[done:], None


def load_models(
    paths: Sequence[str],
    names: Sequence[str] | None = None,
    data: str | None = None,
    cpu: bool = False,
    tell: Callable[[str], object] = lambda line: None,
    logit_adjustment: float | None = None,
) -> list[ChatModel]:
    """Load runs of either kind. All are checked before the first one is loaded.

    Args:
        paths: paths of the runs.
        names: names of the models; None for those of their folders.
        data: data folder; None for the one that each run was trained on.
        cpu: run on the CPU even if there is a GPU.
        tell: called with a line before each model is loaded.
        logit_adjustment: factor of the log-frequencies that all models are adjusted with; None for none.

    Raises:
        UserError: a path that is not a run, names that do not fit, or a model that cannot be adjusted.
    """
    runs = {name: load_run(path, data) for name, path in zip(run_names(paths, names), paths)}
    if logit_adjustment is not None:
        for run in runs.values():
            run.adjust(logit_adjustment)
    models = []
    for name, run in runs.items():
        adjusted = "" if logit_adjustment is None else f", logit adjustment {logit_adjustment:g}"
        tell(f"loading {name} ({run.kind}, {run.weights[0]}{adjusted})")
        models.append(ChatModel(name, run, run.talker(cpu), logit_adjustment))
    return models
