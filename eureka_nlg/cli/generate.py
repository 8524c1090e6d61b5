"""Decode a split with a trained model: one reply per line, in the order of the data.

    eureka generate runs/eureka --split test --beam 1
    eureka generate runs/eureka --sampling --sampling-topp 0.9 --out replies.txt
    eureka generate runs/eureka -- --diverse-beam-groups 5      any option of fairseq-generate after --

Beam search with fairseq's beam of 5 unless told otherwise.
"""

from __future__ import annotations

import argparse

from eureka_nlg.dialogue.generation import Run, generate
from eureka_nlg.dialogue.likelihoods import reference_perplexity
from eureka_nlg.files import output_file, write_lines

__all__ = ["add_arguments", "run", "PASSES_ON"]

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
    parser.add_argument("--split", default="test", help="split to decode (default: test)")
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
    model.check_split(args.split)
    out = output_file(args.out or model.checkpoint.parent / f"replies.{args.split}.txt", "--out")
    if args.perplexity:
        output_file(out.with_suffix(".perplexity"), "the perplexity in")
    replies = generate(model, args.split, _fairseq_options(args)).hypotheses
    write_lines(out, replies)
    print(f"{len(replies):,} replies of {model.checkpoint} in {out}")
    if args.perplexity:
        perplexity = reference_perplexity(model, args.split)
        write_lines(out.with_suffix(".perplexity"), [f"{perplexity:.4f}"])
        print(f"perplexity of the references: {perplexity:.2f}")
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
