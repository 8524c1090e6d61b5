"""Where in the vocabulary models differ: likelihood of the right word or class by frequency in training.

    eureka analyse runs/ce runs/eureka --names CE Eureka --out analysis.json --figures figures
    eureka analyse runs/eureka --splits test valid --bands count:1000,10
    eureka analyse runs/cifar10_lt/ce runs/cifar10_lt/el --figures figures

Every dialogue model reads the references word by word (teacher forcing). `eureka vision train` analyses a run
when it ends, by many, medium and few training images; its results are put together here.

The command prints mean likelihood, perplexity, accuracy and the share of likelihoods above one half, by
frequency, and by how much the accuracy on training data exceeds that on test data. The JSON file also holds
likelihood histograms, the frequencies in the training data and the encouragement by frequency, which
`eureka report --analysis` draws.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from eureka_nlg.analysis import Document, merged_analysis, read_analysis
from eureka_nlg.cli.arguments import add_bands_argument, add_run_arguments
from eureka_nlg.dialogue.analysis import DialogueAnalysis
from eureka_nlg.dialogue.training_statistics import BANDS
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import alone, exclusive, output_file, write_json
from eureka_nlg.limits import check_seed
from eureka_nlg.metrics.classes.bands import parse_band_rule
from eureka_nlg.report.sections import analysis_drawings
from eureka_nlg.report.theme import write_figure
from eureka_nlg.runs.find import load_run
from eureka_nlg.runs.names import run_names

__all__ = ["add_arguments", "run"]

# what `eureka vision train` leaves in the folder of a finished run
_IMAGE_ANALYSIS = "analysis.json"
_OF_IMAGES = ("evaluation.json", "checkpoint.pt")

# options that mean nothing for runs of images, and their defaults
_OF_DIALOGUE = {
    "splits": None,
    "train_sample": 10_000,
    "seed": 1,
    "cpu": False,
    "bands": BANDS,
    "data": None,
}

# field of GroupLikelihood -> (name in the table, its format)
_MEASURES = {
    "mean_likelihood": ("likelihood", ".4f"),
    "perplexity": ("perplexity", ",.2f"),
    "accuracy": ("accuracy %", ".2f"),
    "share_above_half": ("p > 0.5, %", ".2f"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``eureka analyse``."""
    add_run_arguments(parser, "folder of a training run or fine-tuning, or a checkpoint")
    parser.add_argument(
        "--splits",
        nargs="+",
        metavar="SPLIT",
        help="splits to score (default: train, and test or else the only other split)",
    )
    parser.add_argument(
        "--train-sample",
        type=int,
        default=_OF_DIALOGUE["train_sample"],
        metavar="N",
        help="number of training replies to score, drawn at random; 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=_OF_DIALOGUE["seed"], help="seed of that draw (default: %(default)s)"
    )
    parser.add_argument("--cpu", action="store_true", help="run on the CPU even if there is a GPU")
    parser.add_argument("--out", metavar="FILE", help="also write all numbers to this JSON file")
    parser.add_argument("--figures", metavar="DIR", help="also write figures to this folder, as SVG and PNG")
    add_bands_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Score the references with each model, print the tables, write the JSON and the figures."""
    if args.out:
        output_file(args.out, "--out", "JSON", holds=("groups", "systems"))
    if args.train_sample < 0:
        raise UserError(f"--train-sample {args.train_sample}: expected a number from 1 on, or 0 for all")
    check_seed("--seed", args.seed)
    with ExitStack() as outputs:
        if args.out:
            outputs.enter_context(alone(args.out))
        if args.figures:
            outputs.enter_context(exclusive(args.figures))
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    are_images = _are_image_runs(args.runs)
    document = _of_image_runs(args) if are_images else _of_dialogue_runs(args)
    print("\n\n".join(_tables(document)))
    if args.out:
        write_json(args.out, document)
        print(f"wrote {args.out}")
    if args.figures:
        nouns = ("class", "images") if are_images else ("word", "references")
        for drawing in analysis_drawings(document, _splits(document)[0], nouns):
            for path in write_figure(drawing.draw(title=drawing.title), args.figures, drawing.name):
                print(f"wrote {path}")
    given = "" if are_images or not args.out else f" --analysis {shlex.quote(args.out)}"
    names = f" --names {shlex.join(args.names)}" if args.names else ""
    print(f"next: eureka report {shlex.join(args.runs)}{names}{given} --out report.html")
    return 0


def _are_image_runs(paths: Sequence[str]) -> bool:
    """Whether the runs are of images; all must be of one kind.

    Raises:
        UserError: some are and some are not, or one has no analysis.
    """
    of_images = {
        path: any((Path(path) / name).is_file() for name in _OF_IMAGES)
        and not any(Path(path).glob("checkpoint_*.pt"))
        for path in paths
    }
    if not any(of_images.values()):
        return False
    for path, is_one in of_images.items():
        if not is_one:
            other = next(other for other, is_one in of_images.items() if is_one)
            raise UserError(
                f"run {path}: not a run of images, as {other} is: analyse the two kinds in separate commands"
            )
        if not (Path(path) / _IMAGE_ANALYSIS).is_file():
            raise UserError(
                f"run {path}: a run of images without {_IMAGE_ANALYSIS}, which `eureka vision train` writes "
                "when it ends: finish the training first; runs of `eureka vision detect` have none"
            )
    return True


def _of_dialogue_runs(args: argparse.Namespace) -> Document:
    bands = parse_band_rule(args.bands)
    runs = {
        name: load_run(path, args.data) for name, path in zip(run_names(args.runs, args.names), args.runs)
    }
    splits = args.splits or [next(iter(runs.values())).default_split(), "train"]
    for model in runs.values():  # all of them before the first is scored
        for split in splits:
            model.check_split(split)
    analysis = DialogueAnalysis(bands, splits, args.train_sample or None, args.seed)
    for name, model in runs.items():
        analysis.add(name, model.scoring_model(args.cpu), model.weights)
    return analysis.document()


def _of_image_runs(args: argparse.Namespace) -> Document:
    """What `eureka vision train` left in each folder, put together."""
    for name, default in _OF_DIALOGUE.items():
        if getattr(args, name) != default:
            raise UserError(
                f"--{name.replace('_', '-')}: is for dialogue models; leave it out for runs of images, which "
                "were analysed when they ended"
            )
    paths = dict(zip(run_names(args.runs, args.names), args.runs))
    return merged_analysis(
        {name: read_analysis(Path(path) / _IMAGE_ANALYSIS) for name, path in paths.items()}
    )


def _tables(document: Document) -> Iterator[str]:
    """For each split a table with a column for each system, the gaps, and what the bands are."""
    systems = document["systems"]
    for split in _splits(document):
        groups = {name: system["splits"].get(split, {}) for name, system in systems.items()}
        yield _table(_rows(groups), [split, "group", "examples", *systems])
    others = [split for split in _splits(document) if split != "train"]
    if others and len(others) < len(_splits(document)):
        yield _table(_gaps(systems, others[0]), [f"train - {others[0]}", "group", *systems])
    corpus = document["corpus"]
    yield (
        f"groups: {document['groups']['rule']}\n"
        f"training data: {corpus['num_tokens']:,} examples of {corpus['num_types']:,} classes, "
        f"imbalance ratio {corpus['imbalance_ratio']:,.0f}"
    )


def _splits(document: Document) -> list[str]:
    return list(dict.fromkeys(split for system in document["systems"].values() for split in system["splits"]))


def _rows(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    groups = dict.fromkeys(group for values in systems.values() for group in values)
    for key, (label, form) in _MEASURES.items():
        for group in groups:
            numbers = [values.get(group, {}) for values in systems.values()]
            if any(values.get("count") for values in numbers):
                count = next(values["count"] for values in numbers if values.get("count"))
                yield [label, group, f"{count:,}", *(_number(values.get(key), form) for values in numbers)]


def _gaps(systems: Mapping[str, Any], other: str) -> Iterator[list[str]]:
    """Accuracy on the training data less that on another split (paper, Figure 6)."""
    pairs = [
        (system["splits"].get("train", {}), system["splits"].get(other, {})) for system in systems.values()
    ]
    for group in dict.fromkeys(group for train, _ in pairs for group in train):
        accuracies = [
            [values.get(group, {}).get("accuracy") for values in train_and_other] for train_and_other in pairs
        ]
        gaps = [None if None in pair else pair[0] - pair[1] for pair in accuracies]
        if any(gap is not None for gap in gaps):
            yield ["accuracy, points", group, *(_number(gap, "+.2f") for gap in gaps)]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(rows: Iterable[list[str]], headers: list[str]) -> str:
    tabulate = require("tabulate", extra="metrics").tabulate
    align = ["left", "left", *["right"] * (len(headers) - 2)]
    return str(tabulate(list(rows), headers=headers, colalign=align, disable_numparse=True))
