"""Train the dialogue model of a YAML config: its entries are the options of fairseq-train.

    eureka train configs/dialogue/convai2/el.yaml data=data-bin/convai2 save_dir=runs/eureka max_epoch=20

The equivalent fairseq-train command is printed first, and its log is kept in SAVE_DIR/fairseq.log. An
interrupted run goes on from its last checkpoint when the same command is given again, and ends as it would
have ended without the interruption.

Runs that differ only in a loss that begins in a later epoch share the epochs before. With the checkpoints of
one of them the others need not run these again, and come out the same, to the bit where both use one kernel:

    eureka train configs/dialogue/convai2_small/el.yaml --branch-from runs/convai2_small/ce

Several machines: the same command on each, by torchrun or srun, or with fairseq's distributed_* options.
"""

from __future__ import annotations

import argparse
import shlex

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
        help="options on top of the file's; key= removes",
    )
    parser.add_argument(
        "--branch-from",
        metavar="RUN",
        help="begin with the epochs of another run that this one would repeat: its folder, with a checkpoint "
        "of each epoch, or one of these; ignored by a run that has begun",
    )
    parser.add_argument("--print-only", action="store_true", help="print the fairseq-train command and stop")
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show fairseq's own log, which is in SAVE_DIR/fairseq.log in any case",
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
    from eureka_nlg.dialogue.training import check_arguments, is_first_process, mend_last_checkpoint, train

    parsed = check_arguments(arguments)
    if not is_first_process(parsed):  # the first one holds the folder, and the others wait for it
        return train(arguments, verbose=args.verbose)
    with exclusive(parsed.save_dir) as held:
        if args.branch_from is not None and branch_off(args.branch_from, parsed):
            print(f"begins with {args.branch_from}", flush=True)
        if (mended := mend_last_checkpoint(parsed.save_dir)) is not None:
            print(f"checkpoint_last.pt was cut short: goes on from {mended}", flush=True)
        status = train(arguments, held, args.verbose)
    if status == 0:
        print(
            f"checkpoints and fairseq.log are in {parsed.save_dir}\n"
            f"next: eureka generate {shlex.quote(parsed.save_dir)}, or "
            f"eureka report {shlex.quote(parsed.save_dir)} --out report.html"
        )
    return status
