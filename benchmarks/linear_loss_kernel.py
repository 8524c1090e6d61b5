"""The last linear layer and the Eureka loss together, beside the two one after the other: time and memory.

    python benchmarks/linear_loss_kernel.py --out benchmarks/results/linear_loss_kernel.csv

Forward and backward to hidden states, weight and bias, label smoothing 0.1. `ratio` is to `F.linear` followed
by `F.cross_entropy` in the same run. Takes about 4 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measure import allocator, alternate, append, environment, peak_megabytes, summary
from torch import Tensor

from eureka_nlg.losses import eureka_loss, linear_eureka_loss

EPSILON = 0.1
BASELINE = "linear, cross_entropy"


def main() -> None:
    """Measure every combination and print a line for each candidate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--hidden", type=int, nargs="+", default=[256])
    parser.add_argument("--classes", type=int, nargs="+", default=[18848])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for dtype in args.dtypes:
        for num_classes in args.classes:
            for width in args.hidden:
                for num_rows in args.rows:
                    measure(args, num_rows, width, num_classes, getattr(torch, dtype), device)


def measure(
    args: argparse.Namespace, num_rows: int, width: int, num_classes: int, dtype: torch.dtype, device: str
) -> None:
    """One size and dtype."""
    torch.manual_seed(1)
    hidden, weight, bias = (
        (scale * torch.randn(shape, device=device)).to(dtype).requires_grad_()
        for scale, shape in ((1.0, (num_rows, width)), (0.1, (num_classes, width)), (0.1, (num_classes,)))
    )
    target = torch.randint(num_classes, (num_rows,), device=device)
    encouragement = torch.rand(num_classes, device=device)

    def step(loss: Callable[[], Tensor]) -> None:
        for leaf in (hidden, weight, bias):
            leaf.grad = None
        loss().backward()

    losses: dict[str, Callable[[], Tensor]] = {
        BASELINE: lambda: F.cross_entropy(F.linear(hidden, weight, bias), target, label_smoothing=EPSILON),
        "linear, eureka_loss": lambda: eureka_loss(
            F.linear(hidden, weight, bias), target, encouragement, label_smoothing=EPSILON
        ),
        "linear_eureka_loss": lambda: linear_eureka_loss(
            hidden, weight, target, encouragement, linear_bias=bias, label_smoothing=EPSILON
        ),
    }
    if hasattr(F, "linear_cross_entropy"):  # torch >= 2.13
        losses["F.linear_cross_entropy"] = lambda: F.linear_cross_entropy(
            hidden, weight, target, linear_bias=bias, label_smoothing=EPSILON
        )
    calls = {name: (lambda loss=loss: step(loss)) for name, loss in losses.items()}
    rows = []
    processor: dict[str, list[float]] = {}
    times = alternate(calls, args.rounds, device, processor)
    for name, numbers in summary(times, BASELINE, processor).items():

        def once(name: str = name) -> None:
            calls[name]()
            for leaf in (hidden, weight, bias):
                leaf.grad = None  # or the gradients would be there before and after

        once()
        peak = round(peak_megabytes(once, device), 1)
        rows.append(
            {
                "kernel": name,
                "dtype": str(dtype).removeprefix("torch."),
                "rows": num_rows,
                "hidden": width,
                "classes": num_classes,
                **numbers,
                "peak_mb": peak,
                "rounds": args.rounds,
                **environment(device),
                "allocator": allocator(),
            }
        )
        print(
            f"{dtype!s:>15} {num_rows:5} x {width:4} x {num_classes:<6} {name:<24}"
            f"{numbers['median_ms']:9.1f} ms  ratio {numbers['ratio']:.3f}  "
            f"(processor {numbers['processor_ratio']:.3f})  peak {peak:8.1f} MB",
            flush=True,
        )
    if args.out:
        append(args.out, rows)


if __name__ == "__main__":
    main()
