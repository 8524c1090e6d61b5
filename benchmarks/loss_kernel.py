"""The Eureka loss beside cross-entropy and other ways to compute it: time and memory over rows and classes.

    python benchmarks/loss_kernel.py --out benchmarks/results/loss_kernel.csv

Label smoothing 0.1 everywhere, so that all do the same work. Each kernel takes turns with `F.cross_entropy`
alone: the large matrices of a third one would leave memory in another state, which decides as much as the
arithmetic does. `ratio` is to `F.cross_entropy` in these turns, `processor_ratio` the same in processor time.
All takes about 15 minutes on 2 cores; `all.sh` has what is committed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from measure import allocator, alternate, append, environment, peak_megabytes, summary
from torch import Tensor

from eureka_nlg.losses import EurekaLoss, eureka_loss
from eureka_nlg.losses.kernels import fused, native, portable

EPSILON = 0.1
BASELINE = "cross_entropy"


def main() -> None:
    """Measure every combination and print a line for each candidate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000, 18848, 100_000])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--max-elements", type=int, default=1 << 29, help="larger matrices are left out")
    parser.add_argument("--kernels", nargs="+", metavar="NAME", help="only these, besides cross_entropy")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="also torch.compile of the plain formula, of cross_entropy and of eureka_loss",
    )
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for dtype in args.dtypes:
        for num_classes in args.classes:
            for num_rows in args.rows:
                if num_rows * num_classes <= args.max_elements:
                    measure(args, num_rows, num_classes, getattr(torch, dtype), device)


def measure(
    args: argparse.Namespace, num_rows: int, num_classes: int, dtype: torch.dtype, device: str
) -> None:
    """One size and dtype."""
    torch.manual_seed(1)
    logits = (3 * torch.randn(num_rows, num_classes, device=device)).to(dtype).requires_grad_()
    target = torch.randint(num_classes, (num_rows,), device=device)
    encouragement = torch.rand(num_classes, device=device)
    losses = candidates(args.compile, encouragement, device)
    if args.kernels:
        losses = {kind: losses[kind] for kind in [BASELINE, *args.kernels]}

    def forward(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        loss(logits, target)

    def both(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        logits.grad = None
        loss(logits, target).backward()

    rows: list[dict[str, Any]] = []
    for name, run in (("forward", forward), ("forward+backward", both)):
        calls = {kind: (lambda loss=loss, run=run: run(loss)) for kind, loss in losses.items()}
        results = {}
        for kind in [kind for kind in calls if kind != BASELINE]:
            pair = {BASELINE: calls[BASELINE], kind: calls[kind]}
            processor: dict[str, list[float]] = {}
            times = alternate(pair, args.rounds, device, processor)
            results = {**summary(times, BASELINE, processor), **results}
        for kind, numbers in results.items():

            def once(call: Callable[[], None] = calls[kind]) -> None:
                call()
                logits.grad = None  # or the gradient would be there before and after

            once()
            peak = round(peak_megabytes(once, device), 1)
            rows.append(
                {
                    "kernel": kind,
                    "pass": name,
                    "dtype": str(dtype).removeprefix("torch."),
                    "rows": num_rows,
                    "classes": num_classes,
                    **numbers,
                    "peak_mb": peak,
                    "logits_mb": round(logits.numel() * logits.element_size() / 1e6, 1),
                    "rounds": args.rounds,
                    **environment(device),
                    "allocator": allocator(),
                }
            )
            print(
                f"{dtype!s:>15} {num_rows:5} x {num_classes:<6} {name:<17} {kind:<24}"
                f"{numbers['median_ms']:9.2f} ms  ratio {numbers['ratio']:.3f}  "
                f"(processor {numbers['processor_ratio']:.3f})  peak {peak:8.1f} MB",
                flush=True,
            )
    if args.out:
        append(args.out, rows)


def candidates(
    with_compiled: bool, encouragement: Tensor, device: str
) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Functions of (logits, target) that give a scalar."""

    def plain(logits: Tensor, target: Tensor) -> Tensor:
        log_probs = logits.float().log_softmax(-1)
        log_p = log_probs.gather(1, target.unsqueeze(1)).squeeze(1)
        bonus = torch.log1p(-log_p.exp().clamp(max=1 - 1e-7))
        loss = -(1 - EPSILON) * log_p - EPSILON * log_probs.mean(1) + encouragement[target] * bonus
        return loss.mean()

    module = EurekaLoss(encouragement, label_smoothing=EPSILON)

    def eureka(logits: Tensor, target: Tensor) -> Tensor:
        return module(logits, target)

    def on_portable(logits: Tensor, target: Tensor) -> Tensor:
        # the backward pass finds its implementation anew, so both have to be inside
        return _Portable.apply(logits, target, encouragement)

    result: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        BASELINE: lambda logits, target: F.cross_entropy(logits, target, label_smoothing=EPSILON),
        "eureka fused": eureka,
        "plain formula": plain,
    }
    if device == "cpu" and native.is_available():
        result["eureka fused, portable"] = on_portable
    if with_compiled:
        result["plain formula, compiled"] = torch.compile(plain, dynamic=True)
        result["cross_entropy, compiled"] = torch.compile(result[BASELINE], dynamic=True)
        result["eureka fused, compiled"] = torch.compile(eureka, fullgraph=True, dynamic=True)
    try:
        from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
    except ImportError:
        pass
    else:

        def fairseq(logits: Tensor, target: Tensor) -> Tensor:
            log_probs = F.log_softmax(logits, dim=-1, dtype=torch.float32)
            loss, _ = label_smoothed_nll_loss(log_probs, target.unsqueeze(1), EPSILON, ignore_index=-1)
            return loss

        result["fairseq"] = fairseq
    if device == "cuda":
        try:
            from liger_kernel.transformers.functional import liger_cross_entropy
        except ImportError:
            pass
        else:
            result["Liger cross_entropy"] = lambda logits, target: liger_cross_entropy(
                logits.clone(), target, label_smoothing=EPSILON
            )
    return result


class _Portable(torch.autograd.Function):
    """The fused loss on torch's operations, where the compiled passes are there too."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, encouragement: Tensor) -> Tensor:
        with mock.patch.object(fused, "passes_for", return_value=portable), torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            ctx.leaf, ctx.loss = (
                leaf,
                eureka_loss(leaf, target, encouragement, label_smoothing=EPSILON, impl="fused"),
            )
        return ctx.loss.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with mock.patch.object(fused, "passes_for", return_value=portable):
            return torch.autograd.grad(ctx.loss, ctx.leaf, gradient)[0], None, None


if __name__ == "__main__":
    main()
