"""Run the tests of the losses and integrations with several versions of Python, torch and transformers.

    make matrix                                                 the rows below
    python scripts/matrix.py 3.12 2.13.0 5.0.0                  one row: Python, torch, transformers
    python scripts/matrix.py 3.13 2.15.0 5.24.0 trl lightning   with further packages

Each row gets an environment of its own under build/matrix, made by uv. The script prints the table of
docs/install.md, each row when it is done, and ends with status 1 if tests fail. A row takes some minutes and
up to 6 GB.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = (
    ("3.10", "2.6.0", "5.0.0"),
    ("3.11", "2.9.1", "5.12.1", "lightning"),
    ("3.11", "2.15.0", "5.0.0"),
    ("3.13", "2.15.0", "5.24.0", "trl", "lightning"),
)
TESTS = (
    *("losses/test_functional.py", "losses/test_modules.py", "losses/test_projection.py"),
    *("losses/test_all_losses.py", "losses/test_sigmoid.py", "test_frequency.py"),
    *("integrations", "finetune", "runs/test_transformers_run.py"),
)
TOOLS = ("pytest", "hypothesis", "pyyaml", "setuptools", "nltk", "tabulate", "sacrebleu", "scipy")


def interpreter(version: str) -> str:
    """A Python of pyenv, or else the version, which uv may find or download."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    of_pyenv = sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
    return str(of_pyenv[-1]) if of_pyenv else version


def run_row(python: str, torch: str, transformers: str, *others: str) -> tuple[bool, str]:
    """Make the environment of a row, if it is not there, and run the tests in it.

    Returns:
        Whether all passed, and what pytest said in its last line, or that nothing could be installed.
    """
    folder = ROOT / "build" / "matrix" / "-".join((python, torch, transformers, *others))
    uv = str(Path(sys.executable).with_name("uv"))
    installed = folder / ".installed"
    if not installed.exists():
        packages = [f"torch=={torch}", f"transformers=={transformers}", *others, *TOOLS]
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", interpreter(python), str(folder)],
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                str(folder),
                *packages,
                "-e",
                f"{ROOT}[transformers]",
            ],
        ):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                reason = [line.strip() for line in done.stderr.splitlines() if line.strip()]
                return False, f"not installed: {reason[-1] if reason else 'no reason given'}"
        installed.touch()
    tests = [f"tests/eureka_nlg/{name}" for name in TESTS]
    command = [str(folder / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    (folder / "log").write_text(done.stdout + done.stderr)
    last = (done.stdout.splitlines() or [done.stderr.strip()[-200:]])[-1]
    return done.returncode == 0, re.sub(r",? \d+ warnings?| in [\d.]+s.*", "", last)


def main(arguments: list[str]) -> int:
    """Run the rows that are asked for, or all."""
    rows = [tuple(arguments)] if arguments else list(ROWS)
    if any(len(row) < 3 for row in rows):
        print("expected PYTHON TORCH TRANSFORMERS [PACKAGE...]", file=sys.stderr)
        return 2
    print("| Python | torch | transformers | also | tests |\n|---|---|---|---|---|", flush=True)
    all_passed = True
    for row in rows:
        passed, said = run_row(*row)
        all_passed &= passed
        python, torch, transformers, *others = row
        print(f"| {python} | {torch} | {transformers} | {', '.join(others)} | {said} |", flush=True)
    return 0 if all_passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
