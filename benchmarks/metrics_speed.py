"""Scores of replies: time and memory, beside nltk and torchmetrics where they have the metric.

    python benchmarks/metrics_speed.py --out benchmarks/results/metrics_speed.csv

The replies are made up. Their words follow Zipf's law and each word has its favourite followers, so that the
numbers of distinct n-grams are about those of real dialogue: of 17,000 replies of 12 words, 9 % of the
1-grams and 86 % of the 4-grams are distinct (4 % and 85 % in the replies of ConvAI2).

Times are seconds of one core, not of a clock on the wall, so that other work on the machine counts less.
Implementations of a metric alternate within one process, because machines drift; rows hold the median and the
interquartile range. BLEU, chrF and ROUGE-L here are those of sacrebleu and rouge-score, so that these rows
tell what the choice of library costs.

A row of `--large` replies is one process of its own for F and diversity-1 to 4, which reads the replies from
files; `again` reads the same file that many times as one set, so that the replies are more and the distinct
n-grams the same. `peak_mb` is its memory at most, over that after the imports.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nltk
import numpy as np
import torch
from nltk.translate.bleu_score import SmoothingFunction
from nltk.translate.bleu_score import corpus_bleu as nltk_bleu
from nltk.translate.chrf_score import corpus_chrf as nltk_chrf
from torchmetrics.functional.text import bleu_score, chrf_score
from torchmetrics.functional.text.rouge import rouge_score

from eureka_nlg.metrics import (
    corpus_bleu,
    corpus_chrf,
    f_scores,
    ngram_diversity,
    parlai_f1,
    rouge_l,
    score_replies,
)
from eureka_nlg.text_files import TextFile

F_AND_DIVERSITY = ["macro_f", "micro_f", "diversity"]
Scorer = Callable[[list[str], list[str]], object]


def main() -> None:
    """Time everything and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replies", type=int, default=20_000, help="for F and diversity")
    parser.add_argument("--slow-replies", type=int, default=500, help="for the metrics of other libraries")
    parser.add_argument(
        "--large",
        type=int,
        default=1_000_000,
        help="replies of the file whose memory is measured; 0 for none",
    )
    parser.add_argument(
        "--again", type=int, nargs="+", default=[1, 3], help="how often the large file is read, as one set"
    )
    parser.add_argument("--words", type=int, default=12, help="words per reply")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()

    torch.set_num_threads(1)
    rows = compare(FAST, args.replies, args.words, args.rounds)
    rows += compare(SLOW, args.slow_replies, args.words, args.rounds)
    if args.large:
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder) / name) for name in ("hypotheses.txt", "references.txt")]
            for seed, path in enumerate(paths):
                with open(path, "w", encoding="utf-8") as file:
                    file.writelines(line + "\n" for line in replies(args.large, args.words, seed))
            for again in args.again:
                rows.append(large(*paths, args.large, again))
    common = {
        "words": args.words,
        "device": cpu_name(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "nltk", "torchmetrics", "sacrebleu")},
    }
    if args.out:
        append(Path(args.out), [{**row, **common} for row in rows])


def compare(
    metrics: dict[str, dict[str, Scorer]], num_replies: int, words: int, rounds: int
) -> list[dict[str, object]]:
    """Time each implementation of each metric, in turn."""
    hypotheses, references = (list(replies(num_replies, words, seed)) for seed in (0, 1))
    rows: list[dict[str, object]] = []
    for metric, implementations in metrics.items():
        seconds: dict[str, list[float]] = {name: [] for name in implementations}
        for scorer in implementations.values():  # warm up
            scorer(hypotheses[:100], references[:100])
        for round_ in range(rounds):
            for name in list(implementations)[:: 1 if round_ % 2 else -1]:
                start = time.process_time()
                implementations[name](hypotheses, references)
                seconds[name].append(time.process_time() - start)
        for name, times in seconds.items():
            ratio = statistics.median(theirs / ours for theirs, ours in zip(times, seconds["eureka-nlg"]))
            rows.append(row(metric, name, num_replies, times, ratio=round(ratio, 2)))
    return rows


def large(hypotheses: str, references: str, num_replies: int, again: int) -> dict[str, object]:
    """Score a large file in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, peak_mb = pool.apply(score_files, (hypotheses, references, again))
    return row("F, diversity-1 to 4", "eureka-nlg", num_replies * again, [seconds], again, peak_mb)


def score_files(hypotheses: str, references: str, again: int) -> tuple[float, int]:
    """Seconds, and megabytes at the peak."""
    before, start = peak(), time.process_time()
    score_replies(repeated(hypotheses, again), repeated(references, again), metrics=F_AND_DIVERSITY)
    return time.process_time() - start, peak() - before


def repeated(path: str, again: int) -> Iterator[str]:
    """The lines of a file, several times over."""
    for _ in range(again):
        yield from TextFile(path)


def peak() -> int:
    """The peak memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # kilobytes on Linux


def row(
    metric: str,
    implementation: str,
    num_replies: int,
    seconds: list[float],
    again: int = 1,
    peak_mb: int | str = "",
    ratio: float | str = "",
) -> dict[str, object]:
    """A row of the table; also printed."""
    low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    per_second = round(num_replies / median)
    print(
        f"{metric:>20}  {implementation:>13}  {num_replies:>9,} replies  {median:8.3f} s  "
        f"{per_second:>9,} replies/s" + (f"  {peak_mb:,} MB" if peak_mb else f"  x {ratio}"),
        flush=True,
    )
    return {
        "metric": metric,
        "implementation": implementation,
        "replies": num_replies,
        "again": again,
        "median_cpu_s": round(median, 4),
        "iqr_cpu_s": round(high - low, 4),
        "replies_per_cpu_s": per_second,
        "time_ratio": ratio,
        "rounds": len(seconds),
        "peak_mb": peak_mb,
    }


def diversity(hypotheses: list[str], _: list[str]) -> list[float]:
    """Diversity-1 to 4."""
    return [ngram_diversity(hypotheses, n) for n in range(1, 5)]


def diversity_by_nltk(hypotheses: list[str], _: list[str]) -> list[float]:
    """Diversity-1 to 4 with nltk's n-grams in Python sets."""
    tokens = [reply.split() for reply in hypotheses]
    scores = []
    for n in range(1, 5):
        grams = [gram for reply in tokens for gram in nltk.ngrams(reply, n)]
        scores.append(100 * len(set(grams)) / len(grams))
    return scores


def bleu_by_nltk(hypotheses: list[str], references: list[str]) -> float:
    """Corpus BLEU."""
    return nltk_bleu(
        [[reference.split()] for reference in references],
        [hypothesis.split() for hypothesis in hypotheses],
        smoothing_function=SmoothingFunction().method3,
    )


FAST: dict[str, dict[str, Scorer]] = {
    "F": {"eureka-nlg": f_scores},
    "diversity-1 to 4": {"eureka-nlg": diversity, "nltk": diversity_by_nltk},
    "F, diversity-1 to 4": {"eureka-nlg": lambda h, r: score_replies(h, r, metrics=F_AND_DIVERSITY)},
    "ParlAI F1": {"eureka-nlg": parlai_f1},
}
SLOW: dict[str, dict[str, Scorer]] = {
    "BLEU": {
        "eureka-nlg": corpus_bleu,
        "nltk": bleu_by_nltk,
        "torchmetrics": lambda h, r: bleu_score(h, [[reference] for reference in r]),
    },
    "chrF": {
        "eureka-nlg": corpus_chrf,
        "nltk": lambda h, r: nltk_chrf(r, h, min_len=1, max_len=6, beta=2.0),
        "torchmetrics": lambda h, r: chrf_score(h, [[reference] for reference in r], n_word_order=0),
    },
    "ROUGE-L": {
        "eureka-nlg": rouge_l,
        "torchmetrics": lambda h, r: rouge_score(h, r, rouge_keys="rougeL"),
    },
    "all by default": {"eureka-nlg": score_replies},
}


def replies(number: int, words: int, seed: int, vocabulary: int = 50_000) -> Iterator[str]:
    """Made-up replies of ``words`` words on average.

    A word is drawn by Zipf's law (Mandelbrot's form) or, seven times in ten, is a favourite follower of the
    word before it. Favourites depend on the word alone, not on the seed.
    """
    chance = 1 / (np.arange(vocabulary) + 2.7) ** 1.05
    cumulative = np.cumsum(chance / chance.sum())
    favourites = np.searchsorted(cumulative, np.random.default_rng(0).random((vocabulary, 8)))
    names = [f"w{rank}" for rank in range(vocabulary)]
    generator = np.random.default_rng(seed + 1)
    block = 50_000
    for start in range(0, number, block):
        size = min(block, number - start)
        lengths = 1 + generator.poisson(words - 1, size)
        ids = np.empty((size, lengths.max()), dtype=np.int64)
        ids[:, 0] = np.searchsorted(cumulative, generator.random(size))
        for position in range(1, ids.shape[1]):
            favourite = favourites[ids[:, position - 1], np.minimum(generator.geometric(0.4, size), 8) - 1]
            free = np.searchsorted(cumulative, generator.random(size))
            ids[:, position] = np.where(generator.random(size) < 0.7, favourite, free)
        for reply, length in zip(ids.tolist(), lengths.tolist()):
            yield " ".join(names[number] for number in reply[:length])


def cpu_name() -> str:
    """Model of the processor, and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {os.cpu_count()} cores"


def append(path: Path, rows: list[dict[str, object]]) -> None:
    """Append the rows, with a header in a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
