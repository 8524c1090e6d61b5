"""Readers against dialogues written out by hand, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from eureka_nlg.dialogue.formats import FORMATS, detect_format
from eureka_nlg.dialogue.formats.rows import row_reader, utterances_dialogue
from eureka_nlg.errors import UserError


def read(name: str, path: Path, split: str = "train") -> list[dict]:
    return list(FORMATS[name].read(str(path), split))


def test_parlai_persona_silence_and_restart(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "1 your persona: i like tea.\n"
        "2 partner's persona: i have a dog.\n"
        "3 __SILENCE__\thello !\n"
        "4 hi  there\tfine\n"
        "\n"
        "1 Your persona: i run.\n"
        "2 one\ttwo\n"
        "1 three\tfour\n"
    )
    assert read("parlai", path) == [
        {
            "persona": ["i like tea."],
            "partner_persona": ["i have a dog."],
            "turns": ["", "hello !", "hi there", "fine"],
        },
        {"persona": ["i run."], "partner_persona": [], "turns": ["one", "two"]},
        {"persona": [], "partner_persona": [], "turns": ["three", "four"]},
    ]


def test_parlai_candidates_and_rewards_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1 hi\tyes\t\tno|yes|never\n2 so\tfirst|second\t1.0\n3 and\tlast\t\n")
    assert [d["turns"] for d in read("parlai", path)] == [["hi", "yes", "so", "first", "and", "last"]]


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff1 a\u2028b\x0bc\x85d\\ne\tyes\u00a0no\r\n2 f\tg".encode())
    assert [d["turns"] for d in read("parlai", path)] == [["a b c d e", "yes no", "f", "g"]]


def test_tsv_empty_context_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("how are you\tfine\n\thello\n\n")
    assert [d["turns"] for d in read("tsv", path)] == [["how are you", "fine"], ["", "hello"]]


@pytest.mark.parametrize("header", ["Persona,chat", ",Persona,chat", "chat,persona,other"])
def test_csv_columns_in_any_order(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    cells = {"persona": "i like tea.\ni run.", "chat": 'hi, "you"\n\nhello\nbye\n'}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerow([cells.get(name.lower(), "0") for name in names])
    path = tmp_path / "a.csv"
    path.write_text(text.getvalue(), newline="")
    assert read("csv", path) == [
        {"persona": ["i like tea.", "i run."], "partner_persona": [], "turns": ['hi, "you"', "hello", "bye"]}
    ]


def test_csv_errors_name_the_line_where_the_row_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('persona,chat\nx,"a\nb"\ny\n')
    with pytest.raises(UserError, match=r"a\.csv:4: 1 cells"):
        read("csv", path)


def personachat(*replies: str) -> list[dict]:
    turns: list[str] = ["__ SILENCE __"]
    utterances = []
    for reply in replies:
        utterances.append({"history": list(turns), "candidates": ["a distractor", reply]})
        turns += [reply, f"and {reply}"]
    return utterances


def test_personachat_json_splits(tmp_path: Path) -> None:
    rows = {
        "train": [{"personality": ["i run."], "utterances": personachat("a", "b")}],
        "valid": [{"personality": [], "utterances": personachat("c")}],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    assert FORMATS["personachat-json"].splits(str(path)) == ["train", "valid"]
    assert read("personachat-json", path, "train") == [
        {"persona": ["i run."], "partner_persona": [], "turns": ["", "a", "and a", "b"]}
    ]
    assert read("personachat-json", path, "valid")[0]["turns"] == ["", "c"]
    with pytest.raises(UserError, match=r"no split 'test'.*train, valid"):
        read("personachat-json", path, "test")


def test_history_that_does_not_continue() -> None:
    utterances = personachat("a", "b")
    utterances[1]["history"] = utterances[1]["history"][-1:]
    with pytest.raises(UserError, match=r"place, utterance 2: .*does not continue"):
        utterances_dialogue([], utterances, "place")


def test_struct_of_lists_is_a_list_of_structs() -> None:
    utterances = personachat("a", "b")
    columns = {key: [row[key] for row in utterances] for key in ("history", "candidates")}
    assert utterances_dialogue([], columns, "x") == utterances_dialogue([], utterances, "x")


def test_json_error_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"train": [\n{"personality": [], "utterances": []},\n{"personality" []}\n]}\n')
    with pytest.raises(UserError, match=r"a\.json:3: broken JSON"):
        read("personachat-json", path)


def test_half_a_surrogate_pair_is_an_error() -> None:
    with pytest.raises(UserError, match="surrogate"):
        utterances_dialogue(["\ud83d"], [], "x")


def test_unknown_columns() -> None:
    with pytest.raises(UserError, match="columns are question, answer; expected personality and utterances"):
        row_reader(["question", "answer"], "x")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "1 your persona: x.\n2 a\tb\n", "parlai"),
        ("a.txt", "1 a\tb\nbroken\n", "parlai"),
        ("a", "a\tb\nc\td\n", "tsv"),
        ("a.tsv", "a\tb\nbroken\n", "tsv"),
        ("a.csv", "whatever", "csv"),
        ("a.JSON", "whatever", "personachat-json"),
    ],
)
def test_detection(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert detect_format(path) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "a\tb\n2 c\td\n"),  # pairs, of which one looks numbered
        ("a.tsv", "1 a\tb\n"),  # named as pairs, numbered as ParlAI
        ("a.txt", "just text\n"),
        ("a.txt", "\n\n"),
    ],
)
def test_detection_that_is_unsure_names_the_choices(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError, match="--format, one of parlai, personachat-json, csv, tsv"):
        detect_format(path)
