"""A reader of WordNet's database files, as Debian's package ``wordnet-base`` installs them, for METEOR.

nltk's reader needs further files, which that package lacks; METEOR needs nothing but synonyms.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["WordNet", "find_wordnet"]

# endings of inflected words -> endings of their base forms, from the manual page morphy(7WN)
_ENDINGS = {
    "noun": "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    "verb": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "adj": "er: est: er:e est:e",
    "adv": "",
}


class Lemma(NamedTuple):
    """A word of a synset, in the interface of nltk."""

    word: str

    def name(self) -> str:
        """The word, with ``_`` instead of spaces."""
        return self.word


class Synset(NamedTuple):
    """A set of synonyms."""

    words: tuple[Lemma, ...]

    def lemmas(self) -> tuple[Lemma, ...]:
        """The words of the set."""
        return self.words


class WordNet:
    """Synonyms from the files ``index.POS``, ``data.POS`` and ``POS.exc`` of a folder.

    Raises:
        OSError: a file is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._data = {pos: (folder / f"data.{pos}").read_bytes() for pos in _ENDINGS}
        self._offsets = {pos: dict(_index(folder / f"index.{pos}")) for pos in _ENDINGS}
        self._exceptions = {
            pos: {form: bases for form, *bases in _fields(folder / f"{pos}.exc")} for pos in _ENDINGS
        }
        self.synsets = lru_cache(1 << 16)(self._synsets)

    def _synsets(self, word: str) -> list[Synset]:
        """The sets of synonyms of a word or of its base form."""
        return [
            self._synset(pos, offset)
            for pos in _ENDINGS
            for base in self._bases(word.lower().replace(" ", "_"), pos)
            for offset in self._offsets[pos][base]
        ]

    def _bases(self, form: str, pos: str) -> list[str]:
        """The form itself and its base forms, as far as they are in WordNet."""
        if form in self._exceptions[pos]:
            return self._known([form, *self._exceptions[pos][form]], pos)
        endings = [pair.split(":") for pair in _ENDINGS[pos].split()]
        bases = [form.removesuffix(end) + base for end, base in endings if form.endswith(end)]
        return self._known([form, *bases], pos)

    def _known(self, forms: Iterable[str], pos: str) -> list[str]:
        return [form for form in dict.fromkeys(forms) if form in self._offsets[pos]]

    def _synset(self, pos: str, offset: int) -> Synset:
        data = self._data[pos]
        fields = data[offset : data.index(b"\n", offset)].decode().split(" ")
        size = int(fields[3], 16)
        # an adjective may be followed by its position in brackets
        return Synset(tuple(Lemma(word.partition("(")[0]) for word in fields[4 : 4 + 2 * size : 2]))


def find_wordnet() -> WordNet | None:
    """The WordNet in the folder ``$WNSEARCHDIR``, or in Debian's folder; None if there is none."""
    for folder in (os.environ.get("WNSEARCHDIR"), "/usr/share/wordnet"):
        if folder and Path(folder, "index.noun").is_file():
            return WordNet(Path(folder))
    return None


def _fields(path: Path) -> Iterator[list[str]]:
    """The fields of each line, without the licence text, which is indented."""
    with path.open(encoding="utf-8") as file:
        yield from (line.split() for line in file if not line.startswith(" "))


def _index(path: Path) -> Iterator[tuple[str, list[int]]]:
    for lemma, _, number, *rest in _fields(path):
        yield lemma, [int(offset) for offset in rest[-int(number) :]]
