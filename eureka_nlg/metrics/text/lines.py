"""Replies on their way into the metrics: lines of a file, chunks of a stream, pairs that must match."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest

from eureka_nlg.errors import UserError

__all__ = ["PathLike", "Reply", "TextFile", "as_text", "check_sequence", "chunks", "paired_chunks"]

PathLike = str | os.PathLike[str]
Reply = str | Sequence[str]
"""A reply: a string, split on white space, or its tokens."""

_CHUNK = 1024  # replies held as text at a time
_BLOCK = 1 << 16  # bytes decoded at a time


class TextFile:
    """The lines of a UTF-8 text file, streamed, with what a report must say about the file.

    A line ends at ``\\n`` (or ``\\r\\n``) and nowhere else. ``str.splitlines`` also breaks at U+2028, form
    feeds and others, which would shift all later lines of one file against those of its partner. A byte
    order mark at the start is dropped.

    Args:
        path: the file; it is opened when iteration starts and read once per iteration.
        holds: what a line should hold, for the message about an empty file.

    Attributes:
        num_lines: lines read so far.
        sha256: hexadecimal digest of the bytes read so far; of the file, once iteration is over.

    Raises:
        UserError: while iterating, for an empty file or a line that is not UTF-8.
    """

    def __init__(self, path: PathLike, holds: str = "one reply") -> None:
        self.path = os.fspath(path)
        self.name = os.path.basename(self.path)
        self.holds = holds
        self.num_lines = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[str]:
        self.num_lines = 0
        self._digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            while lines := file.readlines(_BLOCK):
                block = b"".join(lines)
                self._digest.update(block)
                for text in self._decode(block, lines):
                    self.num_lines += 1
                    yield text
        if self.num_lines == 0:
            raise UserError(f"{self.path}: the file is empty, expected {self.holds} per line")

    def _decode(self, block: bytes, lines: list[bytes]) -> Iterable[str]:
        """The texts of the lines that the block consists of."""
        if self.num_lines == 0:
            block = block.removeprefix(codecs.BOM_UTF8)
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        try:
            texts = block.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            return self._decode_each(lines)
        return (text.removesuffix("\r") for text in texts) if b"\r" in block else texts

    def _decode_each(self, lines: list[bytes]) -> Iterator[str]:
        for line in lines:
            try:
                yield line.decode().removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{self.path}:{self.num_lines + 1}: byte {error.start + 1} of the line is "
                    f"0x{line[error.start]:02x}, which is not UTF-8: convert the file to UTF-8"
                ) from None


def as_text(reply: Reply) -> str:
    """The reply as one string; tokens are joined by spaces."""
    return reply if isinstance(reply, str) else " ".join(reply)


def chunks(replies: Iterable[Reply], name: str = "hypotheses") -> Iterator[list[Reply]]:
    """Cut replies into lists that are short enough to stay in a processor's cache.

    Raises:
        UserError: ``replies`` is a lone string, which would be taken for a sequence of letters.
    """
    check_sequence(name, replies)
    iterator = iter(replies)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def paired_chunks(
    hypotheses: Iterable[Reply],
    references: Iterable[Reply],
    names: tuple[str, str] = ("hypotheses", "references"),
) -> Iterator[tuple[list[Reply], list[Reply]]]:
    """Cut replies and their references into equally long lists.

    Args:
        hypotheses: replies, also a stream of them.
        references: as many references.
        names: what messages call the two, for example the names of their files.

    Raises:
        UserError: the two are not equally long; the message names both lengths. Or one is a lone string.
    """
    left, right = chunks(hypotheses, names[0]), chunks(references, names[1])
    num_pairs, nothing = 0, list[Reply]()
    for left_chunk, right_chunk in zip_longest(left, right, fillvalue=nothing):
        if len(left_chunk) != len(right_chunk):
            num_left = num_pairs + len(left_chunk) + sum(map(len, left))
            num_right = num_pairs + len(right_chunk) + sum(map(len, right))
            raise UserError(
                f"{names[0]}: {num_left} replies, {names[1]}: {num_right} references: "
                "expected one reference per reply, in the same order"
            )
        num_pairs += len(left_chunk)
        yield left_chunk, right_chunk


def check_sequence(name: str, values: object) -> None:
    """Refuse a lone string where a sequence of replies or words is expected."""
    if isinstance(values, (str, bytes)):
        raise UserError(f"{name} is one string, expected a sequence of them: wrap it in a list")
