"""Counts that are labelled with their classes, such as a ``Counter`` or ``value_counts()`` of pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eureka_nlg.errors import UserError

__all__ = ["in_order_of_classes"]

# A larger number is not a class index but another kind of label, such as an id.
_MOST_CLASSES = 1 << 24


def in_order_of_classes(class_counts: Any) -> Any:
    """Counts in the order of the class indices, with 0 for missing classes.

    Args:
        class_counts: a mapping or a Series of pandas, class -> count; anything else is returned unchanged.

    Raises:
        UserError: a label is not a class index, or occurs twice.
    """
    if isinstance(class_counts, Mapping):
        labels, counts = list(class_counts), list(class_counts.values())
    elif (
        hasattr(class_counts, "reindex") and getattr(class_counts, "ndim", 0) == 1
    ):  # without importing pandas
        labels, counts = class_counts.index.tolist(), class_counts.tolist()
    else:
        return class_counts
    for label in labels:
        if not _is_class(label):
            raise UserError(
                f"class_counts has the label {label!r}, expected class indices from 0 on: give the counts "
                "in the order of the classes, such as counts.reindex(class_names, fill_value=0).tolist()"
            )
    if len(set(labels)) < len(labels):
        raise UserError("class_counts has a class twice, expected one count for each")
    found = {int(label): count for label, count in zip(labels, counts)}
    return [found.get(index, 0) for index in range(max(found, default=-1) + 1)]


def _is_class(label: Any) -> bool:
    try:
        return not isinstance(label, str) and 0 <= label < _MOST_CLASSES and label == int(label)
    except (TypeError, ValueError):
        return False
