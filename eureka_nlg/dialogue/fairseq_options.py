"""Parse arguments as fairseq's own commands do, in this process."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Literal, NoReturn

from eureka_nlg.dialogue.no_code import no_code
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.errors import UserError, require

__all__ = ["parse_options"]


def parse_options(
    command: Literal["train", "generate"], arguments: Sequence[str], user_dir: str
) -> argparse.Namespace:
    """Parse the arguments of fairseq-train or fairseq-generate.

    Raises:
        UserError: an unknown option or a bad value.
    """
    with quiet():
        require("fairseq", extra="fairseq")
        from fairseq import options, utils

        utils.import_user_module(argparse.Namespace(user_dir=user_dir))
    # fairseq looks into sys.argv for some options while it builds its parser
    saved_argv, sys.argv = sys.argv, [f"fairseq-{command}", *arguments]
    try:
        with no_code():
            parser = options.get_training_parser() if command == "train" else options.get_generation_parser()
            parser.error = _raise_user_error
            args, unknown = options.parse_args_and_arch(parser, input_args=list(arguments), parse_known=True)
    except RuntimeError:  # fairseq's, without a message, where there is no architecture
        if {"--arch", "-a"} & {argument.partition("=")[0] for argument in arguments}:
            raise
        raise UserError("no architecture is given, expected arch, for example arch=lstm_convai2") from None
    finally:
        sys.argv = saved_argv
    for option in unknown:
        if option.startswith("--"):
            known = [name for action in parser._actions for name in action.option_strings]
            near = difflib.get_close_matches(option.partition("=")[0], known, n=1)
            raise UserError(
                f"fairseq-{command} has no option {option}" + (f"; did you mean {near[0]}?" if near else "")
            )
    if unknown:
        raise UserError(f"fairseq-{command} takes no argument {unknown[0]!r}")
    return args


def _raise_user_error(message: str) -> NoReturn:
    raise UserError(message)
