"""A command that is killed leaves no training and no worker behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import left_behind
import pytest

from eureka_nlg import children
from eureka_nlg.children import child_environment, end_with_parent
from eureka_nlg.dialogue import training
from eureka_nlg.dialogue.demo import Demo

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux does it")

HELPERS = Path(left_behind.__file__).parent
# in the place of Python: what a child does first, and then something that goes on
STAND_IN = f"""#!{sys.executable}
import os, sys
sys.path.insert(0, {str(HELPERS)!r})
from eureka_nlg.children import end_with_parent
from left_behind import live
end_with_parent()
live(os.environ["ALIVE"])
"""


@pytest.fixture
def fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    monkeypatch.setenv("ALIVE", str(tmp_path / "alive"))
    return tmp_path / "alive"


signals = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])


@signals
def test_eureka_train(fifo: Path, number: signal.Signals) -> None:
    assert left_behind.ends_its_children(lambda: training.train(["data"]), fifo, number)


@signals
def test_eureka_demo(fifo: Path, tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo(tmp_path / "demo")
    demo.data.mkdir(parents=True)
    (demo.data / "manifest.json").write_text("{}")
    assert left_behind.ends_its_children(lambda: demo.train(["CE", "Eureka"], lambda *_: None), fifo, number)


def test_workers_of_eureka_prepare(fifo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fairseq")
    from eureka_nlg.dialogue import binarize

    monkeypatch.setattr(binarize, "_BLOCK", 100)
    monkeypatch.setattr(binarize._Encoder, "__call__", lambda *_: left_behind.live(fifo))
    (tmp_path / "text").write_text("a b\n" * 100)
    dictionary = binarize.build_dictionary({"a": 100, "b": 100}, tmp_path)
    work = partial(binarize.binarize, tmp_path / "text", dictionary, tmp_path / "out", workers=3)
    assert left_behind.ends_its_children(work, fifo, signal.SIGKILL)


def test_eureka_vision_sweep(fifo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM is passed on already, so that the trainings write their checkpoints."""
    from eureka_nlg.vision.classification import sweep

    monkeypatch.setattr(sweep, "train_run", lambda config: left_behind.live(fifo))
    monkeypatch.setattr(sweep, "check_run_folder", lambda config: None)
    monkeypatch.setattr(
        multiprocessing, "get_context", lambda _, get=multiprocessing.get_context: get("fork")
    )
    config = SimpleNamespace(save_dir=str(tmp_path / "run"), init_from=None)
    work = partial(
        sweep.run_all, [sweep.SweepRun("ce", config, []), sweep.SweepRun("el", config, [])], jobs=2
    )
    assert left_behind.ends_its_children(work, fifo, signal.SIGKILL)


@pytest.mark.parametrize(
    "arguments", [["-m", "eureka_nlg.cli.main", "--version"], ["-m", "eureka_nlg.dialogue.fairseq_train"]]
)
def test_a_child_that_comes_too_late(arguments: list[str]) -> None:
    """Its parent has ended before the kernel knew: both entry points look first."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    environment = {**os.environ, "EUREKA_NLG_PARENT": str(gone.pid)}
    assert subprocess.run([sys.executable, *arguments], env=environment).returncode == -signal.SIGTERM


def test_who_was_started_by_nobody_of_ours_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    end_with_parent()
    monkeypatch.setenv("EUREKA_NLG_PARENT", "not a number")
    end_with_parent()
    assert "EUREKA_NLG_PARENT" not in os.environ  # it is not for grandchildren
    assert child_environment({"A": "b"}) == {**os.environ, "A": "b", "EUREKA_NLG_PARENT": str(os.getpid())}


# writes something for longer than the quarter of a second that subprocess.call would give it
WRITER = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    pathlib.Path(sys.argv[1], "started").touch()
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(float(sys.argv[2]))
    pathlib.Path(sys.argv[1], "written").touch()
    sys.exit(int(sys.argv[3]))
"""


@pytest.mark.parametrize("reaches", ["both", "the command"])
def test_ctrl_c_lets_a_training_end_in_good_order(
    reaches: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_PATIENCE", 2.0 if reaches == "both" else 0.1)
    process = _called(tmp_path, 0.8, 130)
    (os.killpg if reaches == "both" else os.kill)(process, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert (tmp_path / "written").exists()


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    process = _called(tmp_path, 600, 0)
    os.killpg(process, signal.SIGINT)
    time.sleep(0.6)  # after the first one
    os.kill(process, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 77
    assert not (tmp_path / "written").exists()


def _called(folder: Path, seconds: float, status: int) -> int:
    """A process that calls the writer, which has begun; it ends with 77 at a KeyboardInterrupt."""
    process = os.fork()
    if process == 0:
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            command = [sys.executable, "-c", WRITER, str(folder), str(seconds), str(status)]
            ended = children.call(command, dict(os.environ))
        except KeyboardInterrupt:
            ended = 77
        finally:
            os._exit(ended)
    deadline = time.monotonic() + 60
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return process
