#!/usr/bin/env python
"""Time and memory of what grows with the data: preparing, scoring, counting, and the loss over many classes.

    python scripts/reliability/scale.py                                  a corpus like ConvAI2, and ten times
    python scripts/reliability/scale.py --times 1 10 100 --workers 1 2   up to 13 million exchanges
    python scripts/reliability/scale.py evaluate --replies 10000000
    python scripts/reliability/scale.py loss --classes 1000 1000000

The texts are made up: words drawn by rank, in dialogues of eight exchanges; ConvAI2 has 131,438. Every row is
a process of its own that is forked from one with everything imported; what it adds to the memory of that one
is shown.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import forked_commands

from eureka_nlg.files import write_json

CONVAI2 = 131_438
_WORDS = 18_848
_TURNS = 8
_PARTS = ("prepare", "evaluate", "counts", "loss")


def make_corpus(folder: Path, exchanges: int) -> None:
    """ParlAI's text, in dialogues of eight exchanges, and a validation split of a hundredth."""
    folder.mkdir()
    turns = made_up_turns(0)
    for split, size in (("train", exchanges), ("valid", max(_TURNS, exchanges // 100))):
        with open(folder / f"{split}.txt", "w", encoding="utf-8") as file:
            for number in range(size):
                file.write(f"{number % _TURNS + 1} {next(turns)}\t{next(turns)}\n")


def make_replies(path: Path, number: int, seed: int) -> None:
    """A reply a line."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{turn}\n" for turn in itertools.islice(made_up_turns(seed), number))


def made_up_turns(seed: int) -> Iterator[str]:
    """Turns of 4 to 18 words: one of 20,000 beginnings, and a word."""
    draw = random.Random(seed)
    words = [f"w{number}" for number in range(_WORDS)]
    odds = [1 / (rank + 1) for rank in range(_WORDS)]
    pool = [" ".join(draw.choices(words, odds, k=draw.randint(3, 17))) for _ in range(20_000)]
    while True:
        yield f"{draw.choice(pool)} {draw.choice(words)}"


def measured(work: Callable[[], Any]) -> tuple[float, int]:
    """Seconds and the largest resident memory, in bytes, of a process that does the work.

    Raises:
        RuntimeError: it failed.
    """
    started = time.monotonic()
    _, status, usage = os.wait4(forked_commands.fork(work), 0)
    if status:
        raise RuntimeError(f"ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - started, usage.ru_maxrss << 10


def eureka(*arguments: object) -> Callable[[], None]:
    """The work of a command, silent unless it fails."""

    def work() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        forked_commands.forked.run(["-m", "eureka_nlg.cli.main", *map(str, arguments)])

    return work


def loss_of(num_classes: int) -> Callable[[], None]:
    """A step of the loss in the output layer: 256 rows of width 64."""

    def work() -> None:
        import torch

        from eureka_nlg.losses import linear_eureka_loss

        hidden = torch.randn(256, 64, requires_grad=True)
        weight = torch.randn(num_classes, 64, requires_grad=True)
        target = torch.randint(num_classes, (256,))
        linear_eureka_loss(hidden, weight, target, torch.rand(num_classes)).backward()

    return work


def count_of(folder: str) -> Callable[[], None]:
    """The class counts of the training targets of several data folders."""

    def work() -> None:
        from eureka_nlg.dialogue.run_data import RunData

        RunData.find(folder).target_counts()

    return work


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, and print a row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}; all by default")
    parser.add_argument("--times", nargs="+", type=float, default=[1, 10], help="of ConvAI2's exchanges")
    parser.add_argument("--workers", nargs="+", type=int, default=[1], help="of prepare")
    parser.add_argument(
        "--replies", nargs="+", type=int, default=[CONVAI2, 10 * CONVAI2], help="scored by evaluate"
    )
    parser.add_argument(
        "--classes", nargs="+", type=int, default=[1_000, 100_000, 1_000_000], help="of the loss"
    )
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    args = parser.parse_args(arguments)
    parts = args.parts or _PARTS
    os.environ["OMP_NUM_THREADS"] = "1"
    forked_commands.import_everything()
    idle = measured(lambda: None)[1]
    print(
        f"a process that does nothing: {idle / 2**20:,.0f} MiB\n\n| what | size | s | a second | MiB more |"
    )
    print("|---|---|---|---|---|", flush=True)
    rows = []

    def row(what: str, size: int, work: Callable[[], Any]) -> None:
        seconds, memory = measured(work)
        rows.append({"what": what, "size": size, "seconds": seconds, "bytes_more": memory - idle})
        more = (memory - idle) / 2**20
        print(f"| {what} | {size:,} | {seconds:.1f} | {size / seconds:,.0f} | {more:,.0f} |", flush=True)

    with forked_commands.temporary_folder() as folder:
        for times in args.times if set(parts) & {"prepare", "counts"} else ():
            exchanges = int(times * CONVAI2)
            corpus, data = folder / f"corpus{times}", folder / f"data{times}"
            forked_commands.wait_for(forked_commands.fork(lambda: make_corpus(corpus, exchanges)))  # noqa: B023
            for workers in args.workers:
                options = ("--history-turns", 1, "--workers", workers, "--overwrite")
                row(
                    f"prepare, {workers} workers",
                    exchanges,
                    eureka("prepare", corpus, "--out", data, *options),
                )
            if "counts" in parts:
                row("counts of eight folders", 8 * exchanges, count_of(os.pathsep.join([str(data)] * 8)))
        for number in args.replies if "evaluate" in parts else ():
            files = [folder / side for side in ("hypotheses", "references")]
            for seed, path in enumerate(files):
                forked_commands.wait_for(
                    forked_commands.fork(lambda: make_replies(path, number, seed))  # noqa: B023
                )
            words = ("--hypotheses", files[0], "--references", files[1])
            row("evaluate", number, eureka("evaluate", *words))
        for num_classes in args.classes if "loss" in parts else ():
            row("loss in the output layer", num_classes, loss_of(num_classes))
    if args.json is not None:
        write_json(args.json, rows, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
