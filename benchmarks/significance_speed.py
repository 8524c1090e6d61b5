"""How long the comparison of two systems takes: bootstrap and jackknife, and approximate randomisation.

    OMP_NUM_THREADS=1 python benchmarks/significance_speed.py --out benchmarks/results/significance_speed.csv

The replies are made up: references of Zipf-distributed words, and systems that repeat some of each reference,
fill up with words of their own, and fall back on stock phrases. Times are seconds of one core, not of a clock
on the wall, so that other work on the machine counts less; they hold the reading of the replies. The calls
take turns. Rows hold the median, the interquartile range, and the memory that a call adds at its peak. The
last row is sacrebleu's own paired bootstrap of BLEU.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable

import numpy as np
import sacrebleu
import scipy
from measure import append, environment, peak_megabytes
from sacrebleu.significance import PairedTest

from eureka_nlg.metrics.significance import compare

WORDS = 18848  # of ConvAI2
LENGTH = 11.9


def main() -> None:
    """Time the calls and write a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7801, help="replies of each system")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="calls of each kind")
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)

    references, systems = replies(args.pairs)

    def ours(metrics: list[str] | None = None, randomisation: bool = False) -> object:
        return compare(
            systems, references, metrics, num_resamples=args.resamples, randomisation=randomisation
        )

    def of_sacrebleu() -> object:
        metrics = {"BLEU": sacrebleu.BLEU(tokenize="none", force=True)}
        return PairedTest(
            list(systems.items()), metrics, [references], test_type="bs", n_samples=args.resamples
        )()

    calls: dict[str, Callable[[], object]] = {
        "default metrics": ours,
        "default metrics, with randomisation": lambda: ours(randomisation=True),
        "BLEU": lambda: ours(["bleu"]),
        "BLEU, sacrebleu": of_sacrebleu,
    }
    warm_up = compare(systems, references, num_resamples=1)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(args.rounds):
        for name in list(calls)[:: 1 if round_ % 2 else -1]:
            start = time.process_time()
            calls[name]()
            seconds[name].append(time.process_time() - start)

    rows = []
    for name, times in seconds.items():
        low, median, high = statistics.quantiles(times, n=4)
        rows.append(
            {
                "call": name,
                "core_s": round(median, 2),
                "iqr_s": round(high - low, 2),
                "peak_mb": round(peak_megabytes(calls[name])),
                "pairs": args.pairs,
                "systems": len(systems),
                "resamples": args.resamples,
                "diversity_4": " ".join(
                    f"{score.value:.0f}" for score in warm_up.scores["diversity_4"].values()
                ),
                "numpy": np.__version__,
                "scipy": scipy.__version__,
                "sacrebleu": sacrebleu.__version__,
                **environment(),
            }
        )
        print(f"{name:>36}  {median:6.2f} s  {rows[-1]['peak_mb']} MB")
    if args.out:
        append(args.out, rows)


def replies(num_pairs: int) -> tuple[list[str], dict[str, list[str]]]:
    """References, and the replies of two systems."""
    rng = np.random.default_rng(1)
    zipf = 1 / np.arange(1, WORDS + 1)
    zipf /= zipf.sum()

    def text(count: int) -> list[np.ndarray]:
        lengths = rng.poisson(LENGTH - 1, size=count) + 1
        return np.split(rng.choice(WORDS, size=lengths.sum(), p=zipf), np.cumsum(lengths)[:-1])

    references, stock = text(num_pairs), text(200)
    systems = {}
    for name, kept, from_stock in (("baseline", 0.25, 0.6), ("system", 0.27, 0.4)):
        own = text(num_pairs)
        systems[name] = [
            stock[min(rng.geometric(0.02), len(stock)) - 1]
            if rng.random() < from_stock
            else np.where(rng.random(len(mine)) < kept, np.resize(reference, len(mine)), mine)
            for reference, mine in zip(references, own)
        ]
    return as_strings(references), {name: as_strings(said) for name, said in systems.items()}


def as_strings(texts: list[np.ndarray]) -> list[str]:
    """Words of the length that English words have."""
    return [" ".join(f"{word:04x}" for word in text) for text in texts]


if __name__ == "__main__":
    main()
