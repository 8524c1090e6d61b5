"""Draw the rows of `loss_kernel.py`: the time of each kernel as a share of F.cross_entropy's.

    python benchmarks/figure.py          # docs/figures/loss_kernel.png and .svg

The lines are medians of the last run in the CSV for each size, in processor time. A training should have an
allocator that keeps memory; with the default one, cross-entropy is slowed down most.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from eureka_nlg.report.panels import add_legend, color_of, dash_of, marker_of, new_figure
from eureka_nlg.report.theme import MUTED, themed, write_figure

GOAL = 0.3
LINES = {
    "cross_entropy": ("cross_entropy", "keeps memory"),
    "eureka fused": ("eureka fused", "keeps memory"),
    "plain formula": ("plain formula", "keeps memory"),
    "eureka fused, portable": ("eureka fused, portable", "keeps memory"),
    "eureka fused, default allocator": ("eureka fused", "default"),
}


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="benchmarks/results/loss_kernel.csv", help="CSV of loss_kernel.py")
    parser.add_argument("--classes", type=int, nargs="+", default=[18848, 100_000])
    parser.add_argument("--out", default="docs/figures", help="folder")
    args = parser.parse_args()
    with Path(args.rows).open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["pass"] == "forward+backward"]
    for path in write_figure(draw(rows, args.classes), args.out, "loss_kernel"):
        print(f"wrote {path}")


@themed
def draw(rows: list[dict[str, str]], classes: list[int]) -> Figure:
    """A panel for each dtype and number of classes: time relative to cross_entropy over the rows."""
    panels = [(dtype, number) for dtype in ("float32", "bfloat16") for number in classes]
    title = "Forward and backward pass, time relative to torch's F.cross_entropy"
    figure, axes = new_figure(len(panels), False, len(panels), 2.2, title)
    lines: dict[str, Any] = {}
    for panel, (dtype, number) in zip(axes, panels):
        for index, (kernel, shown) in enumerate(LINES.items()):
            ratios = {
                int(row["rows"]): float(row["processor_ratio"])
                for row in rows
                if (row["dtype"], int(row["classes"])) == (dtype, number)
                and (row["kernel"], row["allocator"]) == shown
            }
            if ratios:
                sizes = sorted(ratios)
                (lines[kernel],) = panel.plot(
                    sizes,
                    [ratios[size] for size in sizes],
                    color=color_of(index),
                    marker=marker_of(index),
                    linestyle=dash_of(index),
                )
        lines[f"goal: {GOAL}"] = panel.axhline(GOAL, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        panel.set_xscale("log", base=2)
        panel.set_yscale("log", base=2)
        sizes = sorted({int(row["rows"]) for row in rows if int(row["classes"]) == number})
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
        panel.minorticks_off()
        panel.set_yticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
        panel.set(title=f"{dtype}, {number:,} classes", xlabel="rows (tokens in a batch)")
    low, high = (bound(panel.get_ylim()[end] for panel in axes) for end, bound in ((0, min), (1, max)))
    for panel in axes:
        panel.set_ylim(low, high)
        panel.tick_params(labelleft=panel is axes[0])
    axes[0].set_ylabel("relative time, log scale")
    add_legend(figure, lines, narrow=False, columns=3)
    return figure


if __name__ == "__main__":
    main()
