"""The fused last layer in bfloat16 on batches of many sizes: rows as they come, and in multiples of 32.

    python benchmarks/row_counts.py --out benchmarks/results/row_counts.csv

oneDNN compiles a product for each number of rows and keeps a thousand. Forward and backward of
`linear_eureka_loss`, both ways in turns, over as many numbers of rows as batches of 32 replies have; a second
pass over the same numbers finds compiled what has not been forgotten.
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from measure import append, environment, summary

from eureka_nlg.losses import chunked_projection, linear_eureka_loss

WAYS = {"as they come": 1, "in 32s": chunked_projection._ROWS_TOGETHER}


def main() -> None:
    """Time the passes and write a row for each way and pass."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=128, help="width of the last layer's input")
    parser.add_argument("--classes", type=int, default=6768)
    parser.add_argument("--rows", type=int, nargs=2, default=(250, 650), help="fewest and most rows")
    parser.add_argument("--passes", type=int, default=3, help="how often all numbers of rows are tried")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", help="CSV to append to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    random.seed(0)
    weight = (0.1 * torch.randn(args.classes, args.hidden)).bfloat16().requires_grad_()
    encouragement = torch.rand(args.classes)
    numbers = list(range(*args.rows))
    rows = []
    for number_of_pass in range(1, args.passes + 1):
        random.shuffle(numbers)
        milliseconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn, num_rows in enumerate(numbers):
            hidden = torch.randn(num_rows, args.hidden).bfloat16().requires_grad_()
            target = torch.randint(args.classes, (num_rows,))
            for way in list(WAYS)[:: 1 if turn % 2 else -1]:
                chunked_projection._ROWS_TOGETHER = WAYS[way]
                weight.grad = None
                start = time.perf_counter()
                linear_eureka_loss(hidden, weight, target, encouragement).backward()
                milliseconds[way].append(1000 * (time.perf_counter() - start))
        found = summary(milliseconds, "as they come")
        for way in WAYS:
            print(
                f"pass {number_of_pass} {way:>13}  {found[way]['median_ms']:7.2f} ms  "
                f"(interquartile range {found[way]['iqr_ms']:.2f})  ratio {found[way]['ratio']:.3f}"
            )
            rows.append(
                {
                    "rows": way,
                    "pass": number_of_pass,
                    **found[way],
                    "steps": len(numbers),
                    "hidden": args.hidden,
                    "classes": args.classes,
                    **environment("cpu"),
                }
            )
    if args.out:
        append(args.out, rows)


if __name__ == "__main__":
    main()
