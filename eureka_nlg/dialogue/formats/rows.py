"""From the rows of a corpus to dialogues: the names of a row's columns tell which shape it has.

Files that hold rows (JSON, CSV, TSV, parquet) and data sets of the Hugging Face hub share this. ``SHAPES``
has an entry for each shape; ``shapes`` has a function for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from eureka_nlg.dialogue.formats.base import BadEntry, Dialogue, Findings
from eureka_nlg.dialogue.formats.shapes import (
    chat_dialogue,
    context_dialogue,
    instruction_dialogue,
    messages_dialogue,
    prompt_dialogue,
    turns_dialogue,
    two_personas_dialogue,
    utterance_rows_dialogue,
    utterances_by_row_dialogue,
    utterances_dialogue,
)

__all__ = ["SHAPES", "Row", "Shape", "dialogues_of_rows", "shape_of"]

Row = tuple[str, Mapping[str, Any]]  # file and place; values by column


@dataclass(frozen=True)
class Shape:
    """The columns that tell what a row holds.

    Attributes:
        columns: the required columns, each with its possible names.
        make: makes a dialogue from the values of these columns and of the optional ones, which are None where
            there are none. Where ``grouped``, it takes a list of such values, one for each row of the
            dialogue.
        optional: columns that are used if they exist.
        grouped: whether a dialogue has several consecutive rows; the first column then names the dialogue.
        number: which of the columns, if any, numbers the rows of a dialogue. Without its value only the name
            tells where a dialogue begins, so that it must not come again.
    """

    columns: tuple[tuple[str, ...], ...]
    make: Callable[..., Dialogue]
    optional: tuple[tuple[str, ...], ...] = ()
    grouped: bool = False
    number: int | None = None

    def find(self, names: Mapping[str, str]) -> list[str | None] | None:
        """The columns of this shape among the given ones (lower case -> as written); None if some lack."""
        found: list[str | None] = []
        for some in (*self.columns, *self.optional):  # an optional column is not one that is required
            found.append(
                next((names[name] for name in some if name in names and names[name] not in found), None)
            )
        return None if None in found[: len(self.columns)] else found


def dialogues_of_rows(rows: Iterable[Row], findings: Findings) -> Iterator[Dialogue]:
    """The dialogues that rows hold, in order.

    Raises:
        BadEntry: a row of no known shape, or one whose values do not fit its shape.
    """
    known: dict[tuple[str, ...], tuple[Shape, list[str | None]] | None] = {}

    def shaped() -> Iterator[tuple[Any, Shape, str, list[Any]]]:
        for number, (where, row) in enumerate(rows):
            columns = tuple(row)
            try:
                if columns not in known:
                    known[columns] = shape_of(columns, where)
                found = known[columns]
                assert found is not None
                shape, names = found
                for name in () if shape.grouped else columns:
                    if name not in names and str(name).strip().lower() in _PARTS:
                        findings.note(f"rows whose column {name} is not used beside the others", where)
                values = [row[name] if name is not None else None for name in names]
                key = ("of", repr(values[0])) if shape.grouped else number
            except BadEntry as error:
                findings.refuse(error)
                continue
            yield key, shape, where, values

    ended: set[int] = set()  # hashes of the dialogues whose rows have ended: ids may be long, and many
    for key, group in groupby(shaped(), key=lambda entry: entry[0]):
        entries = list(group)
        _, shape, where, values = entries[0]
        try:
            if shape.grouped:
                if shape.number is not None and values[shape.number] is None and hash(key) in ended:
                    raise BadEntry(
                        f"{where}: a row of dialogue {key[1]:.40}, whose rows had ended before; expected all "
                        "rows of a dialogue one after the other: sort them by dialogue, or number them"
                    )
                ended.add(hash(key))
                yield shape.make([entry[3] for entry in entries], where)
            else:
                yield shape.make(*values, where)
        except BadEntry as error:
            findings.refuse(error)


def shape_of(columns: Sequence[str], where: str) -> tuple[Shape, list[str | None]]:
    """The shape of rows with these columns, and the columns it takes.

    Args:
        columns: the names of all columns, in any case; those that are not needed are ignored.
        where: file and place, for errors.

    Raises:
        BadEntry: no known shape has these columns.
    """
    names = {str(column).strip().lower(): column for column in columns}
    for shape in SHAPES.values():
        found = shape.find(names)
        if found is not None:
            return shape, found
    expected = ", or ".join(" and ".join(some[0] for some in shape.columns) for shape in SHAPES.values())
    given = ", ".join(map(str, columns)) or "none"
    raise BadEntry(f"{where}: the columns are {given[:300]}; expected {expected}")


_IDS = ("conv_id", "conversation_id", "dialogue_id", "dialog_id", "conv", "episode_id")
_SYSTEM = (("system", "system_prompt", "persona", "personality"),)
_PARTS = frozenset(
    {"history", "context", "question", "query", "post", *_SYSTEM[0]}
)  # what a model could read

# The first shape whose columns are there is taken. A new shape is a function of `shapes` and an entry here.
SHAPES = {
    "personachat": Shape((("personality",), ("utterances",)), utterances_dialogue),
    "personachat, a row a reply": Shape(
        (_IDS, ("history",), ("candidates",)),
        utterance_rows_dialogue,
        optional=(("personality", "persona"),),
        grouped=True,
    ),
    "messages": Shape((("messages",),), messages_dialogue, optional=_SYSTEM),
    "sharegpt": Shape((("conversations", "conversation"),), messages_dialogue, optional=_SYSTEM),
    "synthetic-persona-chat": Shape(
        (("user 1 personas",), ("user 2 personas",), ("best generated conversation",)), two_personas_dialogue
    ),
    "persona and chat": Shape((("persona",), ("chat",)), chat_dialogue),
    "an utterance a row": Shape(
        (_IDS, ("utterance", "text", "message", "content")),
        utterances_by_row_dialogue,
        optional=(("utterance_idx", "turn_idx", "turn_id"), ("speaker_idx", "speaker", "role", "from")),
        grouped=True,
        number=2,
    ),
    "turns": Shape((("dialog", "dialogue", "turns"),), turns_dialogue, optional=_SYSTEM),
    "instruction": Shape(
        (("instruction",), ("output", "response")),
        instruction_dialogue,
        optional=(("input", "context"), *_SYSTEM, ("history",)),
    ),
    "prompt": Shape(
        (("prompt",), ("completion", "response", "chosen")),
        prompt_dialogue,
        optional=(*_SYSTEM, ("history",)),
    ),
    "context and reply": Shape(
        (
            ("context", "history", "question", "source", "query", "post", "input"),
            ("reply", "response", "answer", "target", "output"),
        ),
        context_dialogue,
        optional=(("question", "query", "post", "input"), *_SYSTEM),
    ),
    "preferred messages": Shape((("chosen",),), messages_dialogue, optional=_SYSTEM),
}
