"""Dialogue corpora as Hugging Face data sets: one streamed row per dialogue, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from eureka_nlg.dialogue.formats import FORMATS, Dialogue
from eureka_nlg.dialogue.sources import Source
from eureka_nlg.errors import require

if TYPE_CHECKING:
    import datasets

__all__ = ["stream_dialogues"]


def stream_dialogues(sources: Mapping[str, Sequence[Source]]) -> datasets.IterableDatasetDict:
    """Stream the dialogues of a corpus, whichever way it is written down.

    Nothing is cached and no more than a dialogue is held, so ``map``, ``filter`` and ``take`` of the data set
    work on corpora of any size.

    Args:
        sources: split -> its parts, from ``find_sources``.

    Returns:
        Per split a data set of ``persona``, ``partner_persona`` and ``turns``, each a list of strings; see
        ``eureka_nlg.dialogue.formats.Dialogue``.

    Raises:
        UserError: while iterating, if a line is malformed.
    """
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
