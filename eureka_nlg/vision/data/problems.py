"""Problems of data, and their description in one line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

from torch import Tensor

from eureka_nlg.errors import UserError

__all__ = ["FirstOf", "check_there", "described_problems", "label_problems"]

_NAMED = 5
"""Number of examples that a report names for each kind of problem."""


class FirstOf(Sequence[str]):
    """A sequence of which only the length and the first items are stored, to save memory."""

    def __init__(self, count: int, first: Sequence[str]) -> None:
        self._count, self._first = count, first

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._first[index]


def label_problems(labels: Tensor, training: Tensor | None = None) -> dict[str, Sequence[str]]:
    """Problems of labels: classes without training images, or, in another split, classes unknown to training.

    Args:
        labels: ``[N]`` int64, classes of the split.
        training: classes of the training split, if ``labels`` are those of another split.

    Returns:
        Kind of problem -> examples. Its memory does not depend on how large the class indices are.
    """
    present = labels.unique().tolist()  # in ascending order
    if training is not None:
        known = set(training.tolist())
        unknown = [str(label) for label in present if label not in known]
        return {"classes that no training image has": unknown} if unknown else {}
    if not present:
        return {"labels": ["none at all"]}
    known, largest = {label for label in present if label >= 0}, present[-1]
    gaps = FirstOf(
        max(largest + 1 - len(known), 0),
        [str(label) for label in islice((c for c in range(largest + 1) if c not in known), _NAMED)],
    )
    problems = {
        f"classes of 0 to {largest} without a training image": gaps,
        "negative classes": [str(label) for label in present if label < 0],
    }
    return {kind: found for kind, found in problems.items() if len(found)}


def check_there(paths: Iterable[Path], thing: str, remedy: str) -> None:
    """Raise UserError if files or folders that a config names do not exist: all of them, and what to do.

    Args:
        paths: the files or folders.
        thing: what they are, ``file`` or ``folder``.
        remedy: end of the message.
    """
    missing = [str(path) for path in paths if not _exists(path)]
    if missing:
        raise UserError(f"{', '.join(missing)}: no such {thing}; {remedy}")


def _exists(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # its reader says why it cannot be read
    return True


def described_problems(problems: Mapping[str, Sequence[str]]) -> str:
    """Describe problems (kind -> examples) in one line; an empty list means that there is none of a kind."""
    parts = []
    for kind, found in problems.items():
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        parts.append(f"{len(found)} {kind}: {named}" if found else f"no {kind}")
    return "; ".join(parts)
