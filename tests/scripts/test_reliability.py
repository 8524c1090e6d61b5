"""The scripts of reliability run commands as a user would, kill them, and see what is left."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eureka_nlg.frequency import log_prior

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "reliability"
# a command that leaves one file whole, and for a while another in halves
WRITES = """
import pathlib, sys, time
pathlib.Path("whole.json").write_text("[1]")
pathlib.Path("half.json").write_text("[1")
pathlib.Path("started").touch()
time.sleep(float(sys.argv[1]))
pathlib.Path("half.json").write_text("[1]")
pathlib.Path("started").unlink()
"""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import commands

    return commands


@pytest.fixture
def run(commands: ModuleType, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(arguments: list[str], cwd: Path, kill_after: float | None = None) -> Any:
        with capsys.disabled():  # a forked process prints to its own files
            return commands.forked_commands.python(arguments, cwd, kill_after)

    return run


@pytest.mark.parametrize("name", ["full_disks", "fuzz", "kills", "mutants", "places", "processes", "scale"])
def test_help(name: str, tmp_path: Path) -> None:
    """Started as the page says, where nothing else has put the tests' helpers on the path."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {name}.py ")


def test_a_command_ends_as_a_user_sees_it(run: Any, tmp_path: Path) -> None:
    done = run(["-m", "eureka_nlg.cli.main", "--version"], tmp_path)
    assert (done.status, done.output[:10], done.errors) == (0, "eureka-nlg", "")
    failed = run(["-m", "eureka_nlg.cli.main", "configs", "--copy", "/dev/null"], tmp_path)
    assert failed.status == 2
    assert failed.errors.startswith("eureka configs: error: ")


def test_the_end_of_a_command_leaves_the_workers_of_its_parent_alone(run: Any, tmp_path: Path) -> None:
    """As a loader of batches of an earlier test in this process has them."""
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    worker.start()
    try:
        assert run(["-c", "pass"], tmp_path).status == 0
        worker.join(0.5)
        assert worker.is_alive()
    finally:
        worker.kill()
        worker.join()


def test_a_kill_and_what_it_leaves(commands: ModuleType, run: Any, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert run(["-c", WRITES, "0"], whole).status == 0
    done = run(["-c", WRITES, "600"], killed, kill_after=2)
    assert done.status == -9
    assert done.seconds < 300
    (said,) = commands.halves(killed, whole)
    assert said.startswith("half.json: JSONDecodeError")
    wrong = [line.partition(":")[0] for line in commands.differences(killed, whole)]
    assert wrong == ["half.json", "started"]
    assert commands.differences(whole, whole) == []


@pytest.fixture
def mutants(load_script: Callable[[Path], ModuleType]) -> ModuleType:
    return load_script(SCRIPTS / "mutants.py")


def test_every_mutant_has_a_name_of_its_own(mutants: ModuleType) -> None:
    names = [(path, one.name) for path in mutants.FILES for one in mutants.mutants_of(path)]
    assert len(names) == len(set(names)) > 3000
    listed = [(path, name) for path, of_file in mutants.read_equivalent().items() for name in of_file]
    assert set(listed) <= set(names)
    assert {path.partition("/")[0] for path in mutants.FILES} == {"frequency", "losses", "metrics"}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the script needs qualified names of code")
def test_a_mutant_changes_the_functions_that_are_there(mutants: ModuleType) -> None:
    change = "log_prior: counts.clamp(min=1.0) / counts.sum() -> counts.clamp(min=1.0) * counts.sum()"
    (mutant,) = (one for one in mutants.mutants_of("frequency/margins.py") if one.name == change)

    def work() -> int:
        mutants._change_in_place(mutant, mutants._living("frequency"))
        assert log_prior([3, 1]).exp().tolist() == pytest.approx([12, 4])  # of 3 * 4 and 1 * 4
        return 7

    assert mutants._forked(work) == 7
    assert log_prior([3, 1]).exp().tolist() == pytest.approx([3 / 4, 1 / 4])
    assert mutants._forked(lambda: time.sleep(600) or 0, seconds=0.1) is None
