"""Count how often each class is a target in a data set, which the encouragement is computed from."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eureka_nlg.errors import UserError, require
from eureka_nlg.files import write_whole
from eureka_nlg.integrations.token_loss import IGNORED

__all__ = ["TargetCounts", "count_targets"]

_BATCH = 1000  # rows at once


@dataclass(frozen=True)
class TargetCounts:
    """How often each class is a training target, and in which data.

    Attributes:
        counts: ``[C]`` int64.
        fingerprint: hash of the data set and of how it was counted.
        num_rows: number of rows of the data set.
    """

    counts: Tensor
    fingerprint: str
    num_rows: int

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        metadata = {"fingerprint": self.fingerprint, "num_rows": str(self.num_rows)}
        save = require("safetensors.torch", extra="transformers").save
        with write_whole(path) as file:
            file.write(save({"counts": self.counts}, metadata=metadata))

    @classmethod
    def load(cls, path: str | Path, fingerprint: str | None = None) -> TargetCounts:
        """Read what :meth:`save` wrote.

        Args:
            path: the file.
            fingerprint: that of the data in use, so that counts of other data are refused.

        Raises:
            UserError: the file cannot be read, or holds counts of other data.
        """
        safetensors = require("safetensors", extra="transformers")
        try:
            with safetensors.safe_open(str(path), framework="pt") as file:
                metadata, counts = file.metadata() or {}, file.get_tensor("counts")
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"{path}: no file of target counts ({error}); count the data again") from error
        found = cls(counts, metadata.get("fingerprint", ""), int(metadata.get("num_rows", 0)))
        if fingerprint is not None and fingerprint != found.fingerprint:
            raise UserError(f"{path}: counted on other data; remove the file, or count these data again")
        return found


def count_targets(
    data: Any,
    num_classes: int,
    *,
    shift: bool = True,
    column: str = "labels",
    mask: str | None = None,
    num_proc: int | None = None,
    limit: int | None = None,
) -> TargetCounts:
    """Count how often each class is a target.

    Args:
        data: a ``datasets.Dataset`` (counted by map and reduce, without Python objects for its tokens), an
            ``IterableDataset``, or any iterable of mappings: examples, or batches of a collator.
        num_classes: number of classes of the model; ids outside ``[0, num_classes)`` other than -100 are an
            error.
        shift: the first token of a row is not a target, as in a causal language model; False for
            encoder-decoders and classifiers.
        column: the targets: class ids, or lists or tensors of them; -100 is not a target. Where a collator
            makes the labels from ``input_ids``, give that column.
        mask: a column of ones and zeros that says which tokens are targets, such as TRL's
            ``"completion_mask"`` or ``"assistant_masks"``.
        num_proc: number of processes, for a ``datasets.Dataset``.
        limit: number of rows to read at most, for data without an end.

    Raises:
        UserError: no such column, ids that are not classes, or no target at all.

    >>> count_targets([{"labels": [5, 1, 1, -100]}, {"labels": [5, 2]}], 6).counts
    tensor([0, 2, 1, 0, 0, 0])
    """
    how = {"column": column, "mask": mask, "shift": shift, "limit": limit, "num_classes": num_classes}
    columns = getattr(data, "column_names", None)
    for name in (column, mask):
        if name is not None and columns is not None and name not in columns:
            raise UserError(
                f"count_targets: the data have no column {name}, only {', '.join(columns)}; give column=, "
                "for example column='input_ids' where the collator makes the labels"
            )
    if hasattr(data, "with_format") and hasattr(data, "select") and columns is not None:
        counts, rows = _map_and_reduce(data, num_classes, shift, column, mask, num_proc, limit)
        fingerprint = _fingerprint({**how, "data": data._fingerprint})
    else:
        counts, rows, digest = _one_by_one(data, num_classes, shift, column, mask, limit)
        fingerprint = _fingerprint({**how, "data": digest})
    if not counts.any():
        raise UserError(f"count_targets: not one target in {rows:,} rows; is everything in {column} -100?")
    return TargetCounts(torch.from_numpy(counts), fingerprint, rows)


def _map_and_reduce(
    data: Any,
    num_classes: int,
    shift: bool,
    column: str,
    mask: str | None,
    num_proc: int | None,
    limit: int | None,
) -> tuple[np.ndarray, int]:
    if limit is not None and limit < len(data):
        data = data.select(range(limit))
    used = [column] if mask is None else [column, mask]
    rows = len(data)
    counted = (
        data.select_columns(used)
        .with_format("arrow")
        .map(
            _count_table,
            batched=True,
            batch_size=_BATCH,
            num_proc=num_proc,
            remove_columns=used,
            fn_kwargs={"num_classes": num_classes, "shift": shift, "column": column, "mask": mask},
            desc="counting targets",
        )
        .with_format("numpy")
    )
    counts = np.zeros(num_classes, dtype=np.int64)
    for batch in counted.iter(batch_size=1 << 20):
        np.add.at(counts, batch["token"], batch["count"])
    return counts, rows


def _count_table(table: Any, num_classes: int, shift: bool, column: str, mask: str | None) -> Any:
    """The distinct targets of an Arrow table and their counts, as another Arrow table."""
    pyarrow = require("pyarrow", extra="transformers")
    values, starts = _flat(table.column(column).combine_chunks())
    kept = values != IGNORED
    if mask is not None:
        kept &= _flat(table.column(mask).combine_chunks())[0].astype(bool)
    if shift:
        kept[starts] = False
    counts = _bincount(values[kept], num_classes)
    tokens = counts.nonzero()[0]
    return pyarrow.table({"token": tokens, "count": counts[tokens]})


def _flat(array: Any) -> tuple[np.ndarray, np.ndarray]:
    """All values of an Arrow array of numbers or lists, and where its non-empty rows begin."""
    pyarrow = require("pyarrow", extra="transformers")
    if isinstance(array, pyarrow.ChunkedArray):
        array = pyarrow.concat_arrays(array.chunks) if array.num_chunks else array
    if hasattr(array, "storage"):
        array = array.storage
    if not hasattr(array, "flatten") or not hasattr(array, "value_lengths"):
        return array.to_numpy(zero_copy_only=False), np.zeros(0, dtype=np.int64)  # no row has a first token
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])) if len(lengths) else np.zeros(0, dtype=np.int64)
    return array.flatten().to_numpy(zero_copy_only=False).copy(), starts[lengths > 0].astype(np.int64)


def _one_by_one(
    data: Iterable[Mapping[str, Any]],
    num_classes: int,
    shift: bool,
    column: str,
    mask: str | None,
    limit: int | None,
) -> tuple[np.ndarray, int, str]:
    counts, rows, digest = np.zeros(num_classes, dtype=np.int64), 0, hashlib.sha256()
    sized: Any = data
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "__iter__"):
        # a map-style Dataset of torch: iterated as a sequence, one that slices would never end
        data = (sized[index] for index in range(len(sized)))
    for item in itertools.islice(data, limit):
        if column not in item or (mask is not None and mask not in item):
            raise UserError(f"count_targets: row {rows} has no {column if column not in item else mask}")
        values = np.asarray(item[column])
        kept = values != IGNORED
        if mask is not None:
            kept &= np.asarray(item[mask]).astype(bool)
        if shift and values.ndim:
            kept[..., :1] = False
        digest.update(np.ascontiguousarray(values[kept], dtype=np.int64).tobytes())
        counts += _bincount(values[kept], num_classes)
        rows += len(values) if values.ndim == 2 else 1
    return counts, rows, digest.hexdigest()


def _bincount(values: np.ndarray, num_classes: int) -> np.ndarray:
    if not values.size:
        return np.zeros(num_classes, dtype=np.int64)
    if not np.issubdtype(values.dtype, np.integer):
        raise UserError(f"count_targets: expected class ids, got {values.dtype}")
    if not 0 <= values.min() <= values.max() < num_classes:
        wrong = values[(values < 0) | (values >= num_classes)][0]
        raise UserError(
            f"count_targets: the target {wrong} is not a class; expected 0 to {num_classes - 1}, or -100"
        )
    return np.bincount(values.reshape(-1), minlength=num_classes)


def _fingerprint(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
