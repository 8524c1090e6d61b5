"""What a training shows, from what fairseq's progress bars are told."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest

from eureka_nlg.dialogue import training_display
from eureka_nlg.dialogue.training_display import Progress


class Bar:
    """What is used of fairseq's bar: batches, and the statistics that it is given at its end."""

    def __init__(self, size: int) -> None:
        self.size, self.printed = size, 0

    def __iter__(self) -> Any:
        return iter(range(self.size))

    def __len__(self) -> int:
        return self.size

    def print(self, stats: Mapping[str, Any], tag: str | None = None, step: int | None = None) -> None:
        self.printed += 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which every look at it moves on by thirty seconds."""
    now = [0.0]

    def look() -> float:
        now[0] += 30
        return now[0]

    monkeypatch.setattr(training_display.time, "monotonic", look)
    return now


def run(progress: Progress, perplexities: list[float]) -> list[Bar]:
    bars = []
    for epoch, perplexity in enumerate(perplexities, start=1):
        statistics = {"ppl": "50.123", "loss": 5.6, "num_updates": 4 * epoch}
        training, validation = Bar(4), Bar(2)
        assert list(progress.wrap(training, epoch, False, lambda found=statistics: found)) == [0, 1, 2, 3]
        bar = progress.wrap(validation, epoch, True, lambda found=statistics: found)
        assert len(list(bar)) == len(bar) == 2
        bar.print({"ppl": perplexity, "macro_f": 1.25, "nll_loss": 4}, tag="valid")
        bars += [training, validation]
    progress.end()
    return bars


def test_a_line_for_each_epoch_and_the_best(clock: list[float]) -> None:
    out = io.StringIO()
    bars = run(Progress(3, 0, "ppl", False, out), [40.0, 30.5, float("nan")])
    assert [bar.printed for bar in bars] == [0, 1] * 3
    lines = out.getvalue().splitlines()
    first, second, third = (line for line in lines if "train perplexity" in line)
    assert first.startswith(
        "epoch 1/3  train perplexity 50.12  perplexity 40.00  macro F 1.25  best so far  after"
    )
    assert "perplexity 30.50  macro F 1.25  best so far" in second
    assert third.startswith("epoch 3/3  train perplexity 50.12  macro F 1.25  after")
    assert lines[-1] == "best ppl 30.5, in epoch 2"


def test_a_line_a_minute_with_what_is_left(clock: list[float]) -> None:
    out = io.StringIO()
    progress = Progress(2, 0, "ppl", False, out)
    for part in (0.25, 0.5, 0.75, 1.0):  # half a minute each
        progress.step(1, part, lambda: {"loss": 5.6, "ppl": 50.0})
    (one,) = out.getvalue().splitlines()
    # a quarter of an epoch, an eighth of all, takes 30 seconds; after three quarters 5 eighths are left
    assert one == "epoch 1/2   75%  loss 5.600  perplexity 50.00  2 min left"


def test_the_limit_of_updates_counts_where_it_comes_first(clock: list[float]) -> None:
    out = io.StringIO()
    progress = Progress(0, 100, "ppl", False, out)
    for updates in (40, 50, 60):
        progress.step(9, 0.5, lambda found=updates: {"num_updates": found})
    assert out.getvalue() == "epoch 9   50%  2 min left\n"


def test_on_a_terminal_the_line_moves(clock: list[float]) -> None:
    out = Terminal()
    run(Progress(1, 0, "ppl", False, out), [40.0])
    assert "\r" in out.getvalue()
    lines = [line.rpartition("\r")[2].split("  ")[0] for line in out.getvalue().split("\n")]
    assert lines == ["epoch 1/1", "best ppl 40, in epoch 1", ""]


def test_more_can_be_better(clock: list[float]) -> None:
    progress = Progress(2, 0, "macro_f", True, io.StringIO())
    run(progress, [40.0, 30.0])
    assert progress.best == (1.25, 1)
