"""``eureka`` commands as processes forked after all imports, so that their own work begins at once.

A new interpreter imports torch, fairseq and transformers for five to ten seconds, and then works for one. The
processes here are forked from this one, which has imported them; ``eureka train``, which starts another
interpreter, gets a forked one as well. All that a command starts is in one group, and ended with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT), str(ROOT / "tests" / "helpers")]

import forked  # noqa: E402

_EVERYTHING = (
    *("fairseq", "fairseq_cli.train", "fairseq_cli.generate", "fairseq_plugins"),
    *("torch._dynamo", "torchvision", "accelerate", "datasets", "transformers.trainer", "tensorboardX"),
    *("matplotlib.pyplot", "jinja2", "nltk", "sacrebleu", "sentencepiece", "tabulate"),
    "eureka_nlg.runs.transformers_run",
    "eureka_nlg.vision.classification.runs",
    *(f"eureka_nlg.cli.{name}" for name in ("analyse", "evaluate", "finetune", "generate", "prepare")),
    *(f"eureka_nlg.cli.{name}" for name in ("report", "train", "vision")),
)
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>


class Done(NamedTuple):
    """How a command ended.

    Attributes:
        status: exit status; minus the signal.
        seconds: that it took.
        output, errors: what it printed.
    """

    status: int
    seconds: float
    output: str
    errors: str


def import_everything() -> None:
    """Import what the commands import, once, and undo what that does to the loggers."""
    warnings.simplefilter("ignore")
    for name in _EVERYTHING:
        importlib.import_module(name)
        if name.startswith("fairseq"):
            _quieten()
    import torch

    from eureka_nlg.dialogue import training

    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)  # what loses its parent becomes ours, and can be waited for
    training.call = _call_forked
    _quieten()


def _quieten() -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)


def _call_forked(command: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int] = ()) -> int:
    def run() -> NoReturn:
        os.environ.update(env)
        forked.run(command[1:])

    return wait_for(fork(run))


def fork(work: Callable[[], Any]) -> int:
    """Do the work in a new process; return its number."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def wait_for(process: int) -> int:
    """Exit status of a process that was forked here; minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Like :class:`tempfile.TemporaryDirectory`, which the end of a forked process would remove."""
    folder = Path(tempfile.mkdtemp(prefix="reliability"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python(arguments: Sequence[str], cwd: Path, kill_after: float | None = None) -> Done:
    """Run what ``python *arguments`` would in a folder.

    Args:
        arguments: such as ``-m eureka_nlg.cli.main --version``.
        cwd: the folder.
        kill_after: seconds after which it and all that it started are killed (SIGKILL), if it runs so long.
    """
    with tempfile.NamedTemporaryFile() as output, tempfile.NamedTemporaryFile() as errors:
        started = time.monotonic()
        process = fork(lambda: forked.become(arguments, cwd, output.name, errors.name))
        ended = 0
        while kill_after is not None and not ended:
            left = started + kill_after - time.monotonic()
            if left <= 0:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
                break
            time.sleep(min(left, 0.002))
            ended, status = os.waitpid(process, os.WNOHANG)
        if not ended:
            status = os.waitpid(process, 0)[1]
        seconds = time.monotonic() - started
        with contextlib.suppress(ProcessLookupError):  # what it started dies a little later
            os.killpg(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-process, 0)
        texts = [Path(file.name).read_text(errors="replace") for file in (output, errors)]
    return Done(os.waitstatus_to_exitcode(status), seconds, *texts)


def eureka(arguments: Sequence[str], cwd: Path, kill_after: float | None = None) -> Done:
    """Run ``eureka *arguments``; see :func:`python`."""
    return python(["-m", "eureka_nlg.cli.main", *arguments], cwd, kill_after)
