"""Python processes that begin with torch and fairseq imported: that is most of the time that a command takes.

Run as a script, this is the process that they are forked from. It reads a request a line, as JSON, and
answers with the process id and, when the process has ended, its exit status. What the import of fairseq does
to logging is undone, so that a forked process is as silent as one that imports it quietly.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import runpy
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn


def serve() -> None:
    """Answer requests until the standard input ends."""
    import torch._dynamo  # noqa: F401 - every optimiser imports it, which takes seconds

    with contextlib.suppress(ImportError):
        import fairseq  # noqa: F401
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    answers = os.fdopen(os.dup(1), "w")  # the forked ones have other files there
    for line in sys.stdin:
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            answers.close()
            become(request)
        print(process, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), file=answers, flush=True)


def become(request: dict[str, Any]) -> NoReturn:
    """Run what ``python *arguments`` would, in a session and a folder of its own, and exit so."""
    os.setsid()  # so that all it starts can be ended with it
    for number, (path, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), (request["stdout"], os.O_WRONLY), (request["stderr"], os.O_WRONLY)]
    ):
        os.dup2(os.open(path, flags), number)
    sys.stdin = os.fdopen(0, closefd=False)
    os.chdir(request["cwd"])
    run(request["arguments"])


def run(arguments: Sequence[str]) -> NoReturn:
    """Run what ``python *arguments`` would in this process, and exit with its status."""
    first, *rest = arguments
    status = 0
    try:
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        if first == "-m":
            sys.argv = rest
            sys.path[0] = os.getcwd()
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        elif first == "-c":
            sys.argv = ["-c", *rest[1:]]
            sys.path[0] = ""
            exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = [first, *rest]
            sys.path[0] = os.path.dirname(os.path.abspath(first))
            runpy.run_path(first, run_name="__main__")
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
