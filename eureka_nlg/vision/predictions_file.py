"""The predictions of a classifier for its test images, as a file that runs are compared by."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.files import write_whole
from eureka_nlg.metrics import Comparison
from eureka_nlg.metrics.significance.classifiers import compare_predictions
from eureka_nlg.metrics.significance.comparison import Resamples

__all__ = ["PREDICTIONS", "SavedPredictions", "compare_runs", "read_predictions", "write_predictions"]

PREDICTIONS = "predictions.npz"
"""File in the folder of a finished run."""

_WHOLE = ("predicted", "labels", "class_counts")
_SHARES = ("confidence", "likelihood")
# what numpy and zipfile raise for files of other kinds and damaged ones
_UNREADABLE = (
    *(ValueError, KeyError, TypeError, EOFError, MemoryError, OverflowError, SyntaxError),
    *(NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
)


class SavedPredictions(NamedTuple):
    """Predictions for N test images.

    Attributes:
        predicted: ``[N]`` class with the largest logit.
        confidence: ``[N]`` likelihood of this class.
        likelihood: ``[N]`` likelihood of the true class.
        labels: ``[N]`` true class.
        class_counts: ``[C]`` training images of each class.
        sha256: of the file.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    likelihood: NDArray[np.float64]
    labels: NDArray[np.int64]
    class_counts: NDArray[np.int64]
    sha256: str


def write_predictions(path: str | os.PathLike[str], **arrays: NDArray[Any]) -> None:
    """Write the arrays of :class:`SavedPredictions` in NumPy's format npz.

    Raises:
        UserError: the file cannot be written.
    """
    with write_whole(path) as file:
        content: dict[str, Any] = {name: arrays[name].astype(np.int32) for name in _WHOLE}
        content |= {name: arrays[name].astype(np.float32) for name in _SHARES}
        np.savez_compressed(file, **content)


def read_predictions(path: str | os.PathLike[str]) -> SavedPredictions:
    """Read the predictions of a run, or a file that others have written in the same format.

    Args:
        path: the folder of a run, or an npz file with the arrays of :class:`SavedPredictions`.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    folder, path = Path(path), Path(path)
    if folder.is_dir():
        path = folder / PREDICTIONS
        if not path.is_file():
            raise UserError(
                f"{folder}: has no {PREDICTIONS}, which `eureka vision train` writes at the end; for another "
                f"checkpoint or an older run, `eureka vision evaluate {folder} --predictions FILE` writes one"
            )
    try:
        content = path.read_bytes()
        arrays = _arrays(content)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; expected predictions of a classifier") from error
    except _UNREADABLE as error:
        raise UserError(f"{path}: not predictions of a classifier: {_reason(error)}") from error
    return SavedPredictions(**arrays, sha256=hashlib.sha256(content).hexdigest())


def compare_runs(
    paths: Mapping[str, str | os.PathLike[str]], resamples: Resamples | None = None
) -> Comparison:
    """Compare runs, or files of predictions, on the same test images.

    Args:
        paths: name -> what :func:`read_predictions` reads; the others are compared with the first.
        resamples: how many, and which tests; None for the default.

    Raises:
        UserError: a file cannot be read, or the training or test images are not those of the first; as in
            :func:`eureka_nlg.metrics.compare_classifiers`.
    """
    found = {name: read_predictions(path) for name, path in paths.items()}
    base = next(iter(found))
    for name, one in found.items():
        for what in ("labels", "class_counts"):
            if not np.array_equal(getattr(one, what), getattr(found[base], what)):
                differing = {"labels": "test images", "class_counts": "training images by class"}[what]
                raise UserError(
                    f"{paths[name]}: its {differing} differ from those of {paths[base]}; expected "
                    "classifiers of the same data"
                )
    comparison = compare_predictions(
        {name: one.predicted for name, one in found.items()},
        found[base].labels,
        found[base].class_counts,
        resamples or Resamples(),
        confidences={name: one.confidence for name, one in found.items()},
        likelihoods={name: one.likelihood for name, one in found.items()},
    )
    inputs = {name: {"name": Path(paths[name]).name, "sha256": one.sha256} for name, one in found.items()}
    return replace(comparison, signature={**comparison.signature, "inputs": inputs})


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    arrays = {}
    found = np.load(io.BytesIO(content), allow_pickle=False)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise ValueError("one array, expected an npz archive")
    for names, kind, what in ((_WHOLE, "iu", np.int64), (_SHARES, "f", np.float64)):
        for name in names:
            array = found[name]
            if array.dtype.kind not in kind or array.ndim != 1:
                raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, expected one row of numbers")
            arrays[name] = array.astype(what)
    lengths = {name: len(arrays[name]) for name in ("predicted", "labels", *_SHARES)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lengths {lengths}, expected one entry of each for every image")
    return arrays


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"it has no {str(error).strip(chr(39) + chr(34)).split(' ')[0]}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
