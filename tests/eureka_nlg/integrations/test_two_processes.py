"""The loss on more than one process, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")


@pytest.mark.slow
def test_two_halves_are_the_whole(python, tmp_path):
    script = Path(__file__).with_name("two_processes.py")
    out = tmp_path / "found.json"
    result = python(script, out, timeout=300)
    assert result.returncode == 0, result.stderr
    found = json.loads(out.read_text())
    # on the CPU, torch 2.6 has no FSDP2
    assert len(found["errors"]) == (6 if hasattr(torch.cpu.Stream, "record_event") else 2)
    for way, error in found["errors"].items():
        assert error < 1e-6, way
    for way, nll in found["logs"].items():  # of both processes' tokens
        assert nll == pytest.approx(found["nll"], rel=1e-5), way
