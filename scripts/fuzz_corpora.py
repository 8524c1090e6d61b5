#!/usr/bin/env python
"""Read a million mutated corpora: none may end a reader in a traceback, hang it, or take more than 1 GiB.

    python scripts/fuzz_corpora.py --number 1000000

About 450 a second on one core of an AMD EPYC. The first that fails is kept and named; the same seed makes
the same corpora.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests/eureka_nlg/dialogue/formats/test_any_input.py"
_SECONDS, _BYTES = 20, 1 << 30  # for one corpus


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=1_000_000, help="corpora (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    specification = importlib.util.spec_from_file_location("any_input", TESTS)
    assert specification is not None
    assert specification.loader is not None
    any_input = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(any_input)

    def too_long(*_: object) -> None:
        raise TimeoutError(f"more than {_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    start, dialogues = time.monotonic(), 0
    names = ("x", "x", "x.json", "x.csv", "x.tsv", "x.jsonl", "x.parquet")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.number):
            pick = random.Random(f"{args.seed} {number}")
            path = Path(folder) / pick.choice(names)
            path.write_bytes(any_input.mutated(pick))
            signal.alarm(_SECONDS)
            try:
                dialogues += any_input.read_every_way(path, [pick.choice(any_input.READ)])
                used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
                if used > _BYTES:
                    raise MemoryError(f"{used:,} bytes")
            except BaseException:
                traceback.print_exc()
                kept = Path(f"fuzz_{args.seed}_{number}{path.suffix}")
                kept.write_bytes(path.read_bytes())
                print(f"corpus {number} of seed {args.seed} failed; it is kept as {kept}")
                return 1
            finally:
                signal.alarm(0)
            if number % 10_000 == 9_999:
                rate = (number + 1) / (time.monotonic() - start)
                print(f"{number + 1:,} corpora, {dialogues:,} dialogues, {rate:,.0f} a second", flush=True)
    print(f"{args.number:,} corpora, none failed; {dialogues:,} dialogues came out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
