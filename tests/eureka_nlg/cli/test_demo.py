"""The demo trains as a user would, says how far it is, and does nothing twice. CI runs it as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eureka_nlg.cli import demo as command
from eureka_nlg.cli.main import main
from eureka_nlg.dialogue.demo import SYSTEMS, Demo
from eureka_nlg.errors import UserError
from eureka_nlg.files import exclusive

PYTHON = sys.executable
STAND_IN = """#!/bin/sh
for word; do case $word in save_dir=*) folder=${word#save_dir=} ;; esac; done
echo "12:00:00 | INFO | train_inner | {\\"epoch\\": 2, \\"update\\": 1.75}" >"$folder/fairseq.log"
echo "$@"
sleep 0.7
[ "${folder##*/}" != "$FAILS" ] || { echo "out of memory"; exit 3; }
"""


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """A demo whose data are there and whose trainings are a script."""
    made = Demo(tmp_path / "demo")
    made.data.mkdir(parents=True)
    (made.data / "manifest.json").write_text("{}")
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    monkeypatch.setenv("FAILS", "")
    return made


def test_nothing_but_a_demo_is_thrown_away(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    """`--out runs/sample`, where the quick start has trained a `ce`; `--out .`, where `data` is another."""
    trained = demo.run_folder("CE") / "checkpoint_best.pt"
    trained.parent.mkdir()
    trained.touch()
    with pytest.raises(UserError, match=r"ce: exists and was not made by this command \(it has no demo.json"):
        demo.train(["CE"], lambda *_: None)
    assert trained.exists()
    (demo.data / "manifest.json").rename(demo.data / "mine.txt")
    assert main(["demo", "--fresh", "--out", str(demo.folder)]) == 2
    assert (
        "data: exists and was not made by this command (it has no manifest.json)" in capsys.readouterr().err
    )
    assert (demo.data / "mine.txt").exists()
    assert trained.exists()


def test_trainings_are_commands_that_a_user_can_type(demo: Demo) -> None:
    seen: list[dict[str, float]] = []
    demo.train(list(SYSTEMS), lambda done, total: seen.append({**done, "total": total}))
    for name, config in SYSTEMS.items():
        log = (demo.run_folder(name) / "train.log").read_text()
        assert f"eureka_nlg.cli.main train configs/dialogue/sample/{config}.yaml data={demo.data}" in log
    assert seen[-1] == {"CE": 1.75, "Eureka": 1.75, "total": 7}


def test_a_second_demo_in_the_folder_is_refused(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    with exclusive(demo.folder):
        assert main(["demo", "--out", str(demo.folder), "--fresh"]) == 2
    assert "demo: another process is writing it" in capsys.readouterr().err
    assert demo.data.is_dir()  # though --fresh would remove it


def test_a_training_that_fails_says_why(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "el")
    with pytest.raises(
        UserError, match=r"training of Eureka ended with status 3; .*train.log ends with: .*out of memory"
    ):
        demo.train(list(SYSTEMS), lambda done, total: None)


def test_what_was_interrupted_goes_on(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the same options and data is kept, for `eureka train` to go on in; another is not."""
    monkeypatch.setenv("FAILS", "el")
    with pytest.raises(UserError):
        demo.train(list(SYSTEMS), lambda done, total: None)
    monkeypatch.setenv("FAILS", "")
    checkpoint = demo.run_folder("CE") / "checkpoint_last.pt"
    checkpoint.touch()
    assert demo.unfinished() == list(SYSTEMS)
    demo.train(list(SYSTEMS), lambda done, total: None)
    assert checkpoint.exists()
    Demo(demo.folder, seed=2).train(list(SYSTEMS), lambda done, total: None)
    assert not checkpoint.exists()


def test_what_is_finished_is_not_done_again(demo: Demo) -> None:
    assert demo.unfinished() == list(SYSTEMS)
    demo.run_folder("CE").mkdir()
    note = {"fingerprint": demo._fingerprint("CE"), "ppl": 8.5}
    (demo.run_folder("CE") / "demo.json").write_text(json.dumps(note))
    assert demo.unfinished() == list(SYSTEMS)  # of a version that kept no likelihoods
    note["likelihoods"] = {"head": 50.0, "tail": 10.0}
    (demo.run_folder("CE") / "demo.json").write_text(json.dumps(note))
    assert demo.unfinished() == ["Eureka"]
    assert demo.perplexity("CE") == 8.5
    assert demo.likelihoods("CE") == note["likelihoods"]
    assert Demo(demo.folder, epochs=2).unfinished() == list(SYSTEMS)
    (demo.data / "manifest.json").write_text('{"other": 1}')
    assert demo.unfinished() == list(SYSTEMS)


@pytest.mark.parametrize(("epochs", "start"), [(1, 1), (2, 2), (7, 5), (14, 10)])
def test_the_bonus_begins_at_the_same_share(epochs: int, start: int, tmp_path: Path) -> None:
    demo = Demo(tmp_path, epochs)
    assert f"encouragement_start_epoch={start}" in demo.overrides("Eureka")
    assert not any("encouragement" in override for override in demo.overrides("CE"))


def test_the_seed_is_that_of_both_trainings(tmp_path: Path) -> None:
    demo = Demo(tmp_path, seed=3)
    assert all("seed=3" in demo.overrides(name) for name in SYSTEMS)
    assert not any(override.startswith("seed=") for override in Demo(tmp_path).overrides("CE"))
    assert main(["demo", "--seed", "-1"]) == 2


def test_what_is_finished_is_shown_at_once(demo: Demo) -> None:
    """Without torch, whose import takes seconds; it has taken minutes on a busy machine, without a word."""
    references = ["i like tea .", "so do i .", "hello !", "well , well ."]
    for side in ("references", "contexts"):
        (demo.data / side).mkdir()
        (demo.data / side / "test.txt").write_text("".join(f"{line}\n" for line in references))
    for name in SYSTEMS:
        demo.run_folder(name).mkdir()
        demo.replies(name).write_text("".join(f"{line}\n" for line in references))
        note = {
            "fingerprint": demo._fingerprint(name),
            "ppl": 8.5,
            "likelihoods": {"head": 50.0, "tail": 9.0},
        }
        (demo.run_folder(name) / "demo.json").write_text(json.dumps(note))
    program = (
        "import sys; from eureka_nlg.cli.main import main; "
        f"assert main(['demo', '--out', {str(demo.folder)!r}]) == 0; "
        "assert 'torch' not in sys.modules and 'fairseq' not in sys.modules"
    )
    shown = subprocess.run([PYTHON, "-c", program], check=True, capture_output=True, text=True).stdout
    first, *_, last = shown.splitlines()
    assert first == f"The trainings in {demo.folder} are finished already; --fresh trains again."
    assert last.startswith(f"next: eureka report {demo.run_folder('CE')} {demo.run_folder('Eureka')} --out ")
    assert json.loads((demo.folder / "scores.json").read_text())["CE"]["macro_f"] == 100


def test_without_a_terminal_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 5.0, 25.0, 30.0, 50.0])
    monkeypatch.setattr(command.time, "monotonic", lambda: next(clock))
    line = command._ProgressLine()
    for epoch in (0.1, 1.0, 1.2, 2.0):
        line.update({"CE": epoch, "Eureka": epoch + 0.5}, 7)
    line.end()
    assert capsys.readouterr().err.splitlines() == [
        "  CE epoch 1.0, Eureka epoch 1.5 of 7, 25 s, about 150 s left",
        "  CE epoch 2.0, Eureka epoch 2.5 of 7, 50 s, about 125 s left",
    ]


def test_more_options_are_those_of_both_trainings(demo: Demo) -> None:
    """They come last, so that they win, and another demo with other options is another training."""
    other = Demo(demo.folder, options=("max_update=3", "dropout=0"))
    for name in SYSTEMS:
        assert other.overrides(name) == [*demo.overrides(name), "max_update=3", "dropout=0"]
        assert other._fingerprint(name) != demo._fingerprint(name)


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("data=x", "the demo's own data"),
        ("save-dir=x", "--out DIR"),
        ("max_epoch=2", "--epochs N"),
        ("seed=2", "--seed N"),
    ],
)
def test_an_option_with_an_argument_of_its_own_is_refused(
    option: str, instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", option]) == 2
    assert f"{option}: expected {instead}" in capsys.readouterr().err


def test_what_is_no_option_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "out"), "out.json"]) == 2
    assert "out.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bad_epochs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--epochs", "0"]) == 2
    assert "--epochs 0: expected 1 or more" in capsys.readouterr().err
