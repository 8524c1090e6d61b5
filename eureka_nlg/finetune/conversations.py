"""Conversations as the examples of a model: what is read, and which of its tokens are learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eureka_nlg.errors import UserError, require

__all__ = ["PLAIN_TEMPLATE", "examples_of", "load_split", "tokenised"]

Messages = list[dict[str, str]]

# Line ends are written as values: transformers drops those that follow a tag. A reply begins a line, where
# tokenizers of pieces begin a new piece whatever follows.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ':\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
)
"""For tokenizers without a chat template of their own."""

_IGNORED = -100


def load_split(folder: str, split: str) -> Any:
    """A split as a ``datasets.Dataset`` of ``messages``.

    Raises:
        UserError: no such split, or rows that are no conversations.
    """
    datasets = require("datasets", extra="transformers")
    for name, kind in ((f"{split}.jsonl", "json"), (f"{split}.parquet", "parquet")):
        path = Path(folder) / name
        if path.is_file():
            data = datasets.load_dataset(kind, data_files=str(path), split="train")
            if "messages" not in data.column_names:
                raise UserError(
                    f"{path}: no column messages; make it by `eureka prepare --format-out messages`"
                )
            return data.select_columns(["messages"])
    raise UserError(
        f"{folder}: neither {split}.jsonl nor {split}.parquet in it; make it by "
        "`eureka prepare CORPUS --out DIR --format-out messages`"
    )


def tokenised(data: Any, tokenizer: Any, is_encoder_decoder: bool, max_length: int) -> Any:
    """Examples of token ids and labels, one a conversation; of an encoder-decoder one a reply."""

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
    """Examples of a conversation: every message of the assistant is learned, and nothing else.

    Raises:
        UserError: a chat template that changes what came before when a message is added.
    """
    replies = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if is_encoder_decoder:
        return [
            _example(
                _ids(tokenizer, messages[:index], True)[-max_length:],
                tokenizer(messages[index]["content"], truncation=True, max_length=max_length)["input_ids"],
            )
            for index in replies
        ]
    if not replies:
        return []
    ids = _ids(tokenizer, messages[: replies[-1] + 1], False)
    labels = [_IGNORED] * len(ids)
    for index in replies:
        before = _ids(tokenizer, messages[:index], True)
        after = _ids(tokenizer, messages[: index + 1], False)
        if after[: len(before)] != before or ids[: len(after)] != after:
            raise UserError(
                "the chat template of this tokenizer writes earlier messages in another way once a later "
                "one is there, so that replies cannot be told from the rest: set tokenizer.chat_template"
            )
        labels[len(before) : len(after)] = after[len(before) :]
    return [_example(ids[-max_length:], labels[-max_length:])]


def _ids(tokenizer: Any, messages: Messages, prompt: bool) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _example(ids: list[int], labels: list[int]) -> dict[str, list[int]]:
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}
