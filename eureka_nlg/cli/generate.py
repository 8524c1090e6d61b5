"""Decode a split with a trained model: one reply per line, in the order of the data.

    eureka generate runs/eureka --split test --beam 1
    eureka generate runs/eureka --sampling --sampling-topp 0.9 --out replies.txt
    eureka generate runs/eureka --input mine.txt                reply to your own text, one message a line
    echo "hi , any hobbies ?" | eureka generate runs/eureka --input -
    eureka generate runs/eureka -- --diverse-beam-groups 5      any option of fairseq-generate after --

Beam search with fairseq's beam of 5 unless told otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from eureka_nlg.dialogue.generation import Run, generate
from eureka_nlg.dialogue.likelihoods import reference_perplexity
from eureka_nlg.dialogue.own_text import reply_to
from eureka_nlg.errors import UserError
from eureka_nlg.files import output_file, write_lines
from eureka_nlg.text_files import TextFile

__all__ = ["add_arguments", "run", "PASSES_ON"]

_SHOWN = 3  # replies of a split
PASSES_ON = True  # what stands behind -- goes to fairseq-generate

# options of fairseq-generate under their own names: (name, type, help)
_DECODING = (
    ("--beam", int, "beam size; 1 decodes greedily"),
    ("--lenpen", float, "length penalty: below 1 favours short replies, above 1 long ones"),
    ("--min-len", int, "shortest reply"),
    ("--max-len-b", int, "longest reply"),
    ("--no-repeat-ngram-size", int, "no n-gram of this size twice in a reply"),
    ("--sampling-topk", int, "sample among the k likeliest words"),
    ("--sampling-topp", float, "sample among the likeliest words that hold this mass"),
    ("--temperature", float, "above 1 flattens, below 1 sharpens the distribution"),
    ("--batch-size", int, "examples at once"),
    ("--seed", int, "of the sampling"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a training run, or a checkpoint")
    parser.add_argument(
        "--split", help="split to decode (default: test, or the only one besides the training data)"
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="reply to these messages instead, one a line, earlier turns before tabs; - is standard input. "
        "The replies are printed as text to read, or written to --out",
    )
    parser.add_argument(
        "--persona", metavar="FILE", help="with --input: sentences about the one who replies, one a line"
    )
    parser.add_argument("--data", metavar="DIR", help="data folder (default: that of the training)")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where the replies go (default: replies.SPLIT.txt beside the checkpoint)",
    )
    parser.add_argument(
        "--perplexity",
        action="store_true",
        help="also print the perplexity of the references, and write it beside the replies",
    )
    decoding = parser.add_argument_group("decoding, as in fairseq-generate")
    decoding.add_argument("--sampling", action="store_true", help="sample instead of searching")
    for name, kind, text in _DECODING:
        decoding.add_argument(name, type=kind, metavar=kind.__name__.upper(), help=text)


def run(args: argparse.Namespace) -> int:
    """Decode and write the replies."""
    model = Run.load(args.run_folder, args.data)
    if args.input is not None:
        return _reply(args, model)
    if args.persona is not None:
        raise UserError("--persona: is for --input; the contexts of a split have their personas")
    split = args.split or model.folders.default_split()
    model.check_split(split)
    out = output_file(args.out or model.checkpoint.parent / f"replies.{split}.txt", "--out")
    if args.perplexity:
        output_file(out.with_suffix(".perplexity"), "the perplexity in")
    replies = generate(model, split, _fairseq_options(args)).hypotheses
    write_lines(out, replies)
    print(f"{len(replies):,} replies of {model.checkpoint} in {out}")
    _show(model.folders.texts("contexts", split), replies)
    if args.perplexity:
        perplexity = reference_perplexity(model, split)
        write_lines(out.with_suffix(".perplexity"), [f"{perplexity:.4f}"])
        print(f"perplexity of the references: {perplexity:.2f}")
    return 0


def _show(contexts: Sequence[str] | None, replies: Sequence[str]) -> None:
    """A few of the replies, from the whole of the split."""
    for index in range(0, len(replies), max(1, len(replies) // _SHOWN))[:_SHOWN]:
        context = "" if contexts is None else contexts[index].rpartition("<partner>")[2].strip()
        print(f"  {context[-60:]!r} -> {replies[index]!r}" if context else f"  {replies[index]!r}")


def _reply(args: argparse.Namespace, model: Run) -> int:
    """Reply to the messages of ``--input``."""
    out = output_file(args.out or "/dev/stdout", "--out")
    persona = [] if args.persona is None else list(TextFile(args.persona, holds="one sentence"))
    messages = (
        sys.stdin.read().splitlines() if args.input == "-" else TextFile(args.input, holds="one message")
    )
    replies = reply_to(model, messages, persona, _fairseq_options(args))
    write_lines(out, replies)
    if args.out:
        print(f"{len(replies):,} replies of {model.checkpoint} in {out}")
    return 0


def _fairseq_options(args: argparse.Namespace) -> list[str]:
    options = []
    for name, _, _ in _DECODING:
        value = getattr(args, name[2:].replace("-", "_"))
        if value is not None:
            options += [name, str(value)]
    if args.sampling:
        # fairseq samples `beam` replies and wants them all; one is what a line holds
        options += ["--sampling", "--nbest", str(args.beam or 1)] + ([] if args.beam else ["--beam", "1"])
    return options + args.passed_on
