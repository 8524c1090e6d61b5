"""What is wrong with data, as one line for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import overload

from torch import Tensor

__all__ = ["FirstOf", "described_problems", "label_problems"]

_NAMED = 5
"""How many of each kind of problem a report names."""


class FirstOf(Sequence[str]):
    """A number of things of which the first few are known; all of them might not fit into memory."""

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
    """Classes below the largest without a training image; for another split, classes unknown to training.

    Args:
        labels: ``[N]`` int64, classes of the split.
        training: those of the training split, if this is another one.

    Returns:
        Kind -> what was found. The memory that it takes does not depend on how large a class is.
    """
    present = labels.unique().tolist()  # rising
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


def described_problems(problems: Mapping[str, Sequence[str]]) -> str:
    """Kind -> what was found, as one line with numbers and examples; a kind that lists nothing is missing."""
    parts = []
    for kind, found in problems.items():
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        parts.append(f"{len(found)} {kind}: {named}" if found else f"no {kind}")
    return "; ".join(parts)
