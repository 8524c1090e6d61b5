"""Decode a split with a trained model: one reply per line, in the order of the data.

    eureka generate runs/eureka --split test --beam 1
    eureka generate runs/eureka --sampling --sampling-topp 0.9 --out replies.txt
    eureka generate runs/eureka --input mine.txt                reply to your own text, one message per line
    echo "hi , any hobbies ?" | eureka generate runs/eureka --input -
    eureka generate runs/eureka --logit-adjustment 0.2          make frequent words less likely
    eureka generate runs/eureka -- --diverse-beam-groups 5      any option of fairseq-generate after --
    eureka generate runs/finetuned --beam 1                     a Hugging Face model; writes references too

The default is a beam search with a beam of 5, as in fairseq-generate.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from eureka_nlg.cli.decoding import add_decoding_arguments, add_logit_adjustment, decoding_of
from eureka_nlg.dialogue.likelihoods import perplexity
from eureka_nlg.dialogue.own_text import Preparation, turns_of
from eureka_nlg.dialogue.run_data import TRAIN, RunData
from eureka_nlg.errors import UserError
from eureka_nlg.files import alone, output_file, write_json, write_lines
from eureka_nlg.runs.base import Conversation, Run
from eureka_nlg.runs.decoding import Decoding
from eureka_nlg.runs.find import load_run
from eureka_nlg.runs.text_form import in_form
from eureka_nlg.text_files import TextFile

__all__ = ["add_arguments", "run", "PASSES_ON"]

_SHOWN = 3  # replies of a split
PASSES_ON = True  # what stands behind -- goes to fairseq-generate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "run_folder", metavar="RUN", help="folder of a training run or fine-tuning, or a checkpoint"
    )
    parser.add_argument(
        "--split", help="split to decode (default: test, or the only one besides the training data)"
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="reply to the messages of this file instead, one per line, with the turns before "
        "it in front, separated by tabs; - reads standard input. Replies are printed, or written to --out",
    )
    parser.add_argument(
        "--persona", metavar="FILE", help="with --input: sentences about the one who replies, one per line"
    )
    parser.add_argument(
        "--like",
        metavar="DIR",
        help="for a Hugging Face model: tokenise replies and references as in this data folder of `eureka "
        "prepare`, to compare them with models that were trained on it",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="data folder (default: the one that the model was trained on)"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where the replies go (default: replies.SPLIT.txt beside the checkpoint)",
    )
    parser.add_argument(
        "--perplexity",
        action="store_true",
        help="also print the perplexity of the references, and write it to a file beside the replies",
    )
    add_logit_adjustment(
        parser,
        ". The default --out then has TAU in its name, and a .decoding.json file beside the replies records "
        "it",
    )
    parser.add_argument(
        "--adjust-again",
        action="store_true",
        help="with --logit-adjustment: adjust even a model that was trained with logit adjustment",
    )
    decoding = parser.add_argument_group("decoding, as in fairseq-generate")
    add_decoding_arguments(decoding)
    decoding.add_argument("--batch-size", type=int, metavar="INT", help="examples per batch, with fairseq")


def run(args: argparse.Namespace) -> int:
    """Decode and write the replies."""
    model = load_run(args.run_folder, args.data)
    decoding = decoding_of(args)
    adjusted = _adjust(args, model)
    passed_on = [*(["--batch-size", str(args.batch_size)] if args.batch_size else []), *args.passed_on]
    if args.input is not None:
        return _reply(args, model, decoding, passed_on)
    if args.persona is not None:
        raise UserError("--persona: is for --input; the contexts of a split have their own personas")
    if decoding.nbest > 1:
        raise UserError(
            f"--nbest {decoding.nbest}: is for --input; for a split one reply per line is written"
        )
    split = args.split or model.default_split()
    model.check_split(split)
    form = _form(args, model)
    out = output_file(args.out or model.results / f"replies.{split}{adjusted}.txt", "--out")
    beside = None
    if model.kind == "transformers":
        beside = output_file(out.with_name(f"references.{split}.txt"), "the references in")
    if args.perplexity:
        output_file(out.with_suffix(".perplexity"), "the perplexity in")
    with alone(out):
        _decode_split(args, model, split, decoding, passed_on, form, out, beside)
    return 0


def _decode_split(
    args: argparse.Namespace,
    model: Run,
    split: str,
    decoding: Decoding,
    passed_on: Sequence[str],
    form: Callable[[str], str] | None,
    out: Path,
    beside: Path | None,
) -> None:
    found = model.decode(split, decoding, passed_on)
    if form is not None:
        found = in_form(found, form)
    write_lines(out, found.replies)
    _tell_adjustment(args, model, out)
    print(f"{len(found.replies):,} replies of {model.results} in {out}")
    _show(found.contexts, found.replies)
    if beside is not None and found.references is not None:
        write_lines(beside, found.references)
    if args.perplexity:
        value = perplexity(model.scoring_model().likelihoods(split))
        write_lines(out.with_suffix(".perplexity"), [f"{value:.4f}"])
        print(f"perplexity of the references: {value:.2f}")
    if out.is_file():  # no pipe
        _tell_next(args, out, beside or _references_of(model, split))


def _references_of(model: Run, split: str) -> Path | None:
    """The references as `eureka prepare` left them, if they are in one file."""
    path = Path(model.data.split(os.pathsep)[0]) / "references" / f"{split}.txt"
    return path if split != TRAIN and path.is_file() else None


def _tell_next(args: argparse.Namespace, out: Path, references: Path | None) -> None:
    if references is None:
        print(f"next: eureka report {_same(args)} --out report.html")
    else:
        print(
            f"next: eureka evaluate --hypotheses {shlex.quote(str(out))} "
            f"--references {shlex.quote(str(references))}"
        )


def _same(args: argparse.Namespace) -> str:
    """The run and its adjustment for a command that decodes, too."""
    tau = args.logit_adjustment
    return shlex.quote(args.run_folder) + ("" if tau is None else f" --logit-adjustment {tau:g}")


def _adjust(args: argparse.Namespace, model: Run) -> str:
    """Adjust the model if that is asked for; return what this adds to the name of the file of replies."""
    if args.logit_adjustment is None:
        if args.adjust_again:
            raise UserError("--adjust-again: is for --logit-adjustment")
        return ""
    if args.perplexity:
        raise UserError(
            "--perplexity and --logit-adjustment: expected one of the two; the perplexity is that of the "
            "model without logit adjustment"
        )
    model.adjust(args.logit_adjustment, args.adjust_again)
    return f".logit-adjustment-{args.logit_adjustment:g}"


def _tell_adjustment(args: argparse.Namespace, model: Run, out: Path) -> None:
    """Record beside the replies that the logits were adjusted, or remove the record of earlier replies."""
    if not out.is_file():  # /dev/stdout
        return
    beside = out.with_suffix(".decoding.json")
    if args.logit_adjustment is None:
        beside.unlink(missing_ok=True)
        return
    weights = [str(path) for path in model.weights]
    write_json(beside, {"weights": weights, "logit_adjustment": args.logit_adjustment})
    print(f"logit adjustment {args.logit_adjustment:g}, recorded in {beside}")


def _form(args: argparse.Namespace, model: Run) -> Callable[[str], str] | None:
    if args.like is None:
        return None
    if model.kind == "fairseq":
        raise UserError(
            f"--like {args.like}: is for Hugging Face models; this run writes the words of its data"
        )
    return Preparation.of(RunData.find(args.like, "give --like DIR")).text


def _show(contexts: Sequence[str], replies: Sequence[str]) -> None:
    """Print a few of the replies, spread over the split."""
    for index in range(0, len(replies), max(1, len(replies) // _SHOWN))[:_SHOWN]:
        context = contexts[index].rpartition("<partner>")[2].strip()
        print(f"  {context[-60:]!r} -> {replies[index]!r}" if context else f"  {replies[index]!r}")


def _piped_lines() -> list[str]:
    """The lines of the standard input, which end where those of a :class:`TextFile` do."""
    text = sys.stdin.read().removeprefix("\ufeff").removesuffix("\n")
    return text.split("\n") if text else []


def _reply(args: argparse.Namespace, model: Run, decoding: Decoding, passed_on: Sequence[str]) -> int:
    """Reply to the messages of ``--input``; several replies to one message are separated by tabs."""
    out = output_file(args.out or "/dev/stdout", "--out")
    persona = [] if args.persona is None else list(TextFile(args.persona, holds="one sentence"))
    messages = _piped_lines() if args.input == "-" else TextFile(args.input, holds="one message")
    conversations = [Conversation(tuple(turns), tuple(persona)) for turns in turns_of(messages)]
    found = model.talker().replies(conversations, decoding, passed_on)
    write_lines(out, ["\t".join(reply.text for reply in replies) for replies in found])
    if args.out:
        _tell_adjustment(args, model, out)
        print(f"{len(found):,} replies of {model.results} in {out}")
        print(f"next: eureka chat {_same(args)}")
    return 0
