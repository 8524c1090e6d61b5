"""Reading the output of fairseq-generate."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import read_generated

RESULTS = """\
S-1\tyour persona: i run .
T-1\ti run a lot
H-1\t-0.5\ti r@@ un
D-1\t-0.5\ti run
P-1\t-0.4 -0.6
A-1\t0-0 1-1
H-1\t-0.9\ti wa@@ lk
D-1\t-0.9\ti walk
P-1\t-0.9 -0.9
S-0\thi
T-0\t
H-0\t-inf\t
D-0\t-inf\t
P-0\t-1.0
"""
LOG = (
    "2021-01-01 10:00:00 | INFO | fairseq_cli.generate | {'_name': None}\n"
    + RESULTS
    + "2021-01-01 10:00:05 | INFO | fairseq_cli.generate | NOTE: scores are in base 2\n"
    + "Generate test with beam=5: BLEU4 = 3.10, 21.4/4.9 (BP=1.000, ratio=1.1, syslen=5, reflen=4)\n"
)


def write(folder: Path, text: str) -> Path:
    path = folder / "generate-test.txt"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("text", [RESULTS, LOG, LOG.replace("\n", "\r\n")])
def test_first_detokenised_hypothesis_of_each_id_in_order(tmp_path: Path, text: str) -> None:
    generated = read_generated(write(tmp_path, text))
    assert generated.ids == [0, 1]
    assert generated.sources == ["hi", "your persona: i run ."]
    assert generated.hypotheses == ["", "i run"]
    assert generated.references == ["", "i run a lot"]


def test_model_tokens_where_nothing_is_detokenised(tmp_path: Path) -> None:
    text = "".join(line for line in RESULTS.splitlines(keepends=True) if line[0] in "HP")
    generated = read_generated(write(tmp_path, text))
    assert generated.hypotheses == ["", "i r@@ un"]
    assert generated.sources is None
    assert generated.references is None


def test_ids_are_ordered_as_numbers_and_text_may_hold_tabs_and_odd_line_breaks(tmp_path: Path) -> None:
    text = "H-10\t-1\tten\u2028\x0b10\tx\nH-9\t-1\tnine\nS-9\ta\tb\tc\nS-10\t\nT-9\t\td\nT-10\te\t\n"
    generated = read_generated(write(tmp_path, text))
    assert (generated.ids, generated.hypotheses) == ([9, 10], ["nine", "ten\u2028\x0b10\tx"])
    assert (generated.sources, generated.references) == (["a\tb\tc", ""], ["\td", "e\t"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "H-0\t-1\ta\nH-1 -1 b\n",
            r"generate-test.txt:2: malformed record 'H-1 -1 b', expected H-ID<TAB>SCORE",
        ),
        ("H-0\tgood\ta\n", ":1: malformed record"),
        ("H-0\t-1\n", ":1: malformed record"),
        ("H-\t-1\ta\n", ":1: malformed record"),
        ("D-1_0\t-1\ta\n", ":1: malformed record .* expected D-ID<TAB>SCORE<TAB>HYPOTHESIS"),
        ("T-0 a\n", ":1: malformed record 'T-0 a', expected T-ID<TAB>REFERENCE"),
        ("S--1\ta\n", ":1: malformed record .* expected S-ID<TAB>SOURCE"),
        ("T-0\ta\nT-0\ta\n", ":2: a second T-0, expected the output of one run"),
        (
            "S-0\ta\nT-0\tb\n",
            "no line starts with H- or D-, expected output of fairseq-generate without --quiet",
        ),
        ("nothing of this kind\n", "no line starts with H- or D-"),
        (
            "T-0\ta\nH-0\t-1\ta\nT-7\tb\n",
            "id 7 has no H- line, but other ids have one: the output was cut short",
        ),
        ("H-0\t-1\ta\nD-0\t-1\ta\nH-3\t-1\tb\n", "id 3 has no D- line"),
        ("T-0\ta\nH-0\t-1\ta\nH-1\t-1\tb\n", "id 1 has no T- line"),
        ("S-0\ta\nH-0\t-1\ta\nH-1\t-1\tb\n", "id 1 has no S- line"),
        ("", "the file is empty, expected one record of fairseq-generate per line"),
    ],
)
def test_bad_input(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_generated(write(tmp_path, text))
