"""Reading the words of a vocabulary file, and their counts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eureka_nlg.errors import UserError
from eureka_nlg.text_files import PathLike, TextFile

__all__ = ["read_vocabulary", "read_word_counts"]

# fairseq's lines may end in a flag; its padding entries have count 0 and are not words
_ENTRY = re.compile(r"(?P<word>\S+)(?:[ \t](?P<count>\d+)(?: #fairseq:overwrite)?)?")
_PADDING = re.compile(r"madeupword\d+")


def read_vocabulary(path: PathLike | TextFile) -> list[str]:
    """The word types of a fairseq ``dict.txt`` (``word count`` per line) or of a file with one word per line.

    fairseq's padding entries, ``madeupwordNNNN 0``, are left out.

    Raises:
        UserError: the file is empty, or a line has another form.
    """
    return [word for word, _ in _entries(path, "`word` or `word count`")]


def read_word_counts(path: PathLike | TextFile) -> dict[str, int]:
    """Words and their counts, from a fairseq ``dict.txt`` or another file of ``word count`` lines.

    fairseq's padding entries, ``madeupwordNNNN 0``, are left out.

    Raises:
        UserError: the file is empty, a line has another form, or a word has two entries.
    """
    file = _text_file(path)
    counts: dict[str, int] = {}
    for word, count in _entries(file, "`word count`"):
        if count is None:
            raise UserError(f"{file.path}:{file.num_lines}: {word!r} has no count, expected `word count`")
        if word in counts:
            raise UserError(
                f"{file.path}:{file.num_lines}: a second entry for {word!r}, expected one per word"
            )
        counts[word] = count
    return counts


def _entries(path: PathLike | TextFile, expected: str) -> Iterator[tuple[str, int | None]]:
    file = _text_file(path)
    for line in file:
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise UserError(
                f"{file.path}:{file.num_lines}: {line[:40]!r} is no entry of a vocabulary, "
                f"expected {expected}"
            )
        if not (entry["count"] == "0" and _PADDING.fullmatch(entry["word"])):
            yield entry["word"], None if entry["count"] is None else int(entry["count"])


def _text_file(path: PathLike | TextFile) -> TextFile:
    return path if isinstance(path, TextFile) else TextFile(path, holds="one word")
