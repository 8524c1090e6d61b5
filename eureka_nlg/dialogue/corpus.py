"""Dialogue corpora as Hugging Face data sets: one streamed row per dialogue, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eureka_nlg.dialogue.formats import FORMATS, Dialogue
from eureka_nlg.dialogue.sources import Source, find_sources
from eureka_nlg.errors import require

if TYPE_CHECKING:
    import datasets

__all__ = ["load_dialogues", "stream_dialogues"]


def load_dialogues(
    *sources: str | Path,
    train: Sequence[str | Path] = (),
    valid: Sequence[str | Path] = (),
    test: Sequence[str | Path] = (),
    format: str | None = None,
    cache_dir: Path | None = None,
) -> datasets.IterableDatasetDict:
    """Stream a corpus, whichever way it is written down.

    Nothing is cached and no more than a dialogue is held, so ``map``, ``filter`` and ``take`` of the data set
    work on corpora of any size.

    Args:
        sources: ``"convai2"``, folders, files or hub names that tell their splits themselves.
        train: files of the training split, in order; ``valid`` and ``test`` likewise.
        format: one of ``eureka_nlg.dialogue.formats.FILE_FORMATS``; None to detect it file by file.
        cache_dir: where ``"convai2"`` is kept; None for the platform's cache folder.

    Returns:
        Per split a data set of ``persona``, ``partner_persona`` and ``turns``, each a list of strings; see
        ``eureka_nlg.dialogue.formats.Dialogue``.

    Raises:
        UserError: now, if a split or file is missing; while iterating, if a line is malformed.
    """
    return stream_dialogues(
        find_sources(sources, {"train": train, "valid": valid, "test": test}, format, cache_dir)
    )


def stream_dialogues(sources: Mapping[str, Sequence[Source]]) -> datasets.IterableDatasetDict:
    """The same of sources that are already assigned to splits."""
    library = require("datasets", extra="data")
    texts = [library.Value("string")]
    features = library.Features(persona=texts, partner_persona=texts, turns=texts)
    return library.IterableDatasetDict(
        {
            split: library.IterableDataset.from_generator(
                # a list among these arguments would mean shards, to be read in any order
                _read,
                features=features,
                gen_kwargs={"sources": tuple(parts)},
            )
            for split, parts in sources.items()
        }
    )


def _read(sources: Sequence[Source]) -> Iterator[Dialogue]:
    for source in sources:
        yield from FORMATS[source.format].read(source.location, source.split)
