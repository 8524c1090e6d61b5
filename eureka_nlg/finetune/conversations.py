"""Turn conversations into training examples: the token ids, and which of them are learned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eureka_nlg.datasets_cache import cache_dir
from eureka_nlg.errors import UserError, require
from eureka_nlg.limits import parse_json
from eureka_nlg.text_files import TextFile

__all__ = [
    "PLAIN_TEMPLATE",
    "Messages",
    "examples_of",
    "file_of_split",
    "ids_of",
    "load_split",
    "read_messages",
    "splits_of",
    "tokenised",
]

Messages = list[dict[str, str]]

# Line ends are written as values, because transformers drops those that follow a tag. A reply begins on a new
# line, where tokenizers of word pieces always begin a new piece.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ':\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
)
"""The chat template for tokenizers that have none."""

_IGNORED = -100


_KINDS = {".jsonl": "json", ".parquet": "parquet"}


def file_of_split(folder: str | os.PathLike[str], split: str) -> Path:
    """The file of conversations of a split.

    Raises:
        UserError: there is none.
    """
    for ending in _KINDS:
        path = Path(folder) / f"{split}{ending}"
        if path.is_file():
            return path
    known = ", ".join(splits_of(folder))
    raise UserError(
        f"{folder}: holds neither {split}.jsonl nor {split}.parquet"
        + (f"; its splits are {known}: give --split" if known else ": make the folder by ")
        + ("" if known else "`eureka prepare CORPUS --out DIR --format-out messages`")
    )


def splits_of(folder: str | os.PathLike[str]) -> list[str]:
    """Names of the splits that a folder has."""
    return sorted({path.stem for path in Path(folder).glob("*") if path.suffix in _KINDS})


def read_messages(folder: str | os.PathLike[str], split: str) -> Iterator[Messages]:
    """The conversations of a split, one at a time; nothing is written.

    Raises:
        UserError: no such split, or a row that is not a conversation, by file and row.
    """
    path = file_of_split(folder, split)
    for number, row in enumerate(_rows(path), start=1):
        messages = row.get("messages") if isinstance(row, dict) else None
        if not isinstance(messages, list) or not all(map(_is_message, messages)):
            raise UserError(
                f"{path}:{number}: the row has no messages; expected "
                '{"messages": [{"role": "user", "content": "..."}, ...]}'
            )
        yield messages


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _rows(path: Path) -> Iterator[Any]:
    if path.suffix == ".parquet":
        for batch in require("pyarrow.parquet", extra="data").ParquetFile(path).iter_batches(1000):
            yield from batch.to_pylist()
        return
    for number, line in enumerate(TextFile(path, holds="one conversation as JSON"), start=1):
        try:
            yield parse_json(line)
        except ValueError as error:
            raise UserError(f"{path}:{number}: not JSON: {error}") from error


def load_split(folder: str, split: str) -> Any:
    """A split as a ``datasets.Dataset`` of ``messages``.

    Raises:
        UserError: no such split, or rows that are no conversations.
    """
    datasets = require("datasets", extra="transformers")
    path = file_of_split(folder, split)
    data = datasets.load_dataset(
        _KINDS[path.suffix], data_files=str(path), split="train", cache_dir=cache_dir()
    )
    if "messages" not in data.column_names:
        raise UserError(
            f"{path}: has no column messages; make the file by `eureka prepare --format-out messages`"
        )
    return data.select_columns(["messages"])


def tokenised(data: Any, tokenizer: Any, is_encoder_decoder: bool, max_length: int) -> Any:
    """Examples of token ids and labels: one per conversation, or one per reply for an encoder-decoder."""

    def examples(rows: dict[str, list[Messages]]) -> dict[str, list[list[int]]]:
        found = [
            example
            for messages in rows["messages"]
            for example in examples_of(messages, tokenizer, is_encoder_decoder, max_length)
        ]
        names = ("input_ids", "attention_mask", "labels")
        return {name: [example[name] for example in found] for name in names}

    return data.map(examples, batched=True, remove_columns=data.column_names, desc="tokenising")


def examples_of(
    messages: Messages, tokenizer: Any, is_encoder_decoder: bool, max_length: int
) -> list[dict[str, list[int]]]:
    """The examples of a conversation. All messages of the assistant are learned, and nothing else.

    Raises:
        UserError: the chat template writes earlier messages differently when a later one is added.
    """
    replies = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if is_encoder_decoder:
        return [
            _example(
                ids_of(tokenizer, messages[:index], True)[-max_length:],
                tokenizer(messages[index]["content"], truncation=True, max_length=max_length)["input_ids"],
            )
            for index in replies
        ]
    if not replies:
        return []
    ids = ids_of(tokenizer, messages[: replies[-1] + 1], False)
    labels = [_IGNORED] * len(ids)
    for index in replies:
        before = ids_of(tokenizer, messages[:index], True)
        after = ids_of(tokenizer, messages[: index + 1], False)
        if after[: len(before)] != before or ids[: len(after)] != after:
            raise UserError(
                "the chat template of this tokenizer writes earlier messages differently when a later one is "
                "added, so that replies cannot be told from the rest: set another tokenizer.chat_template"
            )
        labels[len(before) : len(after)] = after[len(before) :]
    return [_example(ids[-max_length:], labels[-max_length:])]


def ids_of(tokenizer: Any, messages: Messages, prompt: bool) -> list[int]:
    """Token ids of messages in the tokenizer's chat template, with or without a prompt for the next reply."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _example(ids: list[int], labels: list[int]) -> dict[str, list[int]]:
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}
