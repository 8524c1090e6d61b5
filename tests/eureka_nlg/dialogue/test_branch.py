"""What counts as plain cross-entropy, what is no checkpoint. Real branches are in test_fairseq_runs.py."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("fairseq")

from eureka_nlg.dialogue.branch import branch_off, plain_epochs
from eureka_nlg.errors import UserError


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ({"_name": "cross_entropy"}, float("inf")),
        ({"_name": "label_smoothed_cross_entropy"}, float("inf")),
        ({"_name": "focal", "focal_gamma": 0.0, "loss_start_epoch": 1}, float("inf")),
        ({"_name": "focal", "focal_gamma": 1.0, "loss_start_epoch": 1}, 0),
        ({"_name": "focal", "focal_gamma": 1.0, "loss_start_epoch": 6}, 5),
        ({"_name": "eureka", "encouragement_start_epoch": 6}, 5),
        ({"_name": "class_balanced", "loss_start_epoch": 3}, 2),
        ({"_name": "somebody_elses"}, 0),
    ],
)
def test_plain_epochs(criterion: dict[str, Any], expected: float) -> None:
    assert plain_epochs(criterion) == expected


def test_a_run_that_has_begun_goes_on(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_last.pt").write_bytes(b"its own")
    assert not branch_off(tmp_path / "not there", Namespace(save_dir=str(tmp_path)))
    assert (tmp_path / "checkpoint_last.pt").read_bytes() == b"its own"


@pytest.mark.parametrize("content", ["text", "tensors"])
def test_no_checkpoint(tmp_path: Path, content: str) -> None:
    source = tmp_path / "source.pt"
    if content == "text":
        source.write_text("no checkpoint")
    else:
        torch.save({"model": {}}, source)
    from eureka_nlg.dialogue.training import check_arguments, fairseq_arguments

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dict.reply.txt").write_text("word 1\n")
    config = {
        "data": str(tmp_path / "data"),
        "arch": "lstm_convai2",
        "criterion": "eureka",
        "optimizer": "adam",
        "save_dir": str(tmp_path / "run"),
    }
    args = check_arguments(fairseq_arguments(config))
    with pytest.raises(UserError, match=r"source\.pt: not a checkpoint of fairseq-train"):
        branch_off(source, args)
    assert not list((tmp_path / "run").iterdir())


def test_a_run_that_is_plain_for_ever_needs_a_checkpoint_and_no_folder(tmp_path: Path) -> None:
    from eureka_nlg.dialogue.training import check_arguments, fairseq_arguments

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dict.reply.txt").write_text("word 1\n")
    for criterion in (
        {"criterion": "label_smoothed_cross_entropy"},
        {"criterion": "focal", "focal_gamma": 0.0},
    ):
        config = {"data": str(tmp_path / "data"), "arch": "lstm_convai2", "optimizer": "adam", **criterion}
        args = check_arguments(fairseq_arguments({**config, "save_dir": str(tmp_path / "run")}))
        with pytest.raises(
            UserError, match=r"plain cross-entropy in all epochs.*: give a checkpoint, such as"
        ):
            branch_off(tmp_path, args)
