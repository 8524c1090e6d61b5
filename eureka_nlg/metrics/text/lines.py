"""Replies on their way into the metrics: chunks of a stream, pairs that must match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest

from eureka_nlg.errors import UserError

__all__ = ["Reply", "as_text", "check_sequence", "chunks", "paired_chunks"]

Reply = str | Sequence[str]
"""A reply: a string, split on white space, or its tokens."""

_CHUNK = 1024  # replies held as text at a time


def as_text(reply: Reply) -> str:
    """The reply as one string; tokens are joined by spaces."""
    return reply if isinstance(reply, str) else " ".join(reply)


def chunks(replies: Iterable[Reply], name: str = "hypotheses") -> Iterator[list[Reply]]:
    """Cut replies into lists that are short enough to stay in a processor's cache.

    Raises:
        UserError: ``replies`` is a lone string, which would be taken for a sequence of letters.
    """
    check_sequence(name, replies)
    iterator = iter(replies)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def paired_chunks(
    hypotheses: Iterable[Reply],
    references: Iterable[Reply],
    names: tuple[str, str] = ("hypotheses", "references"),
) -> Iterator[tuple[list[Reply], list[Reply]]]:
    """Cut replies and their references into equally long lists.

    Args:
        hypotheses: replies, also a stream of them.
        references: as many references.
        names: what messages call the two, for example the names of their files.

    Raises:
        UserError: the two are not equally long; the message names both lengths. Or one is a lone string.
    """
    left, right = chunks(hypotheses, names[0]), chunks(references, names[1])
    num_pairs, nothing = 0, list[Reply]()
    for left_chunk, right_chunk in zip_longest(left, right, fillvalue=nothing):
        if len(left_chunk) != len(right_chunk):
            num_left = num_pairs + len(left_chunk) + sum(map(len, left))
            num_right = num_pairs + len(right_chunk) + sum(map(len, right))
            raise UserError(
                f"{names[0]}: {num_left} replies, {names[1]}: {num_right} references: "
                "expected one reference per reply, in the same order"
            )
        num_pairs += len(left_chunk)
        yield left_chunk, right_chunk


def check_sequence(name: str, values: object) -> None:
    """Refuse a lone string where a sequence of replies or words is expected."""
    if isinstance(values, (str, bytes)):
        raise UserError(f"{name} is one string, expected a sequence of them: wrap it in a list")
