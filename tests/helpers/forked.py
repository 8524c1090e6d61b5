"""Python processes that begin with torch and fairseq imported: that is most of the time that a command takes.

Run as a script, this is the process that they are forked from. It reads a request a line, as JSON: what to
run, which it answers with the id of the new process, or the id of a process to wait for, which it answers
with the exit status. What the import of fairseq does to logging is undone, so that a forked process is as
silent as one that imports it quietly.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import logging
import multiprocessing.process
import multiprocessing.util
import os
import runpy
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND  # two that write one file do not overwrite each other


class Process:
    """A forked process, the leader of its process group, and the files that it writes to."""

    def __init__(self, forked: Forked, pid: int, words: list[str], output: Path) -> None:
        self.pid = pid
        self._forked, self._words, self._output = forked, words, output

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process and to all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Wait for its end; after ``timeout`` seconds it is killed."""
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        status = self._forked.ask({"wait": self.pid})
        timer.cancel()
        stdout, stderr = ((self._output / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(self._words, status, stdout, stderr)


class Forked:
    """Runs what ``python *arguments`` would on one thread; called, it waits for the end.

    Args:
        folder: for what the processes print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: subprocess.Popen[str] | None = None
        self._number = 0
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}

    def __call__(
        self, *arguments: object, cwd: Path = ROOT, timeout: float = 600, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in a folder, by default the project's; with ``fresh`` it is a new interpreter."""
        if not fresh:
            return self.start(*arguments, cwd=cwd).wait(timeout)
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, env=self._environment, capture_output=True, text=True, timeout=timeout
        )

    def start(
        self, *arguments: object, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Begin a process, with more in its environment."""
        words = [str(argument) for argument in arguments]
        output = self._folder / str(self._number)
        output.mkdir()
        self._number += 1
        request = {
            "arguments": words,
            "cwd": str(cwd),
            "stdout": str(output / "stdout"),
            "stderr": str(output / "stderr"),
            "environment": dict(environment or {}),
        }
        return Process(self, self.ask(request), words, output)

    def together(
        self, commands: Sequence[Sequence[object]], timeout: float = 300, **options: Any
    ) -> list[subprocess.CompletedProcess[str]]:
        """Run processes that wait for each other; what is left after ``timeout`` seconds is killed."""
        processes = [self.start(*command, **options) for command in commands]
        return [process.wait(timeout) for process in processes]

    def ranks(self, *arguments: object, size: int = 2) -> list[subprocess.CompletedProcess[str]]:
        """Run the same in processes with the environment that ``torchrun --standalone`` gives them."""
        from torch.distributed import TCPStore

        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        shared = {
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(store.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is there, and its port taken for good
            "ACCELERATE_USE_CPU": "true",
        }
        processes = [
            self.start(*arguments, environment={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(size)
        ]
        return [process.wait(300) for process in processes]

    def ask(self, request: Mapping[str, Any]) -> int:
        """The answer of the process that all are forked from."""
        if self._server is None:
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._server = subprocess.Popen(
                [sys.executable, __file__], cwd=ROOT, env=self._environment, text=True, **pipes
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """End the process that all are forked from."""
        if self._server is not None:
            # it would not see its pipe closed while a worker that loads images holds a copy of it
            self._server.kill()
            self._server.wait()


def serve() -> None:
    """Answer requests until the standard input ends."""
    import torch._dynamo  # noqa: F401 - every optimiser imports it, which takes seconds

    from eureka_nlg import children

    with contextlib.suppress(ImportError):
        import fairseq  # noqa: F401
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    children.call = call
    gc.freeze()  # no collection of a forked process looks at what it began with, nor copies its pages
    answers = os.fdopen(os.dup(1), "w")  # the forked ones have other files there
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), file=answers, flush=True)
            continue
        ready, is_ready = os.pipe()
        process = os.fork()
        if process == 0:
            answers.close()
            become(**request, is_ready=is_ready)
        os.close(is_ready)
        os.read(ready, 1)  # its group is there, so that it can be killed
        os.close(ready)
        print(process, file=answers, flush=True)


def become(
    arguments: Sequence[str],
    cwd: str | os.PathLike[str],
    stdout: str | os.PathLike[str],
    stderr: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    is_ready: int | None = None,
) -> NoReturn:
    """Run what ``python *arguments`` would, in a session and a folder of its own, and exit so.

    Args:
        arguments: such as ``-m eureka_nlg.cli.main --version``.
        cwd: the folder.
        stdout, stderr: files for what it prints.
        environment: what it has besides the environment of this process.
        is_ready: descriptor that is closed as soon as the session is there.
    """
    os.setsid()  # so that all it starts can be ended with it
    # what a shell starts in the background ignores Ctrl-C, and so would all that is forked here
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_ready is not None:
        os.close(is_ready)
    for number, (path, flags) in enumerate([(os.devnull, os.O_RDONLY), (stdout, _APPEND), (stderr, _APPEND)]):
        os.dup2(os.open(path, flags), number)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.update(environment or {})
    os.chdir(cwd)
    run(arguments)


def call(command: Sequence[Any], env: Mapping[str, str], pass_fds: Sequence[int] = ()) -> int:
    """:func:`eureka_nlg.children.call` of a forked process, as `eureka train` does: its Python is forked."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os.environ.clear()
        os.environ.update(env)
        run(command[1:])
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run(arguments: Sequence[str]) -> NoReturn:
    """Run what ``python *arguments`` would in this process, and exit with its status."""
    # else the end of this process would terminate the workers of the one that it was forked from
    multiprocessing.process._children = set()  # type: ignore[attr-defined]
    multiprocessing.util._finalizer_registry.clear()  # type: ignore[attr-defined]
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
