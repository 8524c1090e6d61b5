"""The reader of UTF-8 text files for the whole package, with its error messages."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from eureka_nlg.compressed import open_input
from eureka_nlg.errors import UserError
from eureka_nlg.limits import LONGEST_LINE

__all__ = ["PathLike", "TextFile"]

PathLike = str | os.PathLike[str]

_BLOCK = 1 << 16  # bytes decoded at a time


class TextFile:
    """The lines of a UTF-8 text file, as a stream, with the number of lines and the digest for reports.

    Only ``\\n`` and ``\\r\\n`` end a line. ``str.splitlines`` also splits at U+2028, form feeds and others,
    which would misalign the lines of two parallel files. A byte order mark at the start is dropped. A
    compressed file is unpacked (see ``open_input``).

    Args:
        path: the file; it is opened when iteration starts and read once per iteration.
        holds: what a line should contain, for the message about an empty file.
        on_bad: called with the error of a line that is not UTF-8 or is longer than ``LONGEST_LINE``; the line
            is then left out, but counted. None: the error is raised.

    Attributes:
        num_lines: number of lines read so far; during iteration the number of the current line, from 1.
        sha256: hexadecimal digest of the bytes read so far; after iteration, of the file.

    Raises:
        UserError: during iteration, if the file is empty, or a line is bad and there is no ``on_bad``.
    """

    def __init__(
        self, path: PathLike, holds: str = "one reply", on_bad: Callable[[UserError], object] | None = None
    ) -> None:
        self.path = os.fspath(path)
        self.name = os.path.basename(self.path)
        self.holds = holds
        self.num_lines = 0
        self._on_bad = on_bad
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[str]:
        self.num_lines = 0
        self._digest = hashlib.sha256()
        with open_input(self.path) as file:
            while block := file.read(_BLOCK):
                if not block.endswith(b"\n"):
                    block += file.readline(LONGEST_LINE)
                self._digest.update(block)
                if len(block) > LONGEST_LINE and not block.endswith(b"\n") and (rest := self._rest(file)):
                    block += rest  # longer than allowed, which is detected below
                for text in self._decode(block):
                    self.num_lines += 1
                    yield text
        if self.num_lines == 0:
            raise UserError(f"{self.path}: the file is empty, expected {self.holds} per line")

    def _rest(self, file: BinaryIO) -> bytes:
        """Read to the end of a line that is too long, and return its last piece."""
        last = b""
        while piece := file.readline(_BLOCK):
            self._digest.update(piece)
            last = piece
            if piece.endswith(b"\n"):
                break
        return last

    def _decode(self, block: bytes) -> Iterable[str]:
        """The texts of the lines of the block."""
        if self.num_lines == 0:
            block = block.removeprefix(codecs.BOM_UTF8)
        if len(block) > LONGEST_LINE:
            return self._decode_each(block)
        try:
            texts = block.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            return self._decode_each(block)
        return (text.removesuffix("\r") for text in texts) if b"\r" in block else texts

    def _decode_each(self, block: bytes) -> Iterator[str]:
        for line in block.removesuffix(b"\n").split(b"\n"):
            try:
                if len(line) > LONGEST_LINE:
                    raise UserError(
                        f"{self.path}:{self.num_lines + 1}: the line is longer than {LONGEST_LINE:,} bytes; "
                        f"expected {self.holds} per line"
                    )
                try:
                    text = line.decode().removesuffix("\r")
                except UnicodeDecodeError as error:
                    raise UserError(
                        f"{self.path}:{self.num_lines + 1}: byte {error.start + 1} of the line is "
                        f"0x{line[error.start]:02x}, which is not UTF-8: convert the file to UTF-8"
                    ) from None
            except UserError as error:
                if self._on_bad is None:
                    raise
                self._on_bad(error)
                self.num_lines += 1
            else:
                yield text
