"""Report on trained dialogue models: one HTML page that needs nothing but a browser.

    eureka report runs/ce runs/eureka --out report.html
    eureka report runs/ce runs/eureka --names CE Eureka --beam 5 --out report.html --figures figures

Scores with confidence intervals and tests against the first run, training curves, likelihoods by word
frequency, every context with every reply, and how each model was trained. Replies and likelihoods are kept
in RUN/report and computed again only for another checkpoint, other data or other options.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eureka_nlg.cli.report_data import Collection, ReportedRun
from eureka_nlg.dialogue.generation import Run
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import output_file
from eureka_nlg.report.page import write_figures, write_page

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folder of a training run, or a checkpoint; the first is the baseline",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the page, such as report.html")
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the runs (default: those of the folders)"
    )
    parser.add_argument("--title", default="Dialogue models compared", help="of the page")
    parser.add_argument("--split", default="test", help="split to decode (default: test)")
    parser.add_argument(
        "--beam", type=int, default=1, metavar="N", help="beam size (default: 1, greedy decoding)"
    )
    parser.add_argument("--data", metavar="DIR", help="data folder (default: that of the training)")
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
    models = [
        ReportedRun(name, path, Run.load(path, args.data)) for name, path in zip(_names(args), args.runs)
    ]
    for model in models:
        model.run.check_split(args.split)
    report = Collection(args, models).report()
    write_page(report, out)
    print(f"{len(report.contexts):,} contexts, {', '.join(model.name for model in models)}: {out}")
    if args.figures:
        print(f"{len(write_figures(report, args.figures))} files in {args.figures}")
    for lines in report.missing.values():
        for line in lines:
            print(f"eureka report: note: {line}", file=sys.stderr)
    return 0


def _names(args: argparse.Namespace) -> list[str]:
    names: list[str] = args.names or [
        f"{path.parent.name}/{path.stem}" if path.is_file() else path.name
        for path in (Path(run).resolve() for run in args.runs)
    ]
    if len(names) != len(args.runs) or len(set(names)) != len(names):
        raise UserError(
            f"names are {', '.join(names)}: expected one for each run, all different: give --names"
        )
    return names
