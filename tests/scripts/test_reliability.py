"""The scripts of reliability run commands as a user would, kill them, and see what is left."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
    pytest.importorskip("fairseq")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import commands

    return commands


@pytest.fixture
def run(commands: ModuleType, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(arguments: list[str], cwd: Path, kill_after: float | None = None) -> Any:
        with capsys.disabled():  # a forked process prints to its own files
            return commands.forked_commands.python(arguments, cwd, kill_after)

    return run


def test_a_command_ends_as_a_user_sees_it(run: Any, tmp_path: Path) -> None:
    done = run(["-m", "eureka_nlg.cli.main", "--version"], tmp_path)
    assert (done.status, done.output[:10], done.errors) == (0, "eureka-nlg", "")
    failed = run(["-m", "eureka_nlg.cli.main", "prepare", "nowhere", "--out", "out"], tmp_path)
    assert failed.status == 2
    assert failed.errors.startswith("eureka prepare: error: ")


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
