"""Fine-tune a Hugging Face model on conversations, with the Eureka loss or cross-entropy.

    eureka prepare data/sample --out data-bin/messages --format-out messages
    eureka finetune configs/finetune/smollm2.yaml model=FOLDER data=data-bin/messages
    torchrun --nproc-per-node 8 -m eureka_nlg finetune CONFIG key=value...      or accelerate launch

A config holds the options of `eureka_nlg.finetune.options` and any of transformers' TrainingArguments, such
as `report_to: tensorboard`. When the same command is given again, it goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from eureka_nlg.files import exclusive, write_lines
from eureka_nlg.finetune.options import FinetuneOptions, read_finetune_config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file of options")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="options that replace those of the file"
    )


def run(args: argparse.Namespace) -> int:
    """Train, and say where the model is."""
    options, arguments = read_finetune_config(args.config, args.overrides)
    from eureka_nlg.finetune.run import finetune

    if arguments.process_index != 0:  # the first process holds the folder for all
        finetune(options, arguments)
        return 0
    with exclusive(arguments.output_dir):
        metrics = finetune(options, arguments)
        print(f"trained in {metrics['train_runtime']:.0f} s; the model is in {arguments.output_dir}")
        if options.decode_split:
            _decode(arguments.output_dir, options)
    print(f"next: eureka chat {shlex.quote(arguments.output_dir)}")
    return 0


def _decode(folder: str, options: FinetuneOptions) -> None:
    """Write greedy replies to a split and its references, as `eureka generate` does."""
    from eureka_nlg.runs.decoding import Decoding
    from eureka_nlg.runs.transformers_run import TransformersRun

    split = str(options.decode_split)
    found = TransformersRun(folder).decode(split, Decoding(beam=1, max_length=options.max_new_tokens))
    replies, references = (Path(folder) / f"{side}.{split}.txt" for side in ("replies", "references"))
    write_lines(replies, found.replies)
    write_lines(references, found.references or [])
    files = shlex.join(["--hypotheses", str(replies), "--references", str(references)])
    print(f"next: eureka evaluate {files}")
