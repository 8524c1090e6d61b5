"""Reading the word types of a vocabulary file."""

from __future__ import annotations

import re

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text import PathLike, TextFile

__all__ = ["read_vocabulary"]

# fairseq's own lines may end in a flag; the padding it adds has count 0 and is no word
_ENTRY = re.compile(r"(?P<word>\S+)(?:[ \t](?P<count>\d+)(?: #fairseq:overwrite)?)?")
_PADDING = re.compile(r"madeupword\d+")


def read_vocabulary(path: PathLike | TextFile) -> list[str]:
    """Word types from a fairseq ``dict.txt`` (``word count`` per line) or a file of one word per line.

    fairseq's padding entries, ``madeupwordNNNN 0``, are left out.

    Raises:
        UserError: an empty file, or a line of another form.
    """
    file = path if isinstance(path, TextFile) else TextFile(path, holds="one word")
    words = []
    for line in file:
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise UserError(
                f"{file.path}:{file.num_lines}: {line[:40]!r} is no entry of a vocabulary, "
                "expected `word` or `word count`"
            )
        if not (entry["count"] == "0" and _PADDING.fullmatch(entry["word"])):
            words.append(entry["word"])
    return words
