"""Score the replies of one or more systems against references.

From two text files, one reply per line, or from the output of fairseq-generate:

    eureka evaluate --hypotheses replies.txt --references test.txt --json scores.json
    eureka evaluate --generated generate-test.txt
    eureka evaluate --hypotheses CE=ce.txt Eureka=eureka.txt --references test.txt --significance

By band of training frequency, and what is new against the training targets:

    eureka evaluate --hypotheses replies.txt --references test.txt --train-targets data-bin/convai2

Prints F, diversity, lengths, copies, BLEU, chrF and ROUGE-L, or what --metrics names. The JSON holds the same
scores in full precision with what defines them; for several systems it maps each system's name to that.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, get_args

from eureka_nlg.cli.training_data import TrainingData, add_training_arguments, read_training_data
from eureka_nlg.errors import UserError
from eureka_nlg.files import output_file, write_json
from eureka_nlg.metrics import (
    Comparison,
    ReplyScores,
    compare,
    default_metrics,
    find_metric,
    read_generated,
    read_vocabulary,
    score_replies,
    score_table,
    significance_table,
)
from eureka_nlg.metrics.replies.catalogue import GROUPS, all_metrics
from eureka_nlg.metrics.replies.f_score import Types
from eureka_nlg.text_files import TextFile

__all__ = ["add_arguments", "run"]

_SIGNIFICANCE = "significance"  # key in the JSON


class System(NamedTuple):
    """A system: its replies, their references and their scores."""

    replies: Iterable[str]
    references: Iterable[str]
    scores: ReplyScores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``eureka evaluate``."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--hypotheses",
        nargs="+",
        metavar="[NAME=]FILE",
        help="replies, one per line, tokens divided by white space; one file per system",
    )
    source.add_argument(
        "--generated",
        nargs="+",
        metavar="[NAME=]FILE",
        help="output of fairseq-generate, its results file or its redirected output; one file per system",
    )
    parser.add_argument(
        "--references",
        metavar="FILE",
        help="references, one per line, in the order of the replies; with --generated they replace its own",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"what to score (default: {' '.join(default_metrics())}, and what the training data allows); "
        f"names: {' '.join(all_metrics())}, with --train-counts macro_f_BAND micro_f_BAND recall_BAND, with "
        f"--train-targets novelty_N; groups: {' '.join(GROUPS)}",
    )
    parser.add_argument(
        "--types",
        choices=get_args(Types),
        default="reference",
        help="word types that macro F averages over: those of the references (default), "
        "those of either side, or those of --vocabulary",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="FILE",
        help="with --types vocabulary: fairseq's dict.txt, or one word per line",
    )
    parser.add_argument("--lowercase", action="store_true", help="lower the case of everything first")
    parser.add_argument(
        "--json", metavar="OUT", help="also write the scores and their signature to this file"
    )
    add_training_arguments(parser)
    group = parser.add_argument_group("significance")
    group.add_argument(
        "--significance",
        action="store_true",
        help="confidence intervals, and whether each system differs from the first by more than chance",
    )
    group.add_argument(
        "--resamples", type=int, default=1000, metavar="R", help="how many (default: %(default)s)"
    )
    group.add_argument("--seed", type=int, default=1, help="of the resamples (default: %(default)s)")
    group.add_argument(
        "--confidence",
        type=float,
        default=95,
        metavar="PERCENT",
        help="of the intervals; 100 minus it is the level of significance (default: %(default)s)",
    )
    group.add_argument(
        "--holm", action="store_true", help="correct the p-values for the number of comparisons (Holm 1979)"
    )


def run(args: argparse.Namespace) -> int:
    """Score, print the table, write the JSON."""
    json_path = None if args.json is None else output_file(args.json, "--json", "JSON", holds=("signature",))
    if args.hypotheses and not args.references:
        raise UserError("--hypotheses needs --references FILE, one reference per line")
    if (args.types == "vocabulary") != bool(args.vocabulary):
        raise UserError("--types vocabulary and --vocabulary FILE go together: give both or neither")
    inputs: dict[str, TextFile] = {}
    vocabulary = None
    if args.vocabulary:
        inputs["vocabulary"] = TextFile(args.vocabulary, holds="one word")
        words = read_vocabulary(inputs["vocabulary"])
        vocabulary = [word.lower() for word in words] if args.lowercase else words
    training = read_training_data(args, _novelty_n(args.metrics), args.lowercase)
    systems = _score_systems(args, training, vocabulary, inputs)
    comparison = _compare(args, systems, training, vocabulary) if args.significance else None
    _print(args, {name: system.scores for name, system in systems.items()}, training, comparison)
    if json_path is not None:
        documents = {name: system.scores.to_dict() for name, system in systems.items()}
        document = documents if len(documents) > 1 else next(iter(documents.values()))
        if comparison is not None:
            document = {**document, _SIGNIFICANCE: comparison.to_dict()}
        write_json(json_path, document)
    return 0


def _print(
    args: argparse.Namespace,
    systems: dict[str, ReplyScores],
    training: TrainingData,
    comparison: Comparison | None,
) -> None:
    first, *others = systems.values()
    # one system needs no name above its column
    columns = {name: scores.scores for name, scores in systems.items()} if others else {"score": first.scores}
    print(score_table(columns, list(first.signature["metrics"])))
    notes = [f"{first.num_pairs:,} pairs", f"macro F over {first.num_types:,} {args.types} types"]
    if "sacrebleu" in first.signature:
        notes.append(f"BLEU {first.signature['sacrebleu']}")
    print("\n" + "; ".join(notes))
    for key, reason in first.unavailable.items():
        print(f"{key}: {reason}")
    if training.bands is not None:
        sizes = ", ".join(f"{name} {band['num_types']:,}" for name, band in first.bands.items())
        print(f"bands: {training.bands.bands.rule}; {args.types} types in each: {sizes}")
    if comparison is not None:
        print("\n" + significance_table(comparison, "holm" if args.holm else None))


def _compare(
    args: argparse.Namespace,
    systems: dict[str, System],
    training: TrainingData,
    vocabulary: list[str] | None,
) -> Comparison:
    if len(systems) > 1 and _SIGNIFICANCE in systems:
        raise UserError(
            f"a system is named {_SIGNIFICANCE}, as its key in the JSON: give it another, NAME=FILE"
        )
    first = next(iter(systems.values()))
    return compare(
        {name: list(system.replies) for name, system in systems.items()},
        list(first.references),
        list(first.scores.signature["metrics"]),
        num_resamples=args.resamples,
        seed=args.seed,
        confidence=args.confidence,
        types=args.types,
        vocabulary=vocabulary,
        lowercase=args.lowercase,
        bands=training.bands,
        seen=training.seen,
    )


def _novelty_n(metrics: list[str] | None) -> int:
    """Words per n-gram of the training targets, which are read before anything is scored."""
    found = filter(None, map(find_metric, metrics or ()))
    return next((metric.n for metric in found if metric.family == "novelty" and metric.n), 4)


def _score_systems(
    args: argparse.Namespace,
    training: TrainingData,
    vocabulary: list[str] | None,
    inputs: dict[str, TextFile],
) -> dict[str, System]:
    generated_references: list[str] | None = None
    systems = {}
    for name, path in _named_paths(args.hypotheses or args.generated).items():
        hypotheses, references = _open_pairs(path, args, inputs)
        if isinstance(references, list):
            if references != (generated_references or references):
                raise UserError(f"{path}: its references are not those of the first file, expected the same")
            generated_references = references
        scores = score_replies(
            hypotheses,
            references,
            metrics=args.metrics,
            types=args.types,
            vocabulary=vocabulary,
            lowercase=args.lowercase,
            bands=training.bands,
            seen=training.seen,
            names=(path, args.references or path),
        )
        if not scores.num_reference_words:
            raise UserError(f"{args.references or path}: every reference is empty, expected words in them")
        if not scores.num_hypothesis_words:
            print(f"eureka evaluate: warning: {path}: every reply is empty", file=sys.stderr)
        files = {role: {"name": file.name, "sha256": file.sha256} for role, file in inputs.items()}
        signature = {**scores.signature, "inputs": dict(sorted({**files, **training.inputs}.items()))}
        systems[name] = System(hypotheses, references, replace(scores, signature=signature))
    return systems


def _open_pairs(
    path: str, args: argparse.Namespace, inputs: dict[str, TextFile]
) -> tuple[Iterable[str], TextFile | list[str]]:
    """Replies and references of one system; the files they come from are noted in ``inputs``."""
    if args.references:
        inputs["references"] = TextFile(args.references, holds="one reference")
    if args.hypotheses:
        inputs["hypotheses"] = TextFile(path)
        return inputs["hypotheses"], inputs["references"]
    inputs["generated"] = TextFile(path, holds="one record of fairseq-generate")
    generated = read_generated(inputs["generated"])
    if args.references:
        return generated.hypotheses, inputs["references"]
    if generated.references is None:
        raise UserError(f"{path}: no line starts with T-, so there are no references: give --references FILE")
    return generated.hypotheses, generated.references


def _named_paths(arguments: list[str]) -> dict[str, str]:
    """``[NAME=]FILE`` -> name and file; the default name is the file's, without its suffix."""
    paths: dict[str, str] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or not name or os.path.exists(argument):  # a file name may hold a "=" itself
            name, path = Path(argument).stem, argument
        if name in paths:
            raise UserError(f"{paths[name]} and {path} are both named {name}: give names, NAME=FILE")
        paths[name] = path
    return paths
