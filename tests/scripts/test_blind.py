"""Replies that are judged without knowing whose they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CONTEXTS = [f"question {n} ?" for n in range(6)]
REPLIES = {
    "ce": ["i do not know ."] * 6,
    "el": [f"answer {n} ." for n in range(6)],
    "same": ["i do not know ."] * 6,
}


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import blind

    return blind


def test_equal_replies_are_one_and_letters_tell_nothing(blind: ModuleType) -> None:
    lines, key = blind.draw(CONTEXTS, REPLIES, 6, seed=1)
    assert [line for line in lines if line[0] != " "] == [f"{n + 1}. question {n} ?" for n in range(6)]
    assert len(lines) == 6 * 3
    for place, letters in enumerate(key):
        shown = dict(line.strip().split(": ") for line in lines[3 * place + 1 : 3 * place + 3])
        assert {name: shown[letter] for name, letter in letters.items()} == {
            name: found[place] for name, found in REPLIES.items()
        }
    assert {letters["ce"] for letters in key} == {"A", "B"}


def test_counts_by_hand(blind: ModuleType) -> None:
    """Of four contexts `el` is preferred in three and `ce` in none: p of the sign test is 2 / 2 ** 3."""
    key = [{"ce": "A", "el": "B"}] * 2 + [{"ce": "B", "el": "A"}] + [{"ce": "A", "el": "A"}]
    marks = blind.read_marks("1 do - B\n2 d c B\n3 - u A\n4 d =\n", key)
    head, _, ce, el = blind.counts(key, marks).splitlines()
    assert head.split(" | ")[1:6] == ["dull", "off topic", "ungrammatical", "contradicts", "without fault"]
    assert ce == "| ce | 3 | 1 | 1 | 0 | 0 |  |  |  |"
    assert el == "| el | 1 | 0 | 0 | 1 | 2 | 3 | 0 | 0.250 |"
    head, _, ce, el = blind.counts(key, marks, "el").splitlines()
    assert "| preferred to el |" in head
    assert ce == "| ce | 3 | 1 | 1 | 0 | 0 | 0 | 3 | 0.250 |"
    assert el == "| el | 1 | 0 | 0 | 1 | 2 |  |  |  |"
    with pytest.raises(UserError, match="--baseline fl: expected one of ce, el"):
        blind.counts(key, marks, "fl")


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        ("1 d - A", "marks: 1 lines, expected one for each of 2 contexts"),
        ("1 d - A\n2 d A", "marks, line 2: '2 d A': expected 2, the faults of 2 replies (douc, or -), and"),
        ("1 d - A\n3 d - A", "marks, line 2: '3 d - A': expected 2"),
        ("1 d - C\n2 d - A", "marks, line 1: '1 d - C'"),
        ("1 d x A\n2 d - A", "marks, line 1: '1 d x A'"),
        ("1\n2 d - A", "marks, line 1: '1'"),
        ("\n2 d - A", "marks, line 1: ''"),
    ],
)
def test_marks_that_cannot_be_meant(blind: ModuleType, marks: str, found: str) -> None:
    with pytest.raises(UserError) as caught:
        blind.read_marks(marks, [{"ce": "A", "el": "B"}] * 2)
    assert str(caught.value).startswith(found)


def test_from_files_to_a_table(tmp_path: Path) -> None:
    (tmp_path / "contexts").write_text("\n".join(CONTEXTS) + "\n")
    for name, found in REPLIES.items():
        (tmp_path / name).write_text("\n".join(found) + "\n")
    command = [sys.executable, str(SCRIPTS / "blind.py")]
    pairs = [f"{name}={tmp_path / name}" for name in REPLIES]
    sheet = [
        *command,
        "sheet",
        tmp_path / "out",
        *pairs,
        "--contexts",
        tmp_path / "contexts",
        "--number",
        "3",
    ]
    subprocess.run(list(map(str, sheet)), check=True)
    assert len((tmp_path / "out/sheet.txt").read_text().splitlines()) == 9
    best = [letters["el"] for letters in read_json(tmp_path / "out/key.json")]
    (tmp_path / "out/marks.txt").write_text("".join(f"{n} - - {x}\n" for n, x in enumerate(best, 1)))
    done = subprocess.run(
        [*command, "count", str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "| same | 0 | 0 | 0 | 0 | 3 | 0 | 0 |  |".replace(
        "|  |", "| 1.000 |"
    )


@pytest.mark.parametrize("sheet", ["first", "second"])
def test_the_results_page_has_the_counts(blind: ModuleType, sheet: str) -> None:
    results = SCRIPTS.parent / "docs" / "results"
    folder = results / "convai2" / "blind" / sheet
    key = read_json(folder / "key.json")
    table = blind.counts(key, blind.read_marks((folder / "marks.txt").read_text(), key)).splitlines()
    page = (results / "convai2.md").read_text(encoding="utf-8").replace("**", "").splitlines()
    labels = {
        "ce": "CE",
        "ce_adjusted": "CE, τ = 0.2",
        "el_scale16_capped": "EL x 16, cap 0.9",
        "el_scale16_adjusted": "EL x 16, cap 0.9, τ = 0.2",
        "fl2": "FL, gamma 2",
    }
    for line in table[2:]:
        name, _, cells = line.removeprefix("| ").partition(" | ")
        assert f"| {labels[name]} | {cells}" in page
