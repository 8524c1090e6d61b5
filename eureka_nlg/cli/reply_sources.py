"""The files that `eureka evaluate` reads for each system: its replies and their references."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import read_generated
from eureka_nlg.runs.names import named_path
from eureka_nlg.text_files import TextFile

__all__ = ["ReplySource", "digest", "named_paths", "open_source"]


class ReplySource(NamedTuple):
    """The replies of a system.

    Attributes:
        name: of the system.
        path: the file with its replies, for messages.
        replies, references: read when they are iterated over.
        generated_references: the references that fairseq-generate wrote beside the replies, where those are
            used; else None.
        inputs: what a file is for -> the file.
    """

    name: str
    path: str
    replies: Iterable[str]
    references: Iterable[str]
    generated_references: list[str] | None
    inputs: dict[str, TextFile]


def named_paths(arguments: list[str]) -> dict[str, str]:
    """``[NAME=]FILE`` -> name and file; the default name is the file's, without its suffix."""
    paths: dict[str, str] = {}
    for argument in arguments:
        given, path = named_path(argument)
        name = Path(path).stem if given is None else given
        if name in paths:
            raise UserError(f"{paths[name]} and {path} would both be named {name}: give names, NAME=FILE")
        paths[name] = path
    return paths


def open_source(name: str, path: str, is_generated: bool, references: TextFile | None) -> ReplySource:
    """Replies and references of one system, text files not yet read."""
    inputs = {} if references is None else {"references": references}
    if not is_generated and references is not None:
        inputs["hypotheses"] = TextFile(path)
        return ReplySource(name, path, inputs["hypotheses"], references, None, inputs)
    inputs["generated"] = TextFile(path, holds="one record of fairseq-generate")
    generated = read_generated(inputs["generated"])
    if references is not None:
        return ReplySource(name, path, generated.hypotheses, references, None, inputs)
    if generated.references is None:
        raise UserError(f"{path}: no line starts with T-, so there are no references: give --references FILE")
    return ReplySource(name, path, generated.hypotheses, generated.references, generated.references, inputs)


def digest(file: TextFile) -> dict[str, str]:
    return {"name": file.name, "sha256": file.sha256}
