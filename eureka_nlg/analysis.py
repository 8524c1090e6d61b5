"""The JSON document of ``eureka analyse``, for dialogue and image models, which ``eureka report`` draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.integers import Integers, as_class_counts, occurring_counts
from eureka_nlg.metrics.classes.likelihood import NUM_BINS, GroupLikelihood

if TYPE_CHECKING:  # torch takes a second that readers need not spend
    from eureka_nlg.frequency import EncouragementOptions

__all__ = [
    "VERSION",
    "Document",
    "analysis_document",
    "merged_analysis",
    "check_analysis",
    "corpus_block",
    "encouragement_block",
    "encouragement_label",
    "log_positions",
    "read_analysis",
    "system_block",
]

Document = dict[str, Any]

VERSION = 1
_MAX_POINTS = 1000  # points of a curve; more would not be visible on its logarithmic axis


def analysis_document(
    bands: FrequencyBands,
    systems: Mapping[str, Document],
    corpus: Document | None = None,
    encouragement: Mapping[str, Document] | None = None,
) -> Document:
    """Compose the document.

    It has the keys ``{"version", "groups": {"rule", "names", "classes"}, "systems", "corpus",
    "encouragement"}``, where ``classes`` is the number of classes in each group; the last two are optional.

    Args:
        bands: the frequency bands, which are the groups of all systems.
        systems: name -> :func:`system_block`.
        corpus: :func:`corpus_block`.
        encouragement: label -> :func:`encouragement_block`.
    """
    classes = {name: int(bands.members(name).sum()) for name in bands.names}
    document: Document = {
        "version": VERSION,
        "groups": {"rule": bands.rule, "names": list(bands.names), "classes": classes},
        "systems": dict(systems),
    }
    if corpus is not None:
        document["corpus"] = corpus
    if encouragement is not None:
        document["encouragement"] = dict(encouragement)
    return document


def merged_analysis(documents: Mapping[str, Document]) -> Document:
    """Merge documents that each have one system, with the same training data.

    Args:
        documents: name for the system in the result -> its document.

    Raises:
        UserError: a document has several systems, or other groups or training counts than the first one.
    """
    first_name, first = next(iter(documents.items()))
    systems: dict[str, Document] = {}
    encouragement: dict[str, Document] = {}
    for name, document in documents.items():
        if len(document["systems"]) != 1:
            raise UserError(f"{name}: holds {len(document['systems'])} systems, expected one")
        if any(document.get(key) != first.get(key) for key in ("groups", "corpus")):
            raise UserError(
                f"{name} was trained on other data than {first_name}: only runs on the same training data "
                "can be compared"
            )
        (systems[name],) = document["systems"].values()
        encouragement |= document.get("encouragement") or {}
    merged = {**first, "systems": systems}
    return {**merged, "encouragement": encouragement} if encouragement else merged


def system_block(splits: Mapping[str, Mapping[str, GroupLikelihood]], **provenance: str) -> Document:
    """The block of one system.

    Args:
        splits: name of the split -> the result of ``LikelihoodStatistics.compute``.
        provenance: entries that identify the system, such as ``checkpoint`` and ``sha256``.

    Returns:
        ``{**provenance, "splits": {split: {group: fields of GroupLikelihood}}}``, with null for numbers that
        are not finite, such as those of a group without examples.
    """
    return {
        **provenance,
        "splits": {
            split: {
                group: {key: _plain(value) for key, value in asdict(numbers).items()}
                for group, numbers in groups.items()
            }
            for split, groups in splits.items()
        },
    }


def corpus_block(class_counts: Integers) -> Document:
    """The frequency distribution of the training data (paper, Figure 7).

    Args:
        class_counts: [C] training count of each class.

    Returns:
        ``counts`` in descending order and their ``ranks`` from 1 on (if more than 1,000 classes occur, about
        1,000 of them, evenly spaced on a logarithmic axis, including the first and the last); ``num_types``,
        the number of classes that occur; ``num_tokens``; and ``imbalance_ratio``, the largest count divided
        by the smallest.

    Raises:
        UserError: the counts are invalid or all zero.
    """
    counts = np.sort(_occurring(class_counts))[::-1]
    ranks = log_positions(len(counts), _MAX_POINTS)
    return {
        "counts": counts[ranks].tolist(),
        "ranks": (ranks + 1).tolist(),
        "num_types": len(counts),
        "num_tokens": int(counts.sum()),
        "imbalance_ratio": float(counts[0] / counts[-1]),
    }


def encouragement_block(class_counts: Integers, options: EncouragementOptions) -> Document:
    """The weight of the bonus for each training count that occurs (paper, Eq. 9).

    Args:
        class_counts: [C] training count of each class.
        options: how the weights follow from the counts.

    Returns:
        ``counts`` in ascending order (thinned out as in :func:`corpus_block`) and their ``weights``.

    Raises:
        UserError: the counts are invalid or all zero.
    """
    occurring = _occurring(class_counts)
    counts, positions = np.unique(occurring, return_index=True)
    weights = options.of(occurring).double().numpy()
    chosen = log_positions(len(counts), _MAX_POINTS)
    return {"counts": counts[chosen].tolist(), "weights": weights[positions[chosen]].tolist()}


def log_positions(size: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` of the positions 0 to size - 1, evenly spaced on a logarithmic axis from 1 to size."""
    if size <= most:
        return np.arange(size)
    return np.unique(np.geomspace(1, size, most).round().astype(np.int64)) - 1


def encouragement_label(options: EncouragementOptions) -> str:
    """The label of an encouragement in a legend.

    >>> from eureka_nlg.frequency import EncouragementOptions
    >>> encouragement_label(EncouragementOptions(beta=0.999, scale=16.0))
    'beta 0.999, mean_measure, times 16'
    """
    measure = f"beta {options.beta:g}" if options.measure == "effective_number" else options.measure
    measure += "" if options.exponent == 1.0 else f" to the {options.exponent:g}"
    times = "" if options.scale == 1.0 else f", times {options.scale:g}"
    return f"{measure}, {options.normalization}{times}"


def read_analysis(path: str | Path) -> Document:
    """Read and check the JSON of ``eureka analyse``.

    Raises:
        UserError: the file is not JSON, or is another document.
    """
    document = read_json(path)
    check_analysis(document, str(path))
    return document


def check_analysis(document: Any, where: str = "analysis") -> None:
    """Raise UserError if a document lacks data for the figures; ``where`` is its name in messages."""
    if not isinstance(document, dict) or document.get("version") != VERSION:
        version = document.get("version") if isinstance(document, dict) else None
        raise UserError(
            f"{where}: version is {version!r}, expected {VERSION}: write it again with `eureka analyse`"
        )

    def get(block: Any, path: str, key: str, kind: type) -> Any:
        if not isinstance(block, dict) or not isinstance(block.get(key), kind):
            found = type(block[key]).__name__ if isinstance(block, dict) and key in block else "nothing"
            raise UserError(f"{where}: {path}{key} is {found}, expected a {kind.__name__}")
        return block[key]

    def numbers_of(block: Any, path: str, key: str, least: float = 0) -> list[Any]:
        values: list[Any] = get(block, path, key, list)
        for value in values:
            if not _is_number(value) or value < least:
                raise UserError(f"{where}: {path}{key} holds {value!r}, expected numbers from {least:g} on")
        return values

    groups = get(document, "", "groups", dict)
    get(groups, "groups.", "rule", str)
    if not all(isinstance(name, str) for name in get(groups, "groups.", "names", list)):
        raise UserError(f"{where}: groups.names: expected texts")
    for name, system in get(document, "", "systems", dict).items():
        for split in get(system, f"systems.{name}.", "splits", dict):
            for group, numbers in get(system["splits"], f"systems.{name}.splits.", split, dict).items():
                path = f"systems.{name}.splits.{split}.{group}."
                get(numbers, path, "count", int)
                histogram = numbers_of(numbers, path, "histogram")
                if len(histogram) != NUM_BINS:
                    raise UserError(
                        f"{where}: {path}histogram has {len(histogram)} bins, expected {NUM_BINS}"
                    )
                for key, value in numbers.items():
                    if key != "histogram" and value is not None and not _is_number(value):
                        raise UserError(f"{where}: {path}{key} is {value!r}, expected a number")
    curves = {"corpus.": (document["corpus"], "ranks")} if "corpus" in document else {}
    if document.get("encouragement") is not None:
        for label, block in get(document, "", "encouragement", dict).items():
            curves[f"encouragement.{label}."] = (block, "weights")
    for path, (block, other) in curves.items():
        if len(numbers_of(block, path, "counts")) != len(numbers_of(block, path, other)):
            raise UserError(f"{where}: {path}counts and {path}{other} are not equally long")
    for key in ("num_types", "num_tokens", "imbalance_ratio") if "corpus" in document else ():
        if not _is_number(document["corpus"].get(key)):
            raise UserError(f"{where}: corpus.{key} is {document['corpus'].get(key)!r}, expected a number")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> Any:
    """The value as a JSON value."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value


def _occurring(class_counts: Integers) -> NDArray[np.int64]:
    return occurring_counts(as_class_counts(class_counts))
