"""Train the dialogue model of a YAML config, whose entries are the options of fairseq-train.

    eureka train configs/dialogue/convai2/el.yaml data=data-bin/convai2 save_dir=runs/eureka max_epoch=20

The equivalent fairseq-train command is printed first, and its log is kept in SAVE_DIR/fairseq.log. When the
same command is given again, an interrupted run goes on from its last checkpoint and ends with the same result
as without the interruption.

Runs that differ only in a loss that begins in a later epoch have the same epochs before it. --branch-from
takes these epochs from the checkpoints of another run instead of training them again. The result is the same,
bit for bit where both runs use the same kernel:

    eureka train configs/dialogue/convai2_small/el.yaml --branch-from runs/convai2_small/ce

On several machines, start the same command on each with torchrun or srun, or set fairseq's distributed_*
options.
"""

from __future__ import annotations

import argparse
import shlex
import sys

from eureka_nlg.files import exclusive

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file of fairseq options")
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="key=value",
        help="options that replace those of the file; key= removes one",
    )
    parser.add_argument(
        "--branch-from",
        metavar="RUN",
        help="begin with the epochs that this run shares with another one: that run's folder, with a "
        "checkpoint of each epoch, or one of these checkpoints; ignored once this run has begun",
    )
    parser.add_argument("--print-only", action="store_true", help="print the fairseq-train command and stop")
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show fairseq's own log, which is kept in SAVE_DIR/fairseq.log in any case",
    )


def run(args: argparse.Namespace) -> int:
    """Print the command, check it, run it."""
    # torch is not imported for --help
    from eureka_nlg.dialogue.training import fairseq_arguments, read_config, shown_command

    arguments = fairseq_arguments(read_config(args.config, args.overrides))
    print(shown_command(arguments), flush=True)
    if args.print_only:
        return 0
    from eureka_nlg.dialogue.branch import branch_off
    from eureka_nlg.dialogue.training import (
        check_arguments,
        is_first_process,
        mend_last_checkpoint,
        slow_bfloat16,
        train,
    )

    parsed = check_arguments(arguments)
    if not is_first_process(parsed):  # the first one holds the folder, and the others wait for it
        return train(arguments, verbose=args.verbose)
    if (sentence := slow_bfloat16(parsed)) is not None:
        print(f"eureka train: warning: {sentence}", file=sys.stderr)
    with exclusive(parsed.save_dir) as held:
        if args.branch_from is not None and branch_off(args.branch_from, parsed):
            print(f"beginning with the epochs of {args.branch_from}", flush=True)
        if (mended := mend_last_checkpoint(parsed.save_dir)) is not None:
            print(f"checkpoint_last.pt is incomplete: going on from {mended}", flush=True)
        status = train(arguments, held, args.verbose)
    if status == 0:
        print(
            f"checkpoints and fairseq.log are in {parsed.save_dir}\n"
            f"next: eureka generate {shlex.quote(parsed.save_dir)}, or "
            f"eureka report {shlex.quote(parsed.save_dir)} --out report.html"
        )
    return status
