"""Scores and significance of two checkouts of this project, in turns: what a change did to their speed.

    git worktree add --detach ../before a4b6c66
    OMP_NUM_THREADS=1 python benchmarks/metrics_versions.py ../before . --out rows.csv

Each checkout is a process of its own, which imports that checkout's package and makes the same replies as
`metrics_speed.py` and `significance_speed.py`. The processes take turns call by call, so that what else the
machine does slows both. Times are seconds of one core, not of a clock on the wall; a ratio is the median over
the rounds of the second checkout's time over the first's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROUNDS = {True: 3, False: 5}  # of significance, of the scores


def main() -> None:
    """Time the calls, print and write a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", nargs="+", type=Path, help="two folders; one: be a worker for it")
    parser.add_argument("--only", nargs="+", default=[""], help="calls whose name begins with one of these")
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    if len(args.checkouts) == 1:
        work(args.checkouts[0].resolve())
        return
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(checkout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONHASHSEED": "0"},  # the same collisions of words in both
        )
        for checkout in args.checkouts
    ]
    names = [answer(worker).split("|") for worker in workers][-1]
    rows = []
    for name in (name for name in names if name.startswith(tuple(args.only))):
        seconds: list[list[float]] = [[], []]
        for round_ in range(1 + ROUNDS[name.startswith("significance")]):
            for place in (0, 1) if round_ % 2 else (1, 0):
                assert workers[place].stdin is not None
                workers[place].stdin.write(name + "\n")  # type: ignore[union-attr]
                elapsed = float(answer(workers[place]))
                if round_:  # the first warms up
                    seconds[place].append(elapsed)
        before, after = map(median, seconds)
        ratio = median(new / old for old, new in zip(*seconds))
        print(f"{name:>40}  {before:8.3f} s  {after:8.3f} s  x {ratio:.2f}", flush=True)
        rows.append(
            {
                "call": name,
                **{f"core_s_{key}": round(value, 4) for key, value in (("before", before), ("after", after))},
                "ratio": round(ratio, 3),
                "rounds": len(seconds[0]),
                "before": commit(args.checkouts[0]),
                "after": commit(args.checkouts[1]),
            }
        )
    for worker in workers:
        worker.communicate()
    if args.out:
        from measure import append, environment

        append(args.out, [{**row, **environment()} for row in rows])


def work(checkout: Path) -> None:
    """Time the calls whose names come in, with the package of a checkout."""
    sys.path[:0] = [str(checkout), str(checkout / "benchmarks")]
    import eureka_nlg

    assert Path(eureka_nlg.__file__).is_relative_to(checkout), eureka_nlg.__file__
    import metrics_speed
    import significance_speed
    import torch

    from eureka_nlg.metrics.significance import compare

    torch.set_num_threads(1)
    calls: dict[str, Callable[[], object]] = {}
    for metrics, number in ((metrics_speed.FAST, 20_000), (metrics_speed.SLOW, 2_000)):
        texts = [list(metrics_speed.replies(number, 12, seed)) for seed in (0, 1)]
        for name, implementations in metrics.items():
            own = implementations["eureka-nlg"]
            calls[f"{name}, {number:,} replies"] = lambda own=own, texts=texts: own(*texts)
    references, systems = significance_speed.replies(7801)
    for name, keys, randomisation in (
        ("BLEU", ["bleu"], False),
        ("default", None, False),
        ("default, with randomisation", None, True),
    ):
        calls[f"significance: {name}"] = lambda keys=keys, randomisation=randomisation: compare(
            systems, references, keys, randomisation=randomisation
        )
    print("|".join(calls), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        calls[line.strip()]()
        print(time.process_time() - start, flush=True)


def answer(worker: subprocess.Popen[str]) -> str:
    """A line of a worker."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit("a worker ended; its error stands above")
    return line.strip()


def commit(checkout: Path) -> str:
    """What is checked out."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
