"""A forked process is what a new interpreter would be: its output, its status, its errors."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    ("code", "status", "stdout", "stderr"),
    [
        ("import sys; print('o'); print('e', file=sys.stderr); sys.exit(3)", 3, "o\n", "e\n"),
        ("import sys; sys.exit('why')", 1, "", "why\n"),
        ("import os, sys; print(sys.argv, __name__)", 0, "['-c', 'a'] __main__\n", ""),
        ("import atexit; atexit.register(print, 'last')", 0, "last\n", ""),
        ("import os; os.kill(os.getpid(), 9)", -9, "", ""),
        (
            "import logging; logging.basicConfig(format='%(message)s'); logging.error('x')",
            0,
            "",
            "x\n",
        ),
    ],
)
def test_it_ends_as_python_would(
    python: Any, code: str, status: int, stdout: str, stderr: str, fresh: bool
) -> None:
    done = python("-c", code, "a", fresh=fresh)
    assert (done.returncode, done.stdout, done.stderr) == (status, stdout, stderr)


def test_an_error_has_its_traceback(python: Any) -> None:
    done = python("-c", "raise ValueError('here')")
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: here\n")


def test_a_module_runs_in_the_given_folder(python: Any, tmp_path: Any) -> None:
    (tmp_path / "own_module.py").write_text("import os, sys; print(os.getcwd(), sys.argv[1:], __name__)")
    done = python("-m", "own_module", "a", cwd=tmp_path)
    assert done.stdout == f"{tmp_path} ['a'] __main__\n"


def test_what_hangs_is_ended(python: Any) -> None:
    done = python("-c", "import time; time.sleep(60)", timeout=0.5)
    assert done.returncode == -9


def test_processes_that_wait_for_each_other(python: Any, tmp_path: Any) -> None:
    code = "import os, sys; mine, other = sys.argv[1:]; os.mkdir(mine)\nwhile not os.path.exists(other): pass"
    commands = [("-c", code, "a", "b"), ("-c", f"{code}\nprint('both')\nsys.exit(3)", "b", "a")]
    first, second = python.together(commands, cwd=tmp_path)
    assert (first.returncode, first.stdout) == (0, "")
    assert (second.returncode, second.stdout) == (3, "both\n")


def test_a_process_can_be_interrupted_and_has_its_own_environment(python: Any, tmp_path: Any) -> None:
    code = """
import os, pathlib, time
try:
    pathlib.Path("started").touch()
    time.sleep(60)
except KeyboardInterrupt:
    print(os.environ["OWN"])
"""
    process = python.start("-c", code, cwd=tmp_path, environment={"OWN": "x"})
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill(signal.SIGINT)
    done = process.wait(30)
    assert (done.returncode, done.stdout) == (0, "x\n")


def test_what_it_starts_is_forked_too(python: Any) -> None:
    inner = "import os, sys; print('torch' in sys.modules, os.environ['OWN'], *sys.argv); sys.exit(4)"
    code = f"""
import sys
from eureka_nlg.children import call
print("before")
print(call([sys.executable, "-c", {inner!r}, "a"], {{"OWN": "x"}}))
"""
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (0, "before\nTrue x -c a\n4\n")
