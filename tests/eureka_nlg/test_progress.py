"""Progress without a terminal, and how durations are told."""

from __future__ import annotations

import pytest

from eureka_nlg import progress
from eureka_nlg.durations import duration

pytest.importorskip("tqdm")


def test_without_a_terminal_a_line_tells_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    bar = progress.Progress(step=100, total=1000)
    for _ in range(30):  # one step in five seconds
        now += 5
        bar.step()
    bar.epoch(7, {"loss": "0.5"})
    bar.close()
    assert capsys.readouterr().out.splitlines() == [
        "step 112 of 1000, about 74 min left",
        "step 124 of 1000, about 73 min left",
        "epoch 7: loss 0.5",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"), [(-0.1, "0 s"), (4.4, "4 s"), (89, "89 s"), (95, "2 min"), (11_100, "3 h 05 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
