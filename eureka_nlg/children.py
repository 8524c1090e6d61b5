"""Child processes that end with the process that started them, even if that one is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

__all__ = ["child_environment", "end_with_parent"]

_PARENT = "EUREKA_NLG_PARENT"
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def child_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process that is to end with this one.

    Args:
        variables: what the child gets besides the environment of this process.
    """
    return {**os.environ, **(variables or {}), _PARENT: str(os.getpid())}


def end_with_parent(parent: int | None = None) -> None:
    """Let the kernel end this process with SIGTERM as soon as its parent ends, even by SIGKILL.

    Without this, a training whose command was killed would go on unseen. It works on Linux; elsewhere nothing
    happens, and a killed command leaves its children running.

    Args:
        parent: process id of the parent; None: what :func:`child_environment` has put into the environment.
            Nothing happens if it has not, as in a process that a user started.
    """
    named = os.environ.pop(_PARENT, "")  # a grandchild has another parent
    if parent is None and named.isdecimal():
        parent = int(named)
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    try:
        os.kill(parent, 0)
    except ProcessLookupError:  # it ended before the kernel was told
        os.kill(os.getpid(), signal.SIGTERM)
    except OSError:
        pass  # it lives, and belongs to another user
