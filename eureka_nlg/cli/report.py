"""Report on trained models of dialogue or of images: one HTML page that needs nothing but a browser.

    eureka report runs/ce runs/eureka --out report.html
    eureka report runs/ce runs/eureka --names CE Eureka --beam 5 --out report.html --figures figures
    eureka report runs/cifar10_lt/ce runs/cifar10_lt/el_deferred --out report.html

For dialogue, the page has scores with confidence intervals and tests against the first run, training curves,
likelihoods by word frequency, every context with every reply, and how each model was trained. Runs of
`eureka train` and of `eureka finetune` may stand side by side if their data come from the same corpus.
Replies and likelihoods are kept in RUN/report; they are computed again only for another checkpoint, other
data or other options.

For finished runs of `eureka vision train`, it has accuracy, calibration and likelihood by class frequency,
the accuracy of each class, and training curves. Nothing has to be computed for them.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from eureka_nlg.cli.arguments import add_run_arguments
from eureka_nlg.cli.decoding import add_logit_adjustment
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import alone, exclusive, output_file
from eureka_nlg.report.dialogue import DialogueReport
from eureka_nlg.report.images import image_report, is_image_run
from eureka_nlg.report.model import Report
from eureka_nlg.report.page import write_figures, write_page

__all__ = ["add_arguments", "run"]

# options for dialogue models only, with their defaults
_OF_DIALOGUE = {
    **dict.fromkeys(("data", "split", "logit_adjustment", "analysis")),
    "beam": 1,
    "no_analysis": False,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_run_arguments(
        parser, "folder of a training run or fine-tuning, or a checkpoint; the first is the baseline"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="file of the page, such as report.html")
    parser.add_argument("--title", help="title of the page")
    parser.add_argument(
        "--split", help="split to decode (default: test, or the only one besides the training data)"
    )
    parser.add_argument(
        "--beam", type=int, default=1, metavar="N", help="beam size (default: 1, greedy decoding)"
    )
    add_logit_adjustment(parser, ". Likelihoods stay those of the models")
    parser.add_argument("--figures", metavar="DIR", help="also write the figures there, as SVG and PNG")
    analysis = parser.add_mutually_exclusive_group()
    analysis.add_argument(
        "--analysis",
        metavar="FILE",
        help="file that `eureka analyse` wrote for these runs (default: compute the analysis)",
    )
    analysis.add_argument(
        "--no-analysis", action="store_true", help="leave out the likelihoods by word frequency"
    )


def run(args: argparse.Namespace) -> int:
    """Collect, render, write."""
    out = output_file(args.out, "--out", "HTML")
    for package in ("jinja2", "matplotlib"):  # before hours of decoding, not after
        require(package, extra="report")
    with ExitStack() as outputs:
        outputs.enter_context(alone(out))
        if args.figures:
            outputs.enter_context(exclusive(args.figures))
        return _run(args, out)


def _run(args: argparse.Namespace, out: Path) -> int:
    title = {"title": args.title} if args.title else {}
    with _told():
        report = _of_images(args, title) if any(map(is_image_run, args.runs)) else _of_dialogue(args, title)
    write_page(report, out)
    names = ", ".join(system.name for system in report.systems)
    examples = f"{len(report.contexts):,} contexts, " if report.contexts else ""
    print(f"{examples}{names}: {out}")
    if args.figures:
        print(f"{len(write_figures(report, args.figures))} files in {args.figures}")
    for lines in report.missing.values():
        for line in lines:
            print(f"eureka report: note: {line}", file=sys.stderr)
    print(f"next: open {out} in a browser")
    return 0


@contextmanager
def _told() -> Iterator[None]:
    """Report on stderr what is being computed, a line for each piece of work."""
    logger, handler = logging.getLogger("eureka_nlg.report"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("eureka report: %(message)s"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _of_dialogue(args: argparse.Namespace, title: Mapping[str, str]) -> Report:
    return DialogueReport.of(
        args.runs,
        args.names,
        args.data,
        args.split,
        beam=args.beam,
        logit_adjustment=args.logit_adjustment,
        analysis=args.analysis or not args.no_analysis,
        **title,
    ).collect()


def _of_images(args: argparse.Namespace, title: Mapping[str, str]) -> Report:
    for name, default in _OF_DIALOGUE.items():
        if getattr(args, name) != default:
            raise UserError(
                f"--{name.replace('_', '-')}: is for dialogue models; leave it out for runs of images"
            )
    return image_report(args.runs, args.names, **title)
