"""What is missing for the install is said in one line, before anything is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = Path(__file__).resolve().parents[2] / "scripts" / "install.sh"


def fake_python(folder: Path, version: str) -> Path:
    """A Python that says it is of another version."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def install(python: object, venv: Path, **environment: str) -> str:
    """Run the script; it must fail with one line and leave no environment behind."""
    done = subprocess.run(
        ["sh", INSTALL, str(python), str(venv)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert not venv.exists()
    return done.stderr


def test_no_python(tmp_path: Path) -> None:
    assert "no nowhere/python3 here: install Python 3.10 to 3.13" in install(
        "nowhere/python3", tmp_path / "venv"
    )


def test_something_else_than_python(tmp_path: Path) -> None:
    assert "false does not run" in install("false", tmp_path / "venv")


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.14"])
def test_other_versions(tmp_path: Path, version: str) -> None:
    assert f"is Python {version}; needed is 3.10 to 3.13" in install(
        fake_python(tmp_path, version), tmp_path / "venv"
    )


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="fairseq is not compiled on Python 3.12")
def test_no_compiler(tmp_path: Path) -> None:
    message = install(sys.executable, tmp_path / "venv", CXX="no-such-compiler")
    assert "no C++ compiler" in message
