"""fairseq's log formats give the same curves; a resumed training has one history."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.training_log import find_log, parse_log

STAMP = "2026-01-31 12:00:00 | INFO | "

# one epoch, by hand, in each format
SIMPLE = [
    STAMP + "train_inner | epoch 001:    100 / 271 loss=8.614, ppl=391.76, num_updates=100",
    STAMP + "valid | epoch 001 | valid on 'valid' subset | loss 7.145 | ppl 141.5 | wps 9 | best_ppl 141.5",
    STAMP + "train | epoch 001 | loss 8.144 | ppl 282.92 | wps 765.3 | num_updates 271 | lr 0.001",
]
JSON = [
    STAMP + 'train_inner | {"epoch": 1, "update": 0.369, "loss": "8.614", "ppl": "391.76"}',
    STAMP + 'valid | {"epoch": 1, "valid_loss": "7.145", "valid_ppl": "141.5", "valid_best_ppl": "141.5"}',
    STAMP + 'train | {"epoch": 1, "train_loss": "8.144", "train_ppl": "282.92", "train_num_updates": "271"}',
]
CURVES = {
    "loss": {"valid": {1: 7.145}, "train": {1: 8.144}},
    "ppl": {"valid": {1: 141.5}, "train": {1: 282.92}},
}


@pytest.mark.parametrize("lines", [SIMPLE, JSON], ids=["simple", "json"])
def test_formats_give_the_same_curves(lines: list[str]) -> None:
    assert parse_log(lines).curves == CURVES
    # fairseq's own --log-file leaves the time and the name of the logger out
    assert parse_log(line.rpartition(STAMP)[2].partition(" | ")[2] for line in lines).curves == CURVES


def test_a_subset_of_another_name() -> None:
    simple = [STAMP + "my_valid | epoch 002 | valid on 'my_valid' subset | loss 3.5"]
    as_json = [STAMP + 'my_valid | {"epoch": 2, "my_valid_loss": "3.5"}']
    assert parse_log(simple).curves == parse_log(as_json).curves == {"loss": {"my_valid": {2: 3.5}}}


def test_scores_of_the_replies_are_curves() -> None:
    line = (
        STAMP + 'valid | {"epoch": 3, "valid_loss": "4", "valid_macro_f": "1.17", "valid_diversity_4": "36"}'
    )
    assert parse_log([line]).curves["macro_f"] == {"valid": {3: 1.17}}
    assert parse_log([line]).num_epochs == 3


def epoch(number: int, loss: float, split: str = "train") -> str:
    subset = "valid on 'valid' subset | " if split == "valid" else ""
    return f"{STAMP}{split} | epoch {number:03d} | {subset}loss {loss}"


def test_a_resumed_epoch_counts_once_and_last() -> None:
    lines = [epoch(1, 5.0), epoch(2, 4.0), epoch(2, 3.9), epoch(3, 3.0)]
    assert parse_log(lines).curves["loss"]["train"] == {1: 5.0, 2: 3.9, 3: 3.0}


def test_a_new_training_in_the_same_file_takes_back_the_old_one() -> None:
    lines = [epoch(number, 5.0 - number) for number in (1, 2, 3)] + [epoch(1, 9.0), epoch(2, 8.0)]
    lines += [epoch(1, 7.0, "valid")]
    assert parse_log(lines).curves["loss"] == {"train": {1: 9.0, 2: 8.0}, "valid": {1: 7.0}}


def test_what_is_no_number_is_no_point() -> None:
    log = parse_log([STAMP + "train | epoch 001 | loss nan | ppl inf | accuracy 12.5", "{broken", "| INFO |"])
    assert log.curves == {"accuracy": {"train": {1: 12.5}}}


def test_command_and_versions() -> None:
    log = parse_log(
        [
            STAMP + "eureka_nlg.dialogue.fairseq_train | fairseq-train data --lr 0.1",
            STAMP + 'eureka_nlg.dialogue.fairseq_train | versions {"torch": "2.9.0"}',
        ]
    )
    assert (log.command, log.versions) == ("fairseq-train data --lr 0.1", {"torch": "2.9.0"})
    assert parse_log(["fairseq-train data", *SIMPLE]).command == "fairseq-train data"


def test_the_log_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "ce"
    run.mkdir()
    (run / "checkpoint_best.pt").touch()
    assert find_log(run) is None
    (tmp_path / "ce.log").write_text("\n".join(SIMPLE))
    assert find_log(run) == tmp_path / "ce.log"
    (run / "train.log").write_text("nothing was trained\n")
    assert find_log(run) == tmp_path / "ce.log"  # a log without an epoch tells nothing
    (run / "fairseq.log").write_text("\n".join(JSON))
    assert find_log(run) == find_log(run / "checkpoint_best.pt") == run / "fairseq.log"
    assert find_log(tmp_path / "no" / "run") is None
