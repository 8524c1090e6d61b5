"""Entry point of the command ``eureka``.

Each subcommand is a module of this package with a docstring (its help), ``add_arguments(parser)`` and
``run(args) -> int``. Only the module that was asked for is imported. A module with ``PASSES_ON = True`` gets
the arguments after ``--`` as ``args.passed_on``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import eureka_nlg
from eureka_nlg.children import end_with_parent
from eureka_nlg.cli.completion import answer
from eureka_nlg.cli.intermixed import IntermixedParser
from eureka_nlg.errors import UserError

__all__ = ["main"]

# name of the subcommand -> (module in this package, the line that `eureka --help` shows)
COMMANDS = {
    "prepare": ("prepare", "turn a dialogue corpus into a data folder for training"),
    "train": ("train", "train the model of a YAML config with fairseq-train"),
    "finetune": ("finetune", "fine-tune a Hugging Face model on conversations"),
    "generate": ("generate", "decode a split with a trained model, one reply per line"),
    "evaluate": ("evaluate", "score replies against references"),
    "analyse": ("analyse", "compare models by how likely they find words of each training frequency"),
    "report": ("report", "write one HTML page about one or more runs, of dialogue or of images"),
    "chat": ("chat", "talk to one or more trained models, side by side, in the terminal"),
    "serve": ("serve", "talk to them on a web page that only this machine can open"),
    "vision": ("vision", "long-tailed images: train classifiers and detectors, evaluate, sweep over seeds"),
    "demo": ("demo", "train cross-entropy and Eureka on the bundled corpus, in minutes"),
    "configs": ("configs", "list the configs that come with the package, or copy them"),
    "plugin-dir": ("plugin_dir", "print the folder to give to fairseq's --user-dir"),
}


_FIRST_STEPS = """first steps:
  eureka demo                                   both losses on a small corpus, in minutes
  eureka prepare data/sample --out data-bin/sample --history-turns 1
  eureka train configs/dialogue/sample/el.yaml
  eureka generate runs/sample/el
  eureka chat runs/sample/el
  eureka report runs/sample/el --out report.html"""
_ALSO = {"analyze": "analyse"}  # other spellings


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``eureka`` with the given arguments (default: those of the process); return the exit status."""
    end_with_parent()
    answer(COMMANDS)
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] == "help":
        arguments = [*arguments[1:2], "--help"]
    arguments[:1] = [_ALSO.get(name, name) for name in arguments[:1]]
    parser = _top_level_parser()
    if not arguments or arguments[0] not in COMMANDS:
        parser.parse_args(arguments)  # --help, --version, or an error that lists the subcommands
        parser.print_help()
        return 0
    name = arguments[0]
    try:
        command = importlib.import_module(f"eureka_nlg.cli.{COMMANDS[name][0]}")
        subparser = IntermixedParser(
            prog=f"eureka {name}",
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        own, passed_on = arguments[1:], []
        if getattr(command, "PASSES_ON", False) and "--" in own:
            own, passed_on = own[: own.index("--")], own[own.index("--") + 1 :]
        args = subparser.parse_args(own)
        args.passed_on = passed_on
        return command.run(args) or 0
    except UserError as error:
        return _fail(name, str(error))
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(name, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return _fail(name, "interrupted", status=130)


def _top_level_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS)) + 2
    listing = "\n".join(f"  {name:<{width}}{line}" for name, (_, line) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="eureka",
        description="Train and evaluate dialogue models and image classifiers with the Eureka Loss.",
        epilog=f"commands:\n{listing}\n\n{_FIRST_STEPS}\n\n`eureka COMMAND --help` describes a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="eureka COMMAND [options]",
    )
    parser.add_argument("--version", action="version", version=f"eureka-nlg {eureka_nlg.__version__}")
    parser.add_argument(
        "command", nargs="?", choices=list(COMMANDS), metavar="COMMAND", help=argparse.SUPPRESS
    )
    return parser


def _fail(command: str, message: str, status: int = 2) -> int:
    print(f"eureka {command}: error: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
