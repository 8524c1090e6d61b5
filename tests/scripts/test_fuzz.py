"""The targets of the fuzzing script read their valid seeds, and some mutated ones."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("fairseq")
pytest.importorskip("accelerate")

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "reliability"
# these start slowly, or watch the whole process
LEFT_OUT = {"command line", "config.yaml", "images", "server"}


def test_every_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from targets import TARGETS
    from targets.base import Refused

    read = {}
    for number, target in enumerate(TARGETS):
        if target.name in LEFT_OUT:
            continue
        one = target.prepare(tmp_path / f"seeds{number}")
        read[target.name] = 0
        for at in range(12):
            given = tmp_path / f"{number}-{at}"
            given.mkdir()
            monkeypatch.chdir(given)
            said = "read"
            try:
                one(random.Random(f"test {at}"))
                read[target.name] += 1
            except Refused as refused:
                said = str(refused)
            assert 0 < len(said) < 5000
            assert not (given / "hacked").exists()
    assert len(read) == len(TARGETS) - len(LEFT_OUT)
    assert sum(number > 0 for number in read.values()) > len(read) // 2
