"""A YAML of ``configs/dialogue`` as the arguments of ``fairseq-train``, and the run of it."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from eureka_nlg.dialogue.decay import with_total_num_update
from eureka_nlg.dialogue.plugin import user_dir
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.errors import UserError, require
from eureka_nlg.option_files import read_options

__all__ = ["read_config", "fairseq_arguments", "shown_command", "check_arguments", "train"]

Config = dict[str, Any]


def read_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read a flat YAML mapping of fairseq options, with ``key=value`` overrides on top.

    Keys are the options of fairseq-train with or without dashes for underscores; ``data`` is its
    positional argument, and ``base`` names another such file, relative to this one, that this one builds on.
    An override ``key=`` takes the key out.

    Raises:
        UserError: a file is not there, is no YAML or no flat mapping, or an override is no ``key=value``.
    """
    given = read_options(
        path,
        overrides,
        extra="fairseq",
        examples="configs/dialogue",
        override_example="max_epoch=16",
    )
    for key, (_, where) in given.items():
        if "." in key:
            raise UserError(f"{where}: {key.partition('.')[0]}: expected one value or a list, got a mapping")
    return {key: value for key, (value, _) in given.items()}


def fairseq_arguments(config: Mapping[str, Any]) -> list[str]:
    """Arguments of fairseq-train: ``data`` first, then the options in the order of the config.

    True gives the bare flag, False and None nothing, a list its values joined by commas. ``decay_epochs``
    becomes the ``--total-num-update`` of the data folder.

    Raises:
        UserError: no ``data``, or ``decay_epochs`` that cannot be counted.
    """
    if not config.get("data"):
        raise UserError("no data folder: give data=DIR (made by `eureka prepare ... --out DIR`)")
    config = with_total_num_update(config)
    data = config.pop("data")
    arguments = [str(data)]
    config = {"user_dir": config.pop("user_dir", None) or user_dir(), **config}
    for key, value in config.items():
        if value is None or value is False:
            continue
        arguments.append("--" + key.replace("_", "-"))
        if isinstance(value, list):
            arguments.append(",".join(map(str, value)))
        elif value is not True:
            arguments.append(str(value))
    return arguments


def shown_command(arguments: Sequence[str], program: str = "fairseq-train") -> str:
    """The equivalent shell command, in one line."""
    return shlex.join([program, *arguments])


def check_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Let fairseq parse the arguments, and check what it would trip over after a minute of loading.

    Raises:
        UserError: an unknown option, a bad value, a data folder or a checkpoint that is none, or a save
            folder that cannot be written to.
    """
    with quiet():
        require("fairseq", extra="fairseq")
        from fairseq import options, utils

        user_dir = arguments[arguments.index("--user-dir") + 1]
        utils.import_user_module(argparse.Namespace(user_dir=user_dir))
    # fairseq looks into sys.argv for some options while it builds its parser
    saved_argv, sys.argv = sys.argv, ["fairseq-train", *arguments]
    try:
        parser = options.get_training_parser()
        parser.error = _raise_user_error
        args, unknown = options.parse_args_and_arch(parser, input_args=list(arguments), parse_known=True)
    finally:
        sys.argv = saved_argv
    for option in unknown:
        if option.startswith("--"):
            known = [name for action in parser._actions for name in action.option_strings]
            near = difflib.get_close_matches(option.partition("=")[0], known, n=1)
            raise UserError(
                f"fairseq-train has no option {option}" + (f"; did you mean {near[0]}?" if near else "")
            )
    if unknown:
        raise UserError(f"fairseq-train takes no argument {unknown[0]!r}")
    _check_data_folder(args.data)
    _check_save_folder(args.save_dir)
    for checkpoint in {os.path.join(args.save_dir, "checkpoint_last.pt"), args.restore_file}:
        if os.path.exists(checkpoint) and not zipfile.is_zipfile(checkpoint):
            raise UserError(f"{checkpoint}: not a checkpoint of torch; remove it, or give another save_dir")
    return args


def train(arguments: Sequence[str]) -> int:
    """Run fairseq-train in a process of its own; return its exit status."""
    return subprocess.call([sys.executable, "-m", "eureka_nlg.dialogue.fairseq_train", *arguments])


def _check_data_folder(data: str) -> None:
    for folder in data.split(os.pathsep):
        if not os.path.isdir(folder):
            raise UserError(
                f"data folder {folder}: not there; make it with `eureka prepare ... --out {folder}`"
            )
        if not any(name.startswith("dict.") for name in os.listdir(folder)):
            raise UserError(
                f"data folder {folder}: holds no dict.*.txt; make it with `eureka prepare ... --out DIR`"
            )


def _check_save_folder(save_dir: str) -> None:
    try:
        os.makedirs(save_dir, exist_ok=True)
        tempfile.TemporaryFile(dir=save_dir).close()
    except OSError as error:
        raise UserError(
            f"save_dir {save_dir}: cannot write there ({error.strerror}); give another save_dir"
        ) from error


def _raise_user_error(message: str) -> NoReturn:
    raise UserError(message)
