"""What a target is, and how its inputs are mutated."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eureka_nlg.errors import UserError

__all__ = ["Refused", "Target", "file_target", "mutated_bytes", "mutated_json", "mutated_tree", "text_target"]

Refused = UserError
One = Callable[[random.Random], object]

HOSTILE: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        1.5,
        -0.0,
        1e308,
        -1e308,
        float("nan"),
        float("inf"),
        10**9,
        2**31,
        2**63,
    ),
    *(
        2**64,
        -(2**63) - 1,
        10**30,
        10**299,
        10**400,
        "",
        " ",
        "a",
        "0",
        "1",
        "nan",
        "1e999",
        "x" * 300,
        "\0",
        "é",
        "中",
    ),
    *(
        "\ud800",
        "\u2028",
        "\n",
        "../../hacked",
        "/hacked",
        "open('hacked', 'w')",
        "<script>alert(1)</script>",
        "{}",
    ),
    *([], {}, [1], ["a"], {"a": 1}, [[[]]], [None], {"": None}, [1, 2, 3, 4], [0.5] * 20, "train", "test"),
)


@dataclass(frozen=True)
class Target:
    """Something that reads.

    Attributes:
        name: of the target.
        what: it reads, for ``--list``.
        share: of all inputs, in parts.
        time: share of all seconds, in parts.
        prepare: makes seeds in a new folder, and returns what makes and reads one input in the working
            directory, which raises ``Refused`` where it is refused.
        in_memory: the input is no file; it is written where it is a fault.
    """

    name: str
    what: str
    share: int
    time: int
    prepare: Callable[[Path], One]
    in_memory: bool = False


def text_target(
    name: str,
    what: str,
    share: int,
    time: int,
    make: Callable[[random.Random], bytes],
    read: Callable[[str], object],
) -> Target:
    """A target whose input is a text in memory."""

    def prepare(folder: Path) -> One:
        folder.mkdir()

        def one(pick: random.Random) -> object:
            content = make(pick)
            try:
                return read(content.decode("utf-8", "surrogateescape"))
            except Refused:
                raise
            except BaseException:
                Path("input").write_bytes(content)
                raise

        return one

    return Target(name, what, share, time, prepare, in_memory=True)


def file_target(
    name: str,
    what: str,
    share: int,
    time: int,
    make: Callable[[random.Random], bytes],
    read: Callable[[Path], object],
    names: Sequence[str] = ("input",),
) -> Target:
    """A target whose input is one file."""

    def prepare(folder: Path) -> One:
        folder.mkdir()

        def one(pick: random.Random) -> object:
            path = Path.cwd() / pick.choice(names)
            path.write_bytes(make(pick))
            return read(path)

        return one

    return Target(name, what, share, time, prepare)


def mutated_bytes(
    pick: random.Random, seeds: Sequence[str | bytes], words: Sequence[str], most: int = 4
) -> bytes:
    """A seed with pieces put in, taken out, doubled and exchanged, or made of words altogether."""
    seed = pick.choice(seeds)
    content = seed.encode("utf-8", "surrogatepass") if isinstance(seed, str) else seed
    if pick.random() < 0.1:
        content = b""
        most = 25
    content *= pick.choice((1, 1, 1, 1, 3))
    for _ in range(pick.randint(0, most)):
        at, end = sorted(pick.randint(0, len(content)) for _ in range(2))
        if pick.random() < 0.7:
            end = min(end, at + pick.randint(0, 12))
        word = pick.choice(words).encode("utf-8", "surrogatepass")
        content = pick.choice(
            (
                content[:at] + word + content[at:],
                content[:at] + content[end:],
                content[:end] + content[at:],
                content[:at] + word + content[end:],
            )
        )[: 1 << 16]
    if content and pick.random() < 0.2:
        changed = bytearray(content)
        for _ in range(pick.choice((1, 1, 5))):
            changed[pick.randrange(len(changed))] = pick.randrange(256)
        content = bytes(changed)
    return content


def mutated_tree(pick: random.Random, tree: Any, hostile: Sequence[Any] = HOSTILE, most: int = 4) -> Any:
    """A copy of nested dictionaries and lists with values exchanged, taken out, doubled, renamed or moved."""
    tree = _copied(tree)
    for _ in range(pick.randint(1, most)):
        places = list(_places(tree))
        if not places or pick.random() < 0.01:
            return pick.choice(hostile)
        inside, key = pick.choice(places)
        kind = pick.random()
        if kind < 0.55:
            inside[key] = _copied(pick.choice(hostile))
        elif kind < 0.7:
            del inside[key]
        elif kind < 0.8:
            other, other_key = pick.choice(places)
            try:
                inside[key] = _copied(other[other_key])
            except RecursionError:
                inside[key] = None
        elif kind < 0.9:
            if isinstance(inside, dict):
                inside[str(pick.choice(hostile))[:300]] = inside.pop(key)
            else:
                inside.insert(key, _copied(inside[key]))
        else:
            inside[key] = pick.choice(([inside[key]], {"a": inside[key]}, str(inside[key])[:300]))
    return tree


def mutated_json(pick: random.Random, tree: Any) -> bytes:
    """JSON of a mutated tree, sometimes with its text mutated too."""
    text = json.dumps(
        mutated_tree(pick, tree) if pick.random() < 0.9 else tree, indent=pick.choice((None, 2))
    )
    if pick.random() < 0.15:
        return mutated_bytes(pick, [text], JSON_WORDS)
    return text.encode()


JSON_WORDS = (
    *'{}[]":,\\ \n\t0-.e',
    *(
        "null",
        "true",
        "NaN",
        "-Infinity",
        "1e999",
        "9" * 500,
        "[" * 300,
        '{"a":' * 120,
        '"\\ud800"',
        "\ufeff",
        "\0",
    ),
)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(inner) for inner in value]
    return value


def _places(tree: Any) -> Any:
    stack = [tree]
    while stack:
        value = stack.pop()
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            yield value, key
            stack.append(value[key])
