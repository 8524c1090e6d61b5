"""Checks of arguments that are arrays of integers, such as class counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.labelled_counts import in_order_of_classes

__all__ = ["Integers", "as_class_counts", "as_integers", "occurring_counts"]

Integers = Any
"""One integer per item, as a sequence, a numpy array, or a torch tensor on any device."""


def as_class_counts(class_counts: Integers) -> NDArray[np.int64]:
    """Class counts as an array [C]; a count may be 0.

    Raises:
        UserError: there are no classes, or a count is negative or fractional.
    """
    counts = as_integers("class_counts", in_order_of_classes(class_counts))
    if not counts.size:
        raise UserError("class_counts must be a non-empty [C] sequence, got shape [0]")
    if counts.min() < 0:
        position = counts.argmin()
        raise UserError(
            f"class_counts must be non-negative integers, got {counts[position]} for class {position}"
        )
    return counts


def occurring_counts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts that are not 0.

    Raises:
        UserError: all counts are 0.
    """
    if not counts.any():
        raise UserError(f"class_counts are zero for all of the {len(counts)} classes: nothing was counted")
    return counts[counts > 0]


def as_integers(name: str, values: Integers) -> NDArray[np.int64]:
    """The values as an array of integers; ``name`` is their name in error messages.

    Raises:
        UserError: the values do not have one dimension, or one of them is not an integer.
    """
    if hasattr(values, "detach"):  # a tensor; importing torch for the check would take a second
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()  # numpy has no bfloat16
    array = np.asarray(values)
    if array.ndim != 1:
        raise UserError(f"{name} has shape {list(array.shape)}, expected one dimension")
    if not array.size:
        return np.zeros(0, dtype=np.int64)
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {array.dtype}, expected integers")
    wrong = np.flatnonzero(array != np.floor(array))  # finds NaN too, which is unequal to itself
    if wrong.size or not np.isfinite(array).all():
        position = wrong[0] if wrong.size else np.flatnonzero(~np.isfinite(array))[0]
        raise UserError(f"{name}: entry {position} is {array[position]}, expected an integer")
    return array.astype(np.int64)
