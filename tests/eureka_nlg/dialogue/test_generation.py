"""Finding a run's checkpoint, and what is known of its data (decoding: tests/fairseq_plugins)."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from eureka_nlg.dialogue.generation import Run, find_checkpoint
from eureka_nlg.errors import UserError


def save_checkpoint(path: Path, data: Path, **options: object) -> None:
    task = {"_name": "translation", "data": str(data), "source_lang": "context", "target_lang": "reply"}
    task |= options
    torch.save({"cfg": {"task": task, "model": argparse.Namespace(arch="lstm_convai2")}}, path)


def test_best_before_last_before_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint_best\.pt or checkpoint_last\.pt"):
        find_checkpoint(tmp_path)
    (tmp_path / "checkpoint_last.pt").touch()
    assert find_checkpoint(tmp_path).name == "checkpoint_last.pt"
    (tmp_path / "checkpoint_best.pt").touch()
    assert find_checkpoint(tmp_path).name == "checkpoint_best.pt"
    assert find_checkpoint(tmp_path / "checkpoint_last.pt").name == "checkpoint_last.pt"
    with pytest.raises(UserError, match="nowhere: does not exist"):
        find_checkpoint(tmp_path / "nowhere")


def test_a_run_knows_its_data_and_languages(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint_best.pt", data=tmp_path)
    run = Run.load(tmp_path)
    assert run.data == str(tmp_path)
    assert run.task == ("--task", "dialogue", "--source-lang", "context", "--target-lang", "reply")


def test_a_model_reads_what_it_read_in_training(tmp_path: Path) -> None:
    options = {"truncate_source": True, "max_source_positions": 6, "max_target_positions": 1024}
    save_checkpoint(tmp_path / "checkpoint_best.pt", tmp_path, **options)
    assert Run.load(tmp_path).task[6:] == ("--truncate-source", "--max-source-positions", "6")


def test_data_that_went_away_can_be_given(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint_best.pt", data=tmp_path / "gone")
    with pytest.raises(UserError, match=r"gone: does not exist; give --data DIR"):
        Run.load(tmp_path)
    assert Run.load(tmp_path, data=str(tmp_path)).data == str(tmp_path)


def test_what_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_best.pt"
    for content in (b"", b"no checkpoint", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"checkpoint_best\.pt: not a checkpoint of fairseq"):
            Run.load(tmp_path)
    torch.save({"weights": torch.ones(2)}, path)
    with pytest.raises(UserError, match="not a checkpoint of fairseq"):
        Run.load(tmp_path)


def test_code_in_a_checkpoint_is_refused_by_the_name_of_its_option(tmp_path: Path) -> None:
    model = argparse.Namespace(arch="lstm_convai2", encoder_residual="open('hacked', 'w')")
    task = {"_name": "translation", "data": str(tmp_path)}
    torch.save({"cfg": {"task": task, "model": model}}, tmp_path / "checkpoint_best.pt")
    with pytest.raises(UserError, match=r"checkpoint_best\.pt: option encoder_residual: option value .*open"):
        Run.load(tmp_path)


def test_a_run_of_images_is_told_from_one_that_was_interrupted(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").touch()
    with pytest.raises(UserError, match="is a run of `eureka vision`, expected one of fairseq-train"):
        find_checkpoint(tmp_path)
