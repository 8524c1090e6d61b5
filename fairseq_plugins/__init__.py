"""The folder for fairseq's ``--user-dir``: thin classes that pass fairseq's tensors to ``eureka_nlg``."""

import argparse
import sys
from types import TracebackType

import torch

from eureka_nlg.errors import UserError
from fairseq_plugins import criterions, models, tasks
from fairseq_plugins.whole_checkpoints import write_whole_checkpoints

__all__ = ["criterions", "models", "tasks"]

# fairseq's checkpoints contain an argparse.Namespace, which torch.load with its default weights_only=True
# refuses unless it is listed here. Nothing else becomes loadable.
torch.serialization.add_safe_globals([argparse.Namespace])

write_whole_checkpoints()


def _one_line_for_bad_input(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print a UserError in one line, also in fairseq's commands; other errors keep their tracebacks."""
    if isinstance(error, UserError):
        print(f"error: {error}", file=sys.stderr)
    else:
        _previous_excepthook(kind, error, traceback)


_previous_excepthook, sys.excepthook = sys.excepthook, _one_line_for_bad_input
