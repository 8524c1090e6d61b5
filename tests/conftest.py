"""What all tests share: reproducible random numbers, and commands run as a user would run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# The same examples in every run, and no time limit for one: a loaded machine must not fail a test.
settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("reproducible")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers whichever tests ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run Python with the given arguments in the project's folder, or in ``cwd``, on one thread.

    The process is forked from one that has imported torch and fairseq; ``fresh=True`` starts an interpreter.
    """
    folder = tmp_path_factory.mktemp("forked")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    servers: list[subprocess.Popen[str]] = []

    def run(
        *arguments: object, cwd: Path = ROOT, timeout: float = 600, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        if fresh:
            command = [sys.executable, *words]
            return subprocess.run(
                command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
            )
        if not servers:
            command = [sys.executable, str(ROOT / "tests" / "helpers" / "forked.py")]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            servers.append(subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes))
        server = servers[0]
        assert server.stdin is not None
        assert server.stdout is not None
        stdout, stderr = folder / "stdout", folder / "stderr"
        for path in (stdout, stderr):
            path.write_bytes(b"")
        request = {"arguments": words, "cwd": str(cwd), "stdout": str(stdout), "stderr": str(stderr)}
        print(json.dumps(request), file=server.stdin, flush=True)
        process = int(server.stdout.readline())
        timer = threading.Timer(timeout, os.killpg, (process, signal.SIGKILL))
        timer.start()
        status = int(server.stdout.readline())
        timer.cancel()
        return subprocess.CompletedProcess(words, status, stdout.read_text(), stderr.read_text())

    yield run
    for server in servers:
        server.kill()  # it would not see its pipe closed while a worker that loads images holds a copy of it
        server.wait()
