"""The hook that tells a criterion the epoch."""

from __future__ import annotations

from typing import Any

import pytest
from fairseq.tasks import FairseqTask

from eureka_nlg.errors import UserError
from fairseq_plugins.criterions.epoch import on_begin_epoch
from fairseq_plugins.criterions.eureka import EurekaCriterion, EurekaCriterionConfig


class RecordingTask(FairseqTask):
    """A task with a ``begin_epoch`` of its own, which must still be called."""

    def __init__(self) -> None:
        super().__init__(cfg=None)
        self.calls: list[Any] = []

    def begin_epoch(self, epoch: int, model: Any) -> str:
        self.calls.append((epoch, model))
        return "its own result"


def test_the_task_still_gets_its_call() -> None:
    task, heard = RecordingTask(), []
    on_begin_epoch(task, lambda *announced: heard.append(announced))
    assert task.begin_epoch(3, "model") == "its own result"
    assert task.begin_epoch(epoch=4, model="model") == "its own result"  # by name, too
    assert heard == task.calls == [(3, "model"), (4, "model")]


def test_two_listeners_and_two_tasks() -> None:
    task, other, heard = RecordingTask(), RecordingTask(), []
    on_begin_epoch(task, lambda epoch, _: heard.append(("first", epoch)))
    on_begin_epoch(task, lambda epoch, _: heard.append(("second", epoch)))
    task.begin_epoch(1, None)
    other.begin_epoch(2, None)
    assert sorted(heard) == [("first", 1), ("second", 1)]
    assert task.calls == [(1, None)]


def criterion_of(task: Any, start_epoch: int) -> EurekaCriterion:
    config = EurekaCriterionConfig(
        encouragement_start_epoch=start_epoch, sentence_avg=False, train_subset="train"
    )
    return EurekaCriterion(config, task)


def test_the_bonus_begins_with_its_epoch(task: Any) -> None:
    criterion = criterion_of(task, 3)
    seen = []
    for epoch in (1, 2, 3, 4, 1, 5):  # also backwards, as after --reset-dataloader
        task.begin_epoch(epoch, None)
        seen.append(criterion.has_started)
    assert seen == [False, False, True, True, False, True]


def test_a_resumed_run_begins_where_it_was(task: Any) -> None:
    criterion = criterion_of(task, 3)
    task.begin_epoch(7, None)  # the first that a resumed trainer announces
    assert criterion.has_started


def test_the_default_is_five_plain_epochs() -> None:
    assert EurekaCriterionConfig().encouragement_start_epoch == 6


def test_without_a_trainer(task: Any) -> None:
    """fairseq-validate knows no epoch: the loss is the one trained for. Training must not guess."""
    criterion = criterion_of(task, 3)
    assert criterion.eval().has_started
    with pytest.raises(UserError, match="--encouragement-start-epoch"):
        _ = criterion.train().has_started
    assert criterion_of(task, 1).train().has_started


def test_bad_counts_show_before_the_first_epoch(task: Any) -> None:
    config = EurekaCriterionConfig(class_counts="no/such/file", sentence_avg=False, train_subset="train")
    EurekaCriterion(config, task)
    with pytest.raises(UserError, match="no/such/file"):
        task.begin_epoch(1, None)
