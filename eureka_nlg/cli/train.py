"""Train the dialogue model of a YAML config: its entries are the options of fairseq-train.

    eureka train configs/dialogue/convai2_eureka.yaml data=data-bin/convai2 save_dir=runs/eureka max_epoch=20

The equivalent fairseq-train command is printed first. An interrupted run goes on from its last checkpoint
when the same command is given again.
"""

from __future__ import annotations

import argparse

from eureka_nlg.dialogue.training import check_arguments, fairseq_arguments, read_config, shown_command, train

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file of fairseq options")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="options on top of the file's; key= removes"
    )
    parser.add_argument("--print-only", action="store_true", help="print the fairseq-train command and stop")


def run(args: argparse.Namespace) -> int:
    """Print the command, check it, run it."""
    arguments = fairseq_arguments(read_config(args.config, args.overrides))
    print(shown_command(arguments), flush=True)
    if args.print_only:
        return 0
    check_arguments(arguments)
    return train(arguments)
