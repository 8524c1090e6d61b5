"""The options of decoding on the command line."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from eureka_nlg.runs.decoding import Decoding

__all__ = ["add_decoding_arguments", "add_logit_adjustment", "decoding_of"]


def add_decoding_arguments(group: Any, **defaults: Any) -> None:
    """``--beam``, ``--sampling`` ..., under fairseq's names.

    Args:
        group: the parser, or a group of it, that gets the options.
        **defaults: default values that differ from those of :class:`Decoding`.
    """
    for option in fields(Decoding):
        default = defaults.get(option.name, option.default)
        name = option.metadata.get("fairseq", f"--{option.name}")
        text = option.metadata["help"] + ("" if default in (None, False) else f" (default: {default})")
        if isinstance(option.default, bool):
            group.add_argument(name, dest=option.name, action="store_true", help=text)
        else:
            kind = float if "float" in str(option.type) else int
            group.add_argument(
                name, dest=option.name, type=kind, metavar=kind.__name__.upper(), default=default, help=text
            )


def add_logit_adjustment(group: Any, more: str = "") -> None:
    """``--logit-adjustment``.

    Args:
        group: the parser, or a group of it, that gets the option.
        more: what the help says about it besides.
    """
    group.add_argument(
        "--logit-adjustment",
        type=float,
        metavar="TAU",
        help="subtract TAU times the log-frequency of each word in the training targets from its logit (the "
        "post-hoc logit adjustment of Menon et al. 2021); punctuation and the end of a reply stay as likely "
        f"as they were{more}",
    )


def decoding_of(args: argparse.Namespace) -> Decoding:
    """The options as given.

    Raises:
        UserError: options that do not go together.
    """
    return Decoding(**{option.name: getattr(args, option.name) for option in fields(Decoding)})
