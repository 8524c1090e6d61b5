"""Pre-trained word vectors for a dictionary, in the file that fairseq's --encoder-embed-path reads."""

from __future__ import annotations

import contextlib
import io
import ssl
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eureka_nlg.compressed import open_input
from eureka_nlg.errors import UserError, require
from eureka_nlg.limits import LONGEST_LINE, WIDEST_VECTOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Coverage", "check_vectors", "write_vectors", "reduce_width"]

_HEAD = 100  # lines that tell the layout of a file
_HEADER_DIGITS = 19  # of a number in its header


@dataclass(frozen=True)
class Coverage:
    """How much of a dictionary the vectors cover.

    Attributes:
        source: file name or torchtext name.
        source_width: dimensions of the vectors there.
        width: dimensions of the vectors written.
        types: number of words with a vector.
        types_share: share of the dictionary's words, 0 to 1.
        tokens_share: share of the training tokens whose word has a vector, 0 to 1.
        explained_variance: share of the vectors' variance that is kept where the width was reduced, 0 to 1.
    """

    source: str
    source_width: int
    width: int
    types: int
    types_share: float
    tokens_share: float
    explained_variance: float


def check_vectors(source: str, width: int | None = None) -> None:
    """Refuse arguments that ``write_vectors`` could not use, before any work is done.

    Raises:
        UserError: neither a file nor a torchtext name, or an impossible width.
    """
    if width is not None and width < 1:
        raise UserError(f"--vector-dim {width}: expected a number from 1 on")
    if not Path(source).exists():
        _torchtext_vectors(source)


def write_vectors(
    source: str,
    counts: Mapping[str, int],
    out: Path,
    width: int | None = None,
    *,
    total: int | None = None,
    cache_dir: Path | None = None,
) -> Coverage:
    """Write a line ``V D``, and then a line ``word v1 ... vD`` for each word that has a vector.

    Args:
        source: a text file of GloVe, fastText or word2vec, compressed or not, or a torchtext name such as
            ``glove.6B.300d``.
        counts: the words of the dictionary, in its order, with their training counts.
        out: the file to write.
        width: dimensions to reduce the vectors to; None keeps those of the source.
        total: number of training tokens, including words that are not in the dictionary; None if there
            are no such words.
        cache_dir: where torchtext keeps its downloads.

    Raises:
        UserError: no such source, a malformed line, no word found, or vectors narrower than ``width``.
    """
    check_vectors(source, width)
    words = list(counts)
    if Path(source).exists():
        matrix, found = _from_file(Path(source), words)
    else:
        matrix, found = _from_torchtext(source, words, cache_dir)
    if not found.any():
        raise UserError(f"{source}: has a vector for none of the {len(words)} words of the dictionary")
    source_width = matrix.shape[1]
    width = width or source_width
    if width > source_width:
        raise UserError(
            f"{source}: the vectors have {source_width} dimensions; expected at least --vector-dim {width}"
        )
    vectors, explained = reduce_width(matrix[found], width)
    covered = [word for word, has_vector in zip(words, found) if has_vector]
    with open(out, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{len(covered)} {width}\n")
        for word, vector in zip(covered, vectors):
            file.write(f"{word} {' '.join(f'{number:.6g}' for number in vector)}\n")
    return Coverage(
        source=Path(source).name,
        source_width=source_width,
        width=width,
        types=len(covered),
        types_share=len(covered) / len(words),
        tokens_share=sum(counts[word] for word in covered) / (total or sum(counts.values())),
        explained_variance=explained,
    )


def reduce_width(vectors: NDArray[np.float32], width: int) -> tuple[NDArray[np.floating], float]:
    """Project vectors onto their principal components, without rescaling.

    Args:
        vectors: [V, D].
        width: number of components kept, at most D; for D the vectors are returned unchanged.

    Returns:
        The vectors [V, width], and the share of the variance that is kept, 0 to 1.
    """
    if width == vectors.shape[1]:
        return vectors, 1.0
    centred = vectors.astype(np.float64)
    centred -= centred.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    axes = axes[:, ::-1][:, :width]
    # An axis is defined up to its sign: let its largest component be positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(width)])
    total = variances.sum()
    return centred @ axes, float(variances[::-1][:width].sum() / total) if total > 0 else 1.0


def _from_file(path: Path, words: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows for ``words`` from a text file, read line by line; the first line of a word counts."""
    rows = {word.encode(): row for row, word in enumerate(words)}
    found = np.zeros(len(words), dtype=bool)
    width, has_header = _layout(path)
    matrix = np.zeros((len(words), width), dtype=np.float32)
    for number, line in _byte_lines(path):
        if (number == 1 and has_header) or line[:1].isspace():  # the word is a blank
            continue
        word, *rest = line.split(None, 1)
        row = rows.get(word)
        if row is None or found[row]:
            continue
        numbers = rest[0].split() if rest else []
        if len(numbers) > width:  # a "word" with blanks in it, of which GloVe has some
            continue
        try:
            if len(numbers) < width:
                raise ValueError
            matrix[row] = [float(value) for value in numbers]
            if not np.isfinite(matrix[row]).all():
                raise ValueError
        except ValueError:
            raise UserError(f"{path}:{number}: expected a word and {width} finite numbers") from None
        found[row] = True
    return matrix, found


def _layout(path: Path) -> tuple[int, bool]:
    """The dimensions of the vectors, and whether the first line is word2vec's header.

    Most of the first lines decide the dimensions, as a word of a GloVe file can have spaces in it.
    """
    head = [line.split() for _, line in islice(_byte_lines(path), _HEAD)]
    if not head or not head[0]:
        raise UserError(f"{path}:1: the line is empty; expected a word and its vector")
    has_header = len(head[0]) == 2 and all(part.isdigit() and len(part) < _HEADER_DIGITS for part in head[0])
    widths = Counter(len(line) - 1 for line in head[has_header:] if line)
    if any(b"\0" in part for line in head for part in line):
        raise UserError(
            f"{path}: is not a text file, perhaps word2vec's binary format; expected lines of a word and its "
            "vector: convert the file"
        )
    width = widths.most_common(1)[0][0] if widths else int(head[0][1])
    if width < 1:
        raise UserError(f"{path}:1: no numbers in the line; expected a word and its vector")
    if has_header and widths and int(head[0][1]) != width:
        raise UserError(
            f"{path}:1: the first line says {int(head[0][1]):,} numbers per word, most of the next lines "
            f"have {width:,}; expected the same"
        )
    if width > WIDEST_VECTOR:
        raise UserError(f"{path}: {width:,} numbers per word; expected at most {WIDEST_VECTOR:,}")
    return width, has_header


def _byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines, from 1 on, of a file that may be compressed."""
    with open_input(path) as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise UserError(f"{path}:{number}: the line is longer than {LONGEST_LINE:,} bytes")
            yield number, line


def _torchtext_vectors(name: str) -> Any:
    """The function of torchtext that loads the vectors of this name."""
    aliases = require("torchtext.vocab", extra="data").pretrained_aliases
    if name not in aliases:
        known = ", ".join(aliases)
        raise UserError(f"{name}: neither a file nor vectors that torchtext knows; it knows {known}")
    return aliases[name]


def _from_torchtext(
    name: str, words: Sequence[str], cache_dir: Path | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows for ``words`` from vectors that torchtext downloads and caches."""
    load = _torchtext_vectors(name)
    cache = cache_dir or Path(require("pooch", extra="data").os_cache("eureka-nlg"))
    # torchtext shows a progress bar, which is of use to somebody who is there
    screen = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
    # torchtext switches the check of certificates off for the whole process
    https_context = ssl._create_default_https_context
    try:
        with screen:
            vectors = load(cache=str(cache))
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{name}: torchtext cannot download the vectors to {cache} ({error}); "
            "download them elsewhere and give the text file"
        ) from error
    finally:
        ssl._create_default_https_context = https_context
    found = np.array([word in vectors.stoi for word in words], dtype=bool)
    matrix = np.zeros((len(words), vectors.dim), dtype=np.float32)
    if found.any():
        matrix[found] = vectors.vectors[[vectors.stoi[w] for w, has in zip(words, found) if has]].numpy()
    return matrix, found
