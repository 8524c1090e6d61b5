"""Where in the vocabulary dialogue models differ: likelihood of the right word by frequency in training.

    eureka analyse runs/ce runs/eureka --names CE Eureka --out analysis.json
    eureka analyse runs/eureka --splits test valid --bands count:1000,10

Every model is shown the references word by word (teacher forcing). Prints mean likelihood, perplexity,
accuracy and the share of words with a likelihood above one half, by frequency band, and how much better the
training data are known than the test data. The JSON holds the same with likelihood histograms, the word
frequencies of the training replies and the encouragement by frequency: what `eureka report --analysis` draws.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from eureka_nlg.cli.training_data import add_bands_argument
from eureka_nlg.dialogue.analysis import DialogueAnalysis
from eureka_nlg.dialogue.generation import Run, write_lines
from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.bands import parse_band_rule
from eureka_nlg.metrics.likelihood import ALL, GroupLikelihood

__all__ = ["add_arguments", "run"]

# field of GroupLikelihood -> (name in the table, its format)
_MEASURES = {
    "mean_likelihood": ("likelihood", ".4f"),
    "perplexity": ("perplexity", ",.2f"),
    "accuracy": ("accuracy %", ".2f"),
    "share_above_half": ("p > 0.5, %", ".2f"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``eureka analyse``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a training run, or a checkpoint")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="one for each run (default: the folder's)")
    parser.add_argument("--data", metavar="DIR", help="data folder (default: that of each training)")
    parser.add_argument(
        "--splits", nargs="+", default=["test", "train"], metavar="SPLIT", help="default: test train"
    )
    parser.add_argument(
        "--train-sample",
        type=int,
        default=10_000,
        metavar="N",
        help="replies to draw from the split train; 0 for all (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default: %(default)s)")
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    parser.add_argument("--out", metavar="FILE", help="also write everything to this JSON file")
    add_bands_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Score the references with each model, print the tables, write the JSON."""
    _check(args)
    bands = parse_band_rule(args.bands)
    analysis = DialogueAnalysis(bands, args.splits, args.train_sample or None, args.seed, args.cpu)
    for name, model in _runs(args).items():
        analysis.add(name, model)
    print("\n\n".join(_tables(analysis)))
    if args.out:
        text = json.dumps(analysis.document(), indent=2, ensure_ascii=False, allow_nan=False)
        write_lines(args.out, [text])
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.out and (Path(args.out).is_dir() or not Path(args.out).parent.is_dir()):
        raise UserError(f"--out {args.out}: expected the name of a file, in a folder that is there")
    if args.train_sample < 0:
        raise UserError(f"--train-sample {args.train_sample}: expected a number, or 0 for all")


def _runs(args: argparse.Namespace) -> dict[str, Run]:
    """Name -> run. All of them are looked at before the first is scored."""
    names = args.names or [_default_name(Path(path)) for path in args.runs]
    if len(set(names)) != len(names) or len(names) != len(args.runs):
        raise UserError(f"--names: expected one for each run, all different, got {', '.join(names)}")
    runs = {name: Run.load(path, args.data) for name, path in zip(names, args.runs)}
    for model in runs.values():
        for split in args.splits:
            model.check_split(split)
    return runs


def _default_name(path: Path) -> str:
    path = path.resolve()
    return f"{path.parent.name}/{path.stem}" if path.is_file() else path.name


def _tables(analysis: DialogueAnalysis) -> Iterator[str]:
    """For each split a table with a column for each system, the gaps, and what the bands are."""
    for split in analysis.splits:
        systems = {name: splits[split] for name, splits in analysis.groups.items()}
        yield _table(_rows(systems), [split, "words", "tokens", *systems])
    if "train" in analysis.splits and len(analysis.splits) > 1:
        other = next(split for split in analysis.splits if split != "train")
        yield _table(_gaps(analysis, other), [f"train - {other}", "words", *analysis.groups])
    counts = analysis.class_counts[analysis.class_counts > 0]
    yield (
        f"bands: {analysis.bands.rule}\n"
        f"training targets: {counts.sum():,} tokens of {len(counts):,} types, "
        f"imbalance ratio {counts.max() / counts.min():,.0f}"
    )


def _rows(systems: Mapping[str, Mapping[str, GroupLikelihood]]) -> Iterator[list[str]]:
    first = next(iter(systems.values()))  # all have the same references
    for key, (label, form) in _MEASURES.items():
        for group, numbers in first.items():
            if numbers.count:
                values = (format(getattr(groups[group], key), form) for groups in systems.values())
                yield [label, group, f"{numbers.count:,}", *values]


def _gaps(analysis: DialogueAnalysis, other: str) -> Iterator[list[str]]:
    """Accuracy on the training data less that on another split (paper, Figure 6)."""
    for group in (*analysis.bands.names, ALL):
        pairs = [(splits["train"][group], splits[other][group]) for splits in analysis.groups.values()]
        if all(train.count and test.count for train, test in pairs):
            yield ["accuracy, points", group, *(f"{a.accuracy - b.accuracy:+.2f}" for a, b in pairs)]


def _table(rows: Iterable[list[str]], headers: list[str]) -> str:
    tabulate = require("tabulate", extra="metrics").tabulate
    align = ["left", "left", *["right"] * (len(headers) - 2)]
    return str(tabulate(list(rows), headers=headers, colalign=align, disable_numparse=True))
