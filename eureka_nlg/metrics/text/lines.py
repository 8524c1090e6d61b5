"""Replies as sequences: chunks of a stream, and the check that both sides are equally long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest

from eureka_nlg.errors import UserError

__all__ = ["Reply", "as_text", "check_sequence", "chunks", "paired_chunks"]

Reply = str | Sequence[str]
"""A reply: a string, which is split on white space, or a sequence of tokens."""

_CHUNK = 1024  # number of replies that are held as text at a time


def as_text(reply: Reply) -> str:
    """The reply as one string; tokens are joined by spaces."""
    return reply if isinstance(reply, str) else " ".join(reply)


def chunks(replies: Iterable[Reply], name: str = "hypotheses") -> Iterator[list[Reply]]:
    """Cut a stream of replies into lists that fit a processor's cache.

    Raises:
        UserError: ``replies`` is a single string, which would be taken for a sequence of letters.
    """
    check_sequence(name, replies)
    iterator = iter(replies)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def paired_chunks(
    hypotheses: Iterable[Reply],
    *references: Iterable[Reply],
    names: Sequence[str] = ("hypotheses", "references"),
) -> Iterator[tuple[list[Reply], ...]]:
    """Cut replies and their references into equally long lists.

    Args:
        hypotheses: replies; it may be a generator.
        references: one or more sets of references, each as long as the replies.
        names: names of all sides in error messages, for example the names of their files.

    Raises:
        UserError: two sides are not equally long (the message has both lengths), or one is a single string.
    """
    streams = [chunks(side, name) for side, name in zip((hypotheses, *references), names)]
    num_pairs, nothing = 0, list[Reply]()
    for parts in zip_longest(*streams, fillvalue=nothing):
        if len(set(map(len, parts))) > 1:
            sizes = [num_pairs + len(part) + sum(map(len, rest)) for part, rest in zip(parts, streams)]
            other = next(side for side, size in enumerate(sizes) if size != sizes[0])
            raise UserError(
                f"{names[0]}: {sizes[0]} replies, {names[other]}: {sizes[other]} references: "
                "expected one reference per reply, in the same order"
            )
        num_pairs += len(parts[0])
        yield parts


def check_sequence(name: str, values: object) -> None:
    """Raise UserError for a single string where a sequence of replies or words is expected."""
    if isinstance(values, (str, bytes)):
        raise UserError(f"{name} is one string, expected a sequence of them: wrap it in a list")
