"""`eureka vision` as a user runs it: the way through, interruption from outside, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import Forked

from eureka_nlg.cli.main import main
from eureka_nlg.vision.predictions_file import read_predictions


@pytest.fixture
def config(overrides: list[str], tmp_path: Path) -> Path:
    """A file with everything in it."""
    yaml = pytest.importorskip("yaml")
    tree: dict[str, Any] = {}
    for item in overrides:
        key, _, value = item.partition("=")
        *sections, name = key.split(".")
        section = tree
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = yaml.safe_load(value)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def network(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "checkpoint.pt", weights_only=True)["network"])


@pytest.mark.slow
def test_killed_resumed_and_evaluated(
    config: Path, tmp_path: Path, python: Forked, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM at a random moment of a real process; the weights in the end are those of a run left alone."""
    options = ["training.epochs=16", "training.milestones=[12]"]
    torch.set_num_threads(1)
    assert main(["vision", "train", str(config), *options, f"save_dir={tmp_path / 'whole'}"]) == 0

    log = tmp_path / "run" / "log.jsonl"
    process = python.start("-m", "eureka_nlg.cli.main", "vision", "train", config, *options)
    deadline = time.monotonic() + 120
    while (not log.exists() or not log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill(signal.SIGTERM)
    done = process.wait(120)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "the same command goes on from there" in done.stdout
    assert not list((tmp_path / "run").glob(".*partial"))
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] < 64

    assert main(["vision", "train", str(config), *options]) == 0
    ours, whole = network(tmp_path / "run"), network(tmp_path / "whole")
    assert ours.keys() == whole.keys()
    assert all(torch.equal(ours[key], whole[key]) for key in ours)

    capsys.readouterr()
    assert main(["vision", "evaluate", str(tmp_path / "run"), "--json", str(tmp_path / "scores.json")]) == 0
    shown = capsys.readouterr().out
    scores = json.loads((tmp_path / "scores.json").read_text())["accuracy"]
    assert scores == json.loads((tmp_path / "run" / "evaluation.json").read_text())["accuracy"]
    assert f"{scores['natural']:.2f}" in shown
    wrote = f"wrote {tmp_path / 'scores.json'}\n"
    assert shown.endswith(f"{wrote}next: eureka report {tmp_path / 'run'} --out report.html\n")

    adjusted = tmp_path / "adjusted.npz"
    tau = ["--logit-adjustment", "1"]
    assert main(["vision", "evaluate", str(tmp_path / "run"), *tau, "--predictions", str(adjusted)]) == 0
    shown = capsys.readouterr().out
    assert f"wrote {adjusted}\n" in shown
    twice = ["--predictions", str(tmp_path / "new"), "--json", str(tmp_path / "new")]
    assert main(["vision", "evaluate", str(tmp_path / "run"), *twice]) == 2
    assert "expected two files" in capsys.readouterr().err
    assert main(["vision", "compare", str(tmp_path / "run"), f"adjusted={adjusted}"]) == 0
    compared = capsys.readouterr().out
    row = next(line for line in compared.splitlines() if line.startswith("accuracy (%)"))
    assert f"{scores['all']:.2f} [" in row


@pytest.mark.slow
def test_two_processes_learn_what_one_does(config: Path, tmp_path: Path) -> None:
    """torchrun on gloo. A second stage has frozen batch statistics, so the weights agree to rounding.

    Steps of three bundles of eight images are shared unevenly, and weighted by class.
    """
    first = tmp_path / "first"
    options = ["training.epochs=8", "training.learning_rate=0.02", f"save_dir={first}"]
    assert main(["vision", "train", str(config), *options]) == 0
    options = ["method=fsa", f"init_from={first / 'checkpoint.pt'}", "training.batch_size=24"]
    options += ["fsa.confusing_classes=2", "fsa.specific_threshold=0.5", "sampling=class_balanced"]
    options += ["loss.name=eureka", "loss.class_balanced=true", "loss.likelihood_cap=0.9"]
    assert main(["vision", "train", str(config), *options, f"save_dir={tmp_path / 'one'}"]) == 0

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [*torchrun, "eureka_nlg.cli.main", "vision", "train", str(config), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("calibration error") == 1  # one process speaks
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["processes"] == 2
    assert result["test_images"]["all"] == 40

    one, two, before = network(tmp_path / "one"), network(tmp_path / "run"), network(first)
    torch.testing.assert_close(two, one)
    assert not torch.equal(two["classifier.weight"], before["classifier.weight"])
    logs = [
        json.loads(line)["loss"]
        for folder in ("one", "run")
        for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()
    ]
    assert logs[:2] == pytest.approx(logs[2:])


@pytest.mark.slow
def test_the_scores_of_two_processes_are_those_of_their_checkpoint(config: Path, tmp_path: Path) -> None:
    """After the last step each process has batch statistics of its own."""
    options = ["training.epochs=3", "training.learning_rate=0.5", "training.warmup_epochs=0"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [*torchrun, "eureka_nlg.cli.main", "vision", "train", str(config), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    run, again = tmp_path / "run", tmp_path / "again.npz"
    assert main(["vision", "evaluate", str(run), "--predictions", str(again)]) == 0
    first, second = (read_predictions(path) for path in (run, again))
    np.testing.assert_allclose(first.likelihood, second.likelihood, atol=1e-5)
    np.testing.assert_array_equal(first.predicted, second.predicted)


def test_bad_config_is_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vision", "train", str(config), "training.epoch=3"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "did you mean training.epochs?" in err


def test_options_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vision", "options"]) == 0
    out = capsys.readouterr().out
    assert "loss.beta=0.9999\n" in out
    assert "training.milestones=[160, 180]\n" in out
