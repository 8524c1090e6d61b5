"""Replies to texts that somebody writes, prepared as the data of the model were."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from eureka_nlg.dialogue.binarize import binarize
from eureka_nlg.dialogue.exchanges import PARTNER, SELF
from eureka_nlg.dialogue.generation import Run, generate
from eureka_nlg.dialogue.manifest import MANIFEST
from eureka_nlg.dialogue.options import PrepareOptions
from eureka_nlg.dialogue.prepare import tokenizer_of
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.dialogue.run_data import RunData
from eureka_nlg.dialogue.texts import CONTEXT, REPLY
from eureka_nlg.dialogue.tokenizers import normalize
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import read_json

__all__ = ["contexts_of", "readable", "reply_to"]

_SPLIT = "input"


def reply_to(
    run: Run, dialogues: Iterable[str], persona: Sequence[str] = (), options: Sequence[str] = ()
) -> list[str]:
    """Decode a reply to each dialogue.

    Args:
        run: the model; its data folder must be one of ``eureka prepare``, which says how text is prepared.
        dialogues: the turns of each, oldest first, with tabs between them; the last one is replied to.
        persona: sentences about the one who replies.
        options: of fairseq-generate.

    Returns:
        The replies as text to read.

    Raises:
        UserError: nothing to reply to, another data folder, or a bad option.
    """
    contexts = contexts_of(run.folders, dialogues, persona)
    first = run.folders.first
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        for path in first.glob("dict.*"):
            shutil.copy(path, folder)
        model = first / "sentencepiece.model"
        if model.is_file():
            shutil.copy(model, folder)
        text = folder / "text"
        text.write_text("".join(f"{context}\n" for context in contexts), encoding="utf-8")
        with quiet():
            dictionary = require("fairseq.data", extra="fairseq").Dictionary.load(
                str(folder / f"dict.{CONTEXT}.txt")
            )
        binarize(text, dictionary, folder / f"{_SPLIT}.{CONTEXT}-{REPLY}.{CONTEXT}")
        replies = generate(replace(run, data=str(folder)), _SPLIT, options).hypotheses
    return [readable(reply) for reply in replies]


def contexts_of(data: RunData, dialogues: Iterable[str], persona: Sequence[str] = ()) -> list[str]:
    """What the model reads, as tokens with blanks between them.

    Raises:
        UserError: nothing to reply to, or a data folder that does not say how it was prepared.
    """
    manifest = read_json(data.first / MANIFEST)
    try:
        options = PrepareOptions.from_values({"skip_bad": False, **manifest["options"]})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{data.first / MANIFEST}: does not say how the text was prepared ({error}); prepare it again"
        ) from error
    tokenizer = tokenizer_of(options, data.first)

    def tokenize(text: str) -> list[str]:
        return tokenizer.tokenize(normalize(text, options.lowercase))

    contexts = []
    for number, dialogue in enumerate(dialogues, start=1):
        turns = [tokenize(turn) for turn in dialogue.split("\t")]
        if not turns[-1]:
            raise UserError(f"line {number}: nothing to reply to; expected text, earlier turns before tabs")
        speakers = [PARTNER if (len(turns) - place) % 2 else SELF for place in range(len(turns))]
        history = [(speaker, turn) for speaker, turn in zip(speakers, turns) if turn]
        contexts.append(" ".join(options.context.context([tokenize(line) for line in persona], history)))
    if not contexts:
        raise UserError("no text to reply to")
    return contexts


def readable(tokens: str) -> str:
    """Text of tokens in English spelling.

    >>> readable("i 'm good , thanks .")
    "i'm good, thanks."
    """
    detokenizer = require("nltk.tokenize.treebank", extra="data").TreebankWordDetokenizer()
    return str(detokenizer.detokenize(tokens.split()))
