"""Child processes that end with the process that started them, even if that one is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

__all__ = ["call", "child_environment", "end_with_parent"]

_PARENT = "EUREKA_NLG_PARENT"
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_PATIENCE = 5.0  # seconds


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


def call(command: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int] = ()) -> int:
    """Run a command and wait for it, as :func:`subprocess.call` does, which Ctrl-C lets end in good order.

    :func:`subprocess.call` kills the command a quarter of a second after Ctrl-C, in the middle of a
    checkpoint that it may be writing. A terminal interrupts the command too. If it has not ended after some
    seconds, the signal may have come to this process alone, and is passed on. A second Ctrl-C kills it.

    Args:
        command: program and arguments.
        env: environment of the command.
        pass_fds: descriptors that it inherits.

    Returns:
        The exit status; minus the signal that ended the command.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed twice, or the command ended by it without a word.
    """
    with subprocess.Popen(command, env=env, pass_fds=pass_fds) as process:
        try:
            try:
                return process.wait()
            except KeyboardInterrupt:
                try:
                    status = process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
                    status = process.wait()
                if status == -signal.SIGINT:
                    raise
                return status
        except BaseException:
            process.kill()
            raise
