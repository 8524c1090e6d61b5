"""Score the replies of one or more systems against references.

From two text files, one reply per line, or from the output of fairseq-generate:

    eureka evaluate --hypotheses replies.txt --references test.txt --json scores.json
    eureka evaluate --generated generate-test.txt
    eureka evaluate --hypotheses CE=ce.txt Eureka=eureka.txt --references test.txt --significance

With the training targets, scores by band of training frequency and the share of new n-grams are added:

    eureka evaluate --hypotheses replies.txt --references test.txt --train-targets data-bin/convai2

The command prints F, diversity, lengths, copies, BLEU, chrF and ROUGE-L, or the scores that --metrics names.
The JSON file holds them in full precision, with a signature of everything that defines them; with several
systems it maps the name of each to its scores.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from eureka_nlg.cli.arguments import add_training_arguments
from eureka_nlg.cli.reply_sources import ReplySource, digest, named_paths, open_source
from eureka_nlg.cli.significance_arguments import add_significance_arguments
from eureka_nlg.dialogue.training_statistics import TrainingStatistics, read_training_statistics
from eureka_nlg.errors import UserError
from eureka_nlg.files import output_file, read_json, write_json
from eureka_nlg.metrics import (
    Comparison,
    ReplyScores,
    default_metrics,
    find_metric,
    read_vocabulary,
    score_replies,
    score_table,
    significance_table,
)
from eureka_nlg.metrics.replies.catalogue import GROUPS, all_metrics, canonical
from eureka_nlg.metrics.replies.scores import ScoredSystems
from eureka_nlg.metrics.replies.setting import BleuTokenizer, Setting, Types, Unit
from eureka_nlg.metrics.significance.comparison import Resamples, compare_scored
from eureka_nlg.text_files import TextFile

__all__ = ["add_arguments", "run"]

_SIGNIFICANCE = "significance"  # key in the JSON
_OF_RUNS = (
    "checkpoint_best.pt",
    "checkpoint_last.pt",
    "finetune.json",
)  # what a training leaves in its folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``eureka evaluate``."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--hypotheses",
        nargs="+",
        metavar="[NAME=]FILE",
        help="replies, one per line, tokens separated by white space; one file per system",
    )
    source.add_argument(
        "--generated",
        nargs="+",
        metavar="[NAME=]FILE",
        help="output of fairseq-generate, its results file or its redirected output; one file per system",
    )
    parser.add_argument(
        "--references",
        nargs="+",
        metavar="FILE",
        help="references, one per line, in the order of the replies; with --generated they replace its own. "
        "Further files hold further references of the same replies, an empty line where there is none",
    )
    parser.add_argument(
        "--unit",
        choices=get_args(Unit),
        default="word",
        help="what counts as a word: whatever stands between spaces, or each character of Chinese, Japanese, "
        "Thai and other scripts without spaces (default: %(default)s)",
    )
    parser.add_argument(
        "--bleu-tokenize",
        choices=get_args(BleuTokenizer),
        default="none",
        help="tokenizer of sacrebleu, for BLEU as others report it; none takes the words of --unit "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"scores to compute (default: {' '.join(default_metrics())}, and those that need training data "
        f"where it is given); names: {' '.join(all_metrics())}, with --train-counts macro_f_BAND "
        f"micro_f_BAND recall_BAND, with --train-targets novelty_N; groups: {' '.join(GROUPS)}",
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
    parser.add_argument("--lowercase", action="store_true", help="lower-case all texts first")
    parser.add_argument(
        "--json", metavar="OUT", help="also write the scores and their signature to this file"
    )
    add_training_arguments(parser)
    group = parser.add_argument_group("significance")
    group.add_argument(
        "--significance",
        action="store_true",
        help="add confidence intervals, and tests of whether each system differs from the first one",
    )
    add_significance_arguments(group)


def run(args: argparse.Namespace) -> int:
    """Score, print the table, write the JSON."""
    json_path = None if args.json is None else output_file(args.json, "--json", "JSON", holds=("signature",))
    if args.hypotheses and not args.references:
        raise UserError("--hypotheses needs --references FILE, one reference per line")
    if (args.types == "vocabulary") != bool(args.vocabulary):
        raise UserError("--types vocabulary and --vocabulary FILE go together: give both or neither")
    resamples = Resamples(args.resamples, args.seed, args.confidence) if args.significance else None
    inputs: dict[str, TextFile] = {}
    vocabulary = None
    if args.vocabulary:
        inputs["vocabulary"] = TextFile(args.vocabulary, holds="one word")
        words = read_vocabulary(inputs["vocabulary"])
        vocabulary = [word.lower() for word in words] if args.lowercase else words
    training = read_training_statistics(
        args.train_targets,
        args.train_counts,
        args.bands,
        _novelty_n(args.metrics),
        args.lowercase,
        args.unit,
    )
    scores, comparison = _score(args, resamples, training, vocabulary, inputs)
    if json_path is not None:  # before the table, which not every terminal can show
        documents = {name: found.to_dict() for name, found in scores.items()}
        document = documents if len(documents) > 1 else next(iter(documents.values()))
        if comparison is not None:
            document = {**document, _SIGNIFICANCE: comparison.to_dict()}
        write_json(json_path, document)
    _print(args, scores, training, comparison)
    if json_path is not None and json_path.is_file():  # no pipe
        print(f"wrote {args.json}")
    print(f"next: {_following(args)}")
    return 0


def _following(args: argparse.Namespace) -> str:
    """What to do next: compute intervals, where there are none, and report on the runs that replied."""
    named = named_paths(args.hypotheses or args.generated)
    folders = [str(Path(path).parent) for path in named.values()]
    adjustments = {_adjustment(Path(path)) for path in named.values()}
    of_runs = all(any((Path(folder) / name).is_file() for name in _OF_RUNS) for folder in folders)
    if of_runs and len(adjustments) == 1:
        names = f" --names {shlex.join(named)}" if len(named) > 1 else ""
        adjusted = "".join(f" --logit-adjustment {tau:g}" for tau in adjustments if tau is not None)
        report = f"eureka report {shlex.join(folders)}{names}{adjusted} --out report.html"
    else:
        report = (
            "eureka report RUN... --out report.html, which shows replies of trained models and their scores"
        )
    if args.significance:
        return report
    return f"the same command with --significance, for intervals and tests; {report}"


def _adjustment(replies: Path) -> float | None:
    """The logit adjustment that `eureka generate` recorded beside replies; None if there is none."""
    try:
        value = read_json(replies.with_suffix(".decoding.json"))["logit_adjustment"]
        return float(value)
    except (UserError, ValueError, TypeError, LookupError):  # no name of a file, no record or none of ours
        return None


def _print(
    args: argparse.Namespace,
    systems: dict[str, ReplyScores],
    training: TrainingStatistics,
    comparison: Comparison | None,
) -> None:
    first, *others = systems.values()
    if comparison is not None:
        print(significance_table(comparison, "holm" if args.holm else None))
    else:
        # one system needs no name above its column
        names = systems if others else {"score": first}
        columns = {name: scores.scores for name, scores in names.items()}
        print(score_table(columns, list(first.signature["metrics"])))
    notes = [f"{first.num_pairs:,} pairs", f"macro F over {first.num_types:,} {args.types} types"]
    if "sacrebleu" in first.signature:
        notes.append(f"BLEU {first.signature['sacrebleu']}")
    print("\n" + "; ".join(notes))
    for key, reason in first.unavailable.items():
        print(f"{key}: {reason}")
    if training.bands is not None:
        sizes = ", ".join(f"{name} {band['num_types']:,}" for name, band in first.bands.items())
        print(f"bands: {training.bands.rule}; {args.types} types in each: {sizes}")


def _novelty_n(metrics: list[str] | None) -> int:
    """The n of the n-grams that are counted in the training targets."""
    found = filter(None, map(find_metric, map(canonical, metrics or ())))
    return next((metric.n for metric in found if metric.family == "novelty" and metric.n), 4)


def _score(
    args: argparse.Namespace,
    resamples: Resamples | None,
    training: TrainingStatistics,
    vocabulary: list[str] | None,
    inputs: dict[str, TextFile],
) -> tuple[dict[str, ReplyScores], Comparison | None]:
    """The scores of each system, and their comparison if it is asked for. Every file is read once."""
    files = [TextFile(path, holds="one reference") for path in args.references or ()]
    references = files[0] if files else None
    named = named_paths(args.hypotheses or args.generated)
    sources = [open_source(name, path, bool(args.generated), references) for name, path in named.items()]
    options: Any = {
        "types": args.types,
        "vocabulary": vocabulary,
        "lowercase": args.lowercase,
        "bands": training.bands,
        "training_ngrams": training.training_ngrams,
        "unit": args.unit,
        "bleu_tokenize": args.bleu_tokenize,
    }
    inputs |= {f"references_{number}": file for number, file in enumerate(files[1:], 2)}
    for source in sources:
        if source.generated_references != sources[0].generated_references:
            raise UserError(
                f"{source.path}: its references differ from those of the first file, expected the same"
            )
    comparison = None
    if resamples is not None:
        if len(sources) > 1 and _SIGNIFICANCE in [source.name for source in sources]:
            raise UserError(
                f"a system is named {_SIGNIFICANCE}, which is a key of the JSON: give another name, NAME=FILE"
            )
        texts = {source.name: list(source.replies) for source in sources}
        texts_of = [list(file) for file in files[1:]]
        scored = ScoredSystems(texts, list(sources[0].references), args.metrics, Setting(**options), texts_of)
        scores = scored.scores()
    else:
        scores = {
            source.name: score_replies(
                source.replies,
                source.references,
                metrics=args.metrics,
                names=(source.path, *(args.references or [source.path])),
                more_references=files[1:],
                **options,
            )
            for source in sources
        }
    for source in sources:
        _check(scores[source.name], source, args)
        digests = {role: digest(file) for role, file in (inputs | source.inputs).items()}
        signature = scores[source.name].signature
        signature = {**signature, "inputs": dict(sorted({**digests, **training.inputs}.items()))}
        scores[source.name] = replace(scores[source.name], signature=signature)
    if resamples is not None:
        comparison = compare_scored(scored, resamples)
    return scores, comparison


def _check(scores: ReplyScores, source: ReplySource, args: argparse.Namespace) -> None:
    """Refuse references without words; warn of what makes scores meaningless."""
    if not scores.num_reference_words:
        path = args.references[0] if args.references else source.path
        raise UserError(f"{path}: every reference is empty, expected words in them")
    if not scores.num_hypothesis_words:
        print(f"eureka evaluate: warning: {source.path}: every reply is empty", file=sys.stderr)
    else:
        for sentence in scores.warnings:
            print(f"eureka evaluate: warning: {source.path}: {sentence}", file=sys.stderr)
