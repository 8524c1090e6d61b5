"""Dialogues as ``messages``, the form that chat templates take: ``eureka prepare --format-out messages``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from eureka_nlg.dialogue.formats import Dialogue, Source
from eureka_nlg.dialogue.manifest import provenance, read_corpus, tell_findings, write_manifest
from eureka_nlg.dialogue.options import PrepareOptions, option_name
from eureka_nlg.dialogue.progress import Progress
from eureka_nlg.dialogue.tokenizers import is_tokenized, nltk_detokenizer
from eureka_nlg.errors import UserError, require

__all__ = ["MESSAGES", "check_options", "conversations", "prepare_messages"]

# what `--format-out` calls the files -> their ending
MESSAGES = {"messages": ".jsonl", "messages-parquet": ".parquet"}
_HEEDED = frozenset({"persona", "both_sides", "skip_bad", "lowercase", "detokenize"})
_RECORDED = ("persona", "both_sides", "detokenize", "skip_bad")
_MOST_TOKENIZED = 0.2  # of the replies, before it is told
_ROWS = 1000  # of a parquet file in memory at a time

Message = dict[str, str]


def check_options(options: PrepareOptions, format_out: str) -> None:
    """Refuse options that have no effect on messages, which hold the whole text.

    Raises:
        UserError: an option about tokens or the length of contexts.
    """
    for option in fields(options):
        value = getattr(options, option.name)
        if option.name not in _HEEDED and value != option.default:
            raise UserError(
                f"{option_name(option.name)}: is for fairseq data; leave it out, as --format-out "
                f"{format_out} keeps the whole text"
            )


def prepare_messages(
    sources: Mapping[str, Sequence[Source]],
    folder: Path,
    options: PrepareOptions,
    format_out: str = "messages",
    *,
    progress: Progress | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """Fill a folder with a file of conversations for each split, and a manifest.

    A row is ``{"messages": [{"role": ..., "content": ...}, ...]}``. Memory does not grow with the corpus.

    Args:
        sources: split -> its parts, from ``find_sources``.
        folder: an empty folder; ``new_folder`` makes one that appears only when it is whole.
        options: of these, ``persona``, ``both_sides``, ``detokenize`` and ``skip_bad`` are used.
        format_out: key of ``MESSAGES``.
        progress: shows how far the work is.
        tell: called with lines about entries that were skipped, or read in a way that is worth knowing, and
            about text that should be joined.

    Returns:
        The content of ``manifest.json``.

    Raises:
        UserError: malformed input, by file and line; a split without any reply; an option for fairseq data.
    """
    check_options(options, format_out)
    progress = progress or Progress()
    corpus = read_corpus(sources, options.skip_bad)
    joined = nltk_detokenizer() if options.detokenize else str
    splits = {}
    for split, dialogues in corpus.items():
        counts: Counter[str] = Counter(dialogues=0, conversations=0, exchanges=0, tokenized=0)
        both_sides = options.both_sides and split == "train"
        read = progress.over(dialogues, split, "dialogues")
        rows = _counted(read, options.persona, both_sides, joined, counts)
        write = _write_json_lines if format_out == "messages" else _write_parquet
        write(folder / f"{split}{MESSAGES[format_out]}", rows)
        if not counts["exchanges"]:
            locations = ", ".join(part.location for part in sources[split])
            raise UserError(
                f"{locations}: no exchange for the split {split}; a dialogue needs a turn and a reply"
            )
        tokenized = counts.pop("tokenized")
        if split == "train" and not options.detokenize and tokenized > _MOST_TOKENIZED * counts["exchanges"]:
            tell(
                f"{tokenized:,} of {counts['exchanges']:,} training replies have spaces before commas and "
                "full stops, which a model trained on them will write, too: --detokenize joins such text"
            )
        splits[split] = dict(counts)
        if options.skip_bad:
            splits[split]["skipped"] = dialogues.findings.num_bad
    manifest = {
        **provenance(sources),
        "format_out": format_out,
        "options": {name: getattr(options, name) for name in _RECORDED},
        "splits": splits,
    }
    write_manifest(manifest, folder)
    for dialogues in corpus.values():
        tell_findings(dialogues, tell)
    return manifest


def conversations(
    dialogue: Dialogue, persona: bool = True, both_sides: bool = False
) -> Iterator[list[Message]]:
    """A dialogue as messages. The second speaker is the assistant, and the last message is the assistant's.

    Silence is not a message: what one speaker says before and after it is joined into one message. A dialogue
    in which the assistant says nothing yields nothing.

    Args:
        dialogue: the conversation.
        persona: begin with the assistant's persona, as a system message.
        both_sides: yield the dialogue a second time with the roles exchanged.
    """
    for assistant in (1, 0) if both_sides else (1,):
        messages: list[Message] = []
        sentences = dialogue["persona" if assistant else "partner_persona"]
        if persona and sentences:
            messages.append({"role": "system", "content": "\n".join(sentences)})
        for place, turn in enumerate(dialogue["turns"]):
            role = "assistant" if place % 2 == assistant else "user"
            if turn and messages and messages[-1]["role"] == role:
                messages[-1]["content"] += f"\n{turn}"
            elif turn:
                messages.append({"role": role, "content": turn})
        while messages and messages[-1]["role"] != "assistant":
            messages.pop()
        if messages:
            yield messages


def _counted(
    dialogues: Iterable[Dialogue],
    persona: bool,
    both_sides: bool,
    joined: Callable[[str], str],
    counts: Counter[str],
) -> Iterator[list[Message]]:
    for dialogue in dialogues:
        counts["dialogues"] += 1
        for messages in conversations(dialogue, persona, both_sides):
            counts["conversations"] += 1
            for message in messages:
                if message["role"] == "assistant":
                    counts["exchanges"] += 1
                    counts["tokenized"] += is_tokenized(message["content"])
                message["content"] = joined(message["content"])
            yield messages


def _write_json_lines(path: Path, rows: Iterable[list[Message]]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for messages in rows:
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, rows: Iterable[list[Message]]) -> None:
    arrow = require("pyarrow", extra="data")
    message = arrow.struct([("role", arrow.string()), ("content", arrow.string())])
    schema = arrow.schema([("messages", arrow.list_(message))])
    with _arrow_errors(path), require("pyarrow.parquet", extra="data").ParquetWriter(path, schema) as writer:
        batch: list[list[Message]] = []
        for messages in rows:
            batch.append(messages)
            if len(batch) == _ROWS:
                writer.write_table(arrow.table({"messages": batch}, schema=schema))
                batch = []
        writer.write_table(arrow.table({"messages": batch}, schema=schema))


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    """Replace the temporary name of the file in Arrow's errors of input and output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, str(error), str(path)) from error
