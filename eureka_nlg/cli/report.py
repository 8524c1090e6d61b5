"""Report on trained dialogue models: one HTML page that needs nothing but a browser.

    eureka report runs/ce runs/eureka --out report.html
    eureka report runs/ce runs/eureka --names CE Eureka --beam 5 --out report.html --figures figures

Scores with confidence intervals and tests against the first run, training curves, likelihoods by word
frequency, every context with every reply, and how each model was trained. Runs of `eureka train` and of
`eureka finetune` may stand side by side, if both were prepared from one corpus. Replies and likelihoods are
kept in RUN/report and computed again only for another checkpoint, other data or other options.
"""

from __future__ import annotations

import argparse
import sys

from eureka_nlg.cli.arguments import add_run_arguments
from eureka_nlg.errors import require
from eureka_nlg.files import output_file
from eureka_nlg.report.dialogue import DialogueReport
from eureka_nlg.report.page import write_figures, write_page

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_run_arguments(
        parser, "folder of a training run or fine-tuning, or a checkpoint; the first is the baseline"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the page, such as report.html")
    parser.add_argument("--title", default="Dialogue models compared", help="of the page")
    parser.add_argument(
        "--split", help="split to decode (default: test, or the only one besides the training data)"
    )
    parser.add_argument(
        "--beam", type=int, default=1, metavar="N", help="beam size (default: 1, greedy decoding)"
    )
    parser.add_argument("--figures", metavar="DIR", help="also write the figures there, as SVG and PNG")
    analysis = parser.add_mutually_exclusive_group()
    analysis.add_argument(
        "--analysis", metavar="FILE", help="what `eureka analyse` wrote for these runs (default: computed)"
    )
    analysis.add_argument(
        "--no-analysis", action="store_true", help="leave out the likelihoods by word frequency"
    )


def run(args: argparse.Namespace) -> int:
    """Collect, render, write."""
    out = output_file(args.out, "--out", "HTML")
    for package in ("jinja2", "matplotlib"):  # before hours of decoding, not after
        require(package, extra="report")
    collection = DialogueReport.of(
        args.runs,
        args.names,
        args.data,
        args.split,
        beam=args.beam,
        title=args.title,
        analysis=args.analysis or not args.no_analysis,
    )
    report = collection.collect()
    write_page(report, out)
    print(f"{len(report.contexts):,} contexts, {', '.join(system.name for system in report.systems)}: {out}")
    if args.figures:
        print(f"{len(write_figures(report, args.figures))} files in {args.figures}")
    for lines in report.missing.values():
        for line in lines:
            print(f"eureka report: note: {line}", file=sys.stderr)
    return 0
