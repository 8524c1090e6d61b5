"""Talk to one or more trained models, side by side.

    eureka chat runs/sample/el
    eureka chat runs/sample/ce runs/sample/el --persona persona.txt
    eureka chat runs/finetuned runs/sample/el --sampling --sampling-topp 0.9
    echo "hi , any hobbies ?" | eureka chat runs/sample/el

A model is a run of `eureka train` or `eureka finetune`, or the folder of any Hugging Face model with its
tokenizer. Each model remembers its own replies; /help lists the commands of the conversation. In a pipe each
input line is a message, and each reply is a line NAME<TAB>REPLY. By default decoding is greedy and repeats no
3-gram.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import fields

from eureka_nlg.cli.arguments import add_run_arguments
from eureka_nlg.cli.decoding import add_decoding_arguments, add_logit_adjustment, decoding_of
from eureka_nlg.runs.decoding import Decoding
from eureka_nlg.text_files import TextFile

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    from eureka_nlg.chat.session import DEFAULTS

    add_run_arguments(parser, "folder of a training run, of a fine-tuning or of a model, or a checkpoint")
    parser.add_argument("--persona", metavar="FILE", help="sentences about who the models are, one per line")
    parser.add_argument("--cpu", action="store_true", help="run on the CPU even if there is a GPU")
    add_logit_adjustment(parser)
    add_decoding_arguments(parser.add_argument_group("decoding"), **DEFAULTS)


def run(args: argparse.Namespace) -> int:
    """Load the models and talk."""
    from eureka_nlg.chat.models import load_models
    from eureka_nlg.chat.session import Session
    from eureka_nlg.chat.terminal import Terminal

    decoding = decoding_of(args)
    persona = [] if args.persona is None else list(TextFile(args.persona, holds="one sentence"))

    def tell(line: str) -> None:
        print(f"eureka chat: {line}", file=sys.stderr)

    models = load_models(args.runs, args.names, args.data, args.cpu, tell, args.logit_adjustment)
    for model in models:
        if isinstance(model.rare, str):
            tell(f"note: rare words of {model.name} are not marked: {model.rare}")
    session = Session(models, decoding, persona)
    status = Terminal(session, sys.stdin, sys.stdout).run()
    if sys.stdin.isatty() and sys.stdout.isatty():
        tell(f"next: eureka serve {shlex.join(_given(args, session.decoding))}, the same on a web page")
    return status


def _given(args: argparse.Namespace, decoding: Decoding) -> list[str]:
    """The words that give another command the same models, persona and decoding."""
    from eureka_nlg.chat.session import DEFAULTS

    words = [*args.runs, *(["--cpu"] if args.cpu else [])]
    values = {
        "--names": args.names,
        "--data": args.data,
        "--persona": args.persona,
        "--logit-adjustment": args.logit_adjustment,
    }
    for option in fields(Decoding):
        value = getattr(decoding, option.name)
        if value is True:
            words.append(option.metadata.get("fairseq", f"--{option.name}"))
        elif value != DEFAULTS.get(option.name, option.default):
            values[option.metadata.get("fairseq", f"--{option.name}")] = value
    for option_name, value in values.items():
        if value is not None:
            words += [option_name, *(value if isinstance(value, list) else [str(value)])]
    return words
