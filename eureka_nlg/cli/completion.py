"""Completion in the shell, through argcomplete where that is installed.

eval "$(register-python-argcomplete eureka)"
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from eureka_nlg.bundled import bundled_root

__all__ = ["answer", "completion_parser"]


def answer(commands: Mapping[str, tuple[str, str]]) -> None:
    """Answer and end the process if the shell asks for completions; otherwise do nothing.

    Args:
        commands: name of a subcommand -> (its module in this package, what it does).
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        argcomplete = importlib.import_module("argcomplete")
    except ImportError:
        return
    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(completion_parser(commands, words[1] if len(words) > 1 else ""))


def completion_parser(commands: Mapping[str, tuple[str, str]], chosen: str) -> argparse.ArgumentParser:
    """A parser of all subcommands, of which only the chosen one is imported and has its arguments."""
    parser = argparse.ArgumentParser(prog="eureka")
    subparsers = parser.add_subparsers()
    for name, (module, line) in commands.items():
        subparser = subparsers.add_parser(name, help=line)
        if name == chosen:
            importlib.import_module(f"eureka_nlg.cli.{module}").add_arguments(subparser)
            _complete_configs(subparser)
    return parser


def _complete_configs(parser: argparse.ArgumentParser) -> None:
    """A config may be a file, or one that comes with the package."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _complete_configs(below)
        elif not action.option_strings and action.dest.startswith("config"):
            action.completer = _configs  # type: ignore[attr-defined]


def _configs(prefix: str, **_: Any) -> Iterable[str]:
    files = importlib.import_module("argcomplete.completers").FilesCompleter(("yaml", "yml"))(prefix)
    root = bundled_root()
    bundled = (path.relative_to(root).as_posix() for path in (root / "configs").rglob("*.yaml"))
    return [*files, *sorted(path for path in bundled if path.startswith(prefix))]
