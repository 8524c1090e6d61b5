"""Readers against dialogues written out by hand, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.dialogue.corpus import Dialogues
from eureka_nlg.dialogue.formats import FORMATS, BadEntry, Findings, Source, detect_format
from eureka_nlg.dialogue.formats.rows import dialogues_of_rows, utterances_dialogue
from eureka_nlg.errors import UserError


def read(name: str, path: Path, split: str = "train", findings: Findings | None = None) -> list[dict]:
    source = Source(str(path), name, split)
    return [dict(dialogue) for dialogue in FORMATS[name].read(source, findings or Findings())]


def turns(name: str, path: Path) -> list[list[str]]:
    return [dialogue["turns"] for dialogue in read(name, path)]


def of_rows(*rows: dict[str, Any]) -> list[dict]:
    return [dict(d) for d in dialogues_of_rows([(f"row {n}", row) for n, row in enumerate(rows)], Findings())]


def dialogue(*turns: str, **more: Any) -> dict:
    return {"persona": [], "partner_persona": [], "turns": list(turns), **more}


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
    assert turns("parlai", path) == [["hi", "yes", "so", "first", "and", "last"]]


def test_parlai_persona_and_first_turn_in_one_field(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1 your persona: i row .\\nyour persona: i cook .\\nhi\tyo .\n")
    assert read("parlai", path) == [dialogue("hi", "yo .", persona=["i row .", "i cook ."])]


def test_parlai_context_without_a_reply_is_joined_to_the_next(tmp_path: Path) -> None:
    """As ParlAI's FbDialogTeacher does; bAbI's stories are written so."""
    path = tmp_path / "a.txt"
    path.write_text("1 mary is here .\n2 often ?\t\n3 hello ?\tsorry .\n4 bye\n1 so\tyes\n")
    findings = Findings()
    assert read("parlai", path, findings=findings) == [
        dialogue("mary is here . often ? hello ?", "sorry .", "bye"),
        dialogue("so", "yes"),
    ]
    assert list(findings.notes.values()) == [(3, f"{path}:1")]


def test_parlai_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "text:your persona: i row .\\nhi\\tyou\tlabels:yo .\treward:1\n"
        "text:what \\n else\teval_labels:bees|wasps\tlabel_candidates:x|y\tepisode_done:True\n\n"
        "id:x\tlabels:d\ttext:c\n"
    )
    assert read("parlai-fields", path) == [
        dialogue("hi you", "yo .", "what else", "bees", persona=["i row ."]),
        dialogue("c", "d"),
    ]


def test_dialogpt_turns_and_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("1.0 hi EOS 0.0 no , really EOS 1.0 so\t1.0 yes\n0.0 morning\t0.0 good morning\n")
    assert read("dialogpt", path) == [
        dialogue("hi", "no , really", "so", "yes", replies=[2, 3]),
        dialogue("morning", "good morning", replies=[]),
    ]


def test_eou_is_a_dialogue_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a , b __eou__ c __eou__ d __eou__\ne __eou__ f\n")
    assert turns("dailydialog", path) == [["a , b", "c", "d"], ["e", "f"]]
    path.write_text("a __eou__ b __eou__ __eot__ c __eou__ __eot__\n")
    assert turns("dailydialog", path) == [["a b", "c"]]


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff1 a\u2028b\x0bc\x85d\\ne\tyes\u00a0no\r\n2 f\tg".encode())
    assert turns("parlai", path) == [["a b c d e", "yes no", "f", "g"]]


def test_tsv_empty_context_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("how are you\tfine\n\thello\n\n")
    assert turns("tsv", path) == [["how are you", "fine"], ["", "hello"]]


def test_marks_in_a_context_part_its_turns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("a __eou__ b __eou__ c\td\ne __eou__ f __eou__\tg __eou__\nh\ti\n")
    assert read("tsv", path) == [
        dialogue("a", "b", "c", "d", replies=[3]),
        dialogue("", "e", "f", "g", replies=[3]),  # who replies spoke first
        dialogue("h", "i"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("context\treply\nhi\tyo\n", [["hi", "yo"]]),
        ("id\treply\tcontext\n7\tyo\thi\n", [["hi", "yo"]]),
        ('context\treply\n"she said ""hi"""\tyo\n', [['she said "hi"', "yo"]]),
        ('context\treply\n"a\tb"\tyo\n', [["a b", "yo"]]),
        ('hi\tyo\n"she said ""hi"""\tso\n', [["hi", "yo"], ['she said "hi"', "so"]]),
        ('"hi"\t"yo"\n"a"\t"b"\n', [["hi", "yo"], ["a", "b"]]),
        # marks that are of the text
        ('"hi" he said\tyo\n"so"\tyes\n', [['"hi" he said', "yo"], ['"so"', "yes"]]),
        ('he said "hi"\tyo\n"so"\tyes\n', [['he said "hi"', "yo"], ['"so"', "yes"]]),
        ('"hi\tyo\na\tb"\n', [['"hi', "yo"], ["a", 'b"']]),
        ('"hi\tyo\na\tb\n"c\td\n', [['"hi', "yo"], ["a", "b"], ['"c', "d"]]),
    ],
)
def test_tables_with_tabs(tmp_path: Path, text: str, expected: list[list[str]]) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(text)
    assert detect_format(path) == "tsv"
    assert turns("tsv", path) == expected


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
        dialogue('hi, "you"', "hello", "bye", persona=["i like tea.", "i run."]),
    ]


def test_csv_with_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('context;reply\nhi, you;"yo; so"\n')
    assert turns("csv", path) == [["hi, you", "yo; so"]]


def test_csv_lines_of_a_context_are_turns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('context,reply\n"a\nb\n\nc",d\n')
    assert read("csv", path) == [dialogue("a", "b", "c", "d", replies=[3])]


def test_empathetic_dialogues_has_commas_and_open_quotation_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags\n"
        'hit:0_conv:1,1,sad,I lost,1,I lost_comma_ "it,5|5,\n'
        'hit:0_conv:1,2,sad,I lost,0,"oh no,5,\n'
        "hit:0_conv:1,3,sad,I lost,1,yes,5,\n"
        "hit:1_conv:2,1,sad,I,7,one,5,\n"
        "hit:1_conv:2,2,sad,I,7,more,5,\n"
        "hit:1_conv:2,3,sad,I,8,two,5,\n"
    )
    assert detect_format(path) == "csv"
    assert read("csv", path) == [
        dialogue('I lost, "it', '"oh no', "yes"),
        dialogue("one\nmore", "two"),
    ]


def test_synthetic_persona_chat(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "user 1 personas,user 2 personas,Best Generated Conversation\n"
        '"I bake.\nI row.","I cook.","User 1: Hi!\nUser 2: Hello!\nand more\n\nUser 1: So?"\n'
        '"I run.",,"* * *\n*User 2:* Hey!\n[They wave.]\n* * User 1: * * You?"\n'
    )
    assert read("csv", path) == [
        dialogue("Hi!", "Hello! and more", "So?", persona=["I cook."], partner_persona=["I bake.", "I row."]),
        dialogue("", "Hey!", "You?", partner_persona=["I run."]),
    ]


def test_csv_errors_name_the_line_where_the_row_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('persona,chat\nx,"a\nb"\ny\n')
    with pytest.raises(UserError, match=r"a\.csv:4: 1 cells"):
        read("csv", path)


USER, ASSISTANT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "a\n b"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [USER, ASSISTANT], "id": 3}, dialogue("hi", "a\n b")),
        (
            {"messages": [{"role": "system", "content": "be kind\nbe short"}, USER, ASSISTANT]},
            dialogue("hi", "a\n b", persona=["be kind", "be short"]),
        ),
        ({"messages": [USER, ASSISTANT], "system": "be kind"}, dialogue("hi", "a\n b", persona=["be kind"])),
        ({"messages": [ASSISTANT, USER, USER]}, dialogue("", "a\n b", "hi\nhi")),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, dialogue("hi")),
        (
            {"messages": [USER, {**ASSISTANT, "weight": 0}, USER, {**ASSISTANT, "weight": 1}]},
            dialogue("hi", "a\n b", "hi", "a\n b", replies=[3]),
        ),
        (
            {"messages": {"role": ["user", "assistant"], "content": ["hi", "yo"]}},
            dialogue("hi", "yo"),
        ),
        (
            {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]},
            dialogue("hi", "yo"),
        ),
        ({"conversation": [USER, ASSISTANT]}, dialogue("hi", "a\n b")),
        ({"dialog": [" a ", "b"], "act": [1, 2]}, dialogue("a", "b")),
        ({"prompt": "a\nb", "completion": "c"}, dialogue("a\nb", "c")),
        ({"prompt": [USER], "completion": [ASSISTANT]}, dialogue("hi", "a\n b", replies=[1])),
        (
            {"prompt": [USER, ASSISTANT, USER], "completion": "yo"},
            dialogue("hi", "a\n b", "hi", "yo", replies=[3]),
        ),
        ({"prompt": "hi", "chosen": [USER, ASSISTANT], "rejected": []}, dialogue("hi", "a\n b")),
        ({"prompt": "so", "chosen": [ASSISTANT]}, dialogue("so", "a\n b")),
        ({"chosen": [USER, ASSISTANT], "rejected": []}, dialogue("hi", "a\n b")),
        ({"instruction": "do", "input": "", "output": "done"}, dialogue("do", "done")),
        ({"instruction": "do", "input": "it", "output": "done"}, dialogue("do\nit", "done")),
        ({"instruction": "do", "context": "it", "response": "done"}, dialogue("do\nit", "done")),
        ({"question": "a", "answer": "b"}, dialogue("a", "b")),
        ({"history": ["a", "b", "c"], "response": "d"}, dialogue("a", "b", "c", "d", replies=[3])),
        ({"history": [], "response": "d"}, dialogue("", "d")),
        ({"Context": None, "REPLY": "d"}, dialogue("", "d")),
    ],
)
def test_rows(row: dict[str, Any], expected: dict) -> None:
    assert of_rows(row) == [expected]


def test_rows_of_one_dialogue_belong_together() -> None:
    def row(conversation: int, number: int, history: list[str], reply: str) -> dict[str, Any]:
        return {
            "personality": ["p"],
            "candidates": ["x", reply],
            "history": history,
            "conv_id": conversation,
            "utterance_idx": number,
        }

    found = of_rows(row(0, 0, ["a"], "b"), row(0, 1, ["a", "b", "c"], "d"), row(1, 0, ["e"], "f"))
    assert found == [dialogue("a", "b", "c", "d", persona=["p"]), dialogue("e", "f", persona=["p"])]


def test_names_of_dialogues_may_come_again_where_utterances_are_numbered() -> None:
    """As where corpora that count from one were joined."""
    rows = [{"conv_id": name, "turn_id": n, "text": f"{name}{n}"} for name in (1, 2, 1) for n in (1, 2)]
    assert of_rows(*rows) == [dialogue("11", "12"), dialogue("21", "22"), dialogue("11", "12")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"query": "and in winter ?", "response": "it snows .", "history": ["is it hot ?", "yes ."]},
            dialogue("is it hot ?", "yes .", "and in winter ?", "it snows .", replies=[3]),
        ),
        (
            {"history": [["hi", "hello"]], "question": "how old are you ?", "answer": "i am six ."},
            dialogue("hi", "hello", "how old are you ?", "i am six .", replies=[3]),
        ),
        (  # silence is a turn
            {"history": ["hi", "", "hello ?"], "question": "so ?", "answer": "yes ."},
            dialogue("", "hi", "", "hello ?", "so ?", "yes .", replies=[5]),
        ),
        (
            {"context": "", "question": "why ?", "answer": "so .", "personality": ["i run ."]},
            dialogue("why ?", "so .", persona=["i run ."]),
        ),
        (
            {"instruction": "and you ?", "input": "", "output": "fine .", "history": [["hi", "hello"]]},
            dialogue("hi", "hello", "and you ?", "fine .", replies=[3]),
        ),
        (
            {"prompt": "and you ?", "response": "fine .", "history": ["hello"], "system": "i run ."},
            dialogue("", "hello", "and you ?", "fine .", replies=[3], persona=["i run ."]),
        ),
        ({"prompt": "a", "response": "b", "history": []}, dialogue("a", "b")),
        ({"dialog": ["a", "b"], "persona": "i run ."}, dialogue("a", "b", persona=["i run ."])),
        (
            {"dialog": [USER, {"role": "assistant", "content": "b"}], "system": "i run ."},
            dialogue(USER["content"], "b", persona=["i run ."]),
        ),
    ],
)
def test_nothing_that_was_said_is_lost(row: dict[str, Any], expected: dict[str, Any]) -> None:
    """A history beside the message, and a persona beside turns."""
    assert of_rows(row) == [expected]


def test_columns_that_are_not_used_are_noted() -> None:
    findings = Findings()
    row = {"messages": [USER, {"role": "assistant", "content": "b"}], "History": ["x"], "id": 3}
    assert list(dialogues_of_rows([("row 0", row), ("row 1", row)], findings))
    assert findings.notes == {"rows whose column History is not used beside the others": (2, "row 0")}


def test_utterances_by_row_with_roles() -> None:
    rows = [
        {"dialog_id": "x", "role": "assistant", "text": "hello"},
        {"dialog_id": "x", "role": "user", "text": "hi"},
        {"dialog_id": "y", "role": "user", "text": "so"},
    ]
    assert of_rows(*rows) == [dialogue("", "hello", "hi"), dialogue("so")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1, "b": 2}], "row 0: the columns are a, b; expected personality and utterances, or"),
        ([{"messages": "hi"}], "row 0: no messages; expected"),
        ([{"messages": []}], "row 0: no messages; expected"),
        ([{"messages": [3]}], "row 0, message 1: expected"),
        ([{"messages": [USER, {"role": "tool", "content": "x"}]}], "message 2: its role is 'tool'; expected"),
        ([{"messages": [{"role": "user", "content": None}]}], "message 1: its content is not a text"),
        ([{"messages": [{"role": "user", "content": "\ud800"}]}], "half of a surrogate pair"),
        ([{"messages": {"role": "user"}}], "row 0, message 1: its content is not a text"),
        ([{"messages": {"role": 3}}], "row 0: expected"),
        ([{"prompt": "a", "completion": None}], "the reply is empty"),
        ([{"context": {"a": 1}, "reply": "b"}], "the context is dict; expected text"),
        ([{"persona": 7, "chat": "a\nb"}], "the persona is int; expected text"),
        ([{"conv_id": 1, "utterance": 3}], "the utterance 3 is not a text"),
        ([{"conv_id": 1, "utterance": "a", "turn_id": 5}], "utterance 5 comes after none"),
        ([{"conv_id": 1, "utterance": "a", "turn_id": "x"}], "'x' is not the number of an utterance"),
        ([{"conv_id": 1, "utterance": "a", "speaker": s} for s in "abc"], "3 speakers"),
        ([{"conv_id": 1, "utterance": "a", "turn_id": n} for n in (1, 1)], "utterance 1 comes after 1"),
        (
            [{"conv_id": n, "utterance": "a"} for n in (1, 2, 1)],
            "row 2: a row of dialogue 1, whose rows had ended before; expected all rows of a dialogue one",
        ),
        (
            [{"history": [["a"]], "question": "b", "answer": "c"}],
            "expected text, or a list of texts or of pairs",
        ),
    ],
)
def test_bad_rows(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BadEntry) as caught:
        of_rows(*rows)
    assert message in str(caught.value)


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
    splits = FORMATS["json"].splits
    assert splits is not None
    assert splits(str(path)) == ["train", "valid"]
    assert read("json", path, "train") == [dialogue("", "a", "and a", "b", persona=["i run."])]
    assert read("json", path, "valid")[0]["turns"] == ["", "c"]
    with pytest.raises(UserError, match=r"no split 'test'.*train, valid"):
        read("json", path, "test")


@pytest.mark.parametrize("kept", [1, 2])
def test_trimmed_history(kept: int) -> None:
    utterances = personachat("a", "b", "c")
    for utterance in utterances:
        utterance["history"] = utterance["history"][-kept:]
    assert utterances_dialogue([], utterances, "x") == dialogue("", "a", "and a", "b", "and b", "c")


def test_history_that_does_not_continue() -> None:
    utterances = personachat("a", "b")
    utterances[1]["history"][-2] = "something else"
    with pytest.raises(UserError, match=r"place, utterance 2: .*does not continue"):
        utterances_dialogue([], utterances, "place")


def test_struct_of_lists_is_a_list_of_structs() -> None:
    utterances = personachat("a", "b")
    columns = {key: [row[key] for row in utterances] for key in ("history", "candidates")}
    assert utterances_dialogue([], columns, "x") == utterances_dialogue([], utterances, "x")


def test_half_a_surrogate_pair_is_an_error() -> None:
    with pytest.raises(UserError, match="surrogate"):
        utterances_dialogue(["\ud83d"], [], "x")


@pytest.mark.parametrize("size", [3, 70_000, 200_000])
@pytest.mark.parametrize("shape", ["array", "splits", "lines", "pretty"])
def test_json_of_any_size_and_layout(tmp_path: Path, size: int, shape: str) -> None:
    """Rows shorter and longer than what is read at a time, with letters of two bytes on the borders."""
    rows = [{"prompt": f"{n} é" + "ü" * (size if n == 3 else 5), "completion": "b"} for n in range(6)]
    text = {
        "array": json.dumps(rows, ensure_ascii=False),
        "splits": json.dumps({"test": [], "train": rows, "x": 3 * [{}]}, ensure_ascii=False),
        "lines": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        "pretty": json.dumps(rows, indent=2, ensure_ascii=False) + "\n\n",
    }[shape]
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    name = detect_format(path)
    assert name == ("jsonl" if shape == "lines" else "json")
    assert turns(name, path) == [[row["prompt"], "b"] for row in rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"train": [\n{"personality": [], "utterances": []},\n{"personality" []}\n]}\n', ":3: broken JSON"),
        ("[" * 1_000_000, ":1: broken JSON (nested more than 100 deep)"),
        (
            '[\n{"a":' + "7" * 5000 + "}]",
            ":2: broken JSON (a number of 5,000 digits; expected at most 300)",
        ),
        ('["' + "x" * (1 << 25), ":1: broken JSON (a row of more than 16,777,216 characters)"),
        ('[{"context": "a", "reply": "b"}]\n\nmore', ":3: broken JSON (more text after its end)"),
        ("[", ":1: broken JSON"),
        ('[{"context": "a", "reply": "b"},]', ":1: broken JSON"),
        ('{"train" 3}', ":1: broken JSON (expected ':')"),
        ('{"train": 3}', ":1: broken JSON (expected '[')"),
        ("3", ":1: broken JSON (neither an array nor an object)"),
        (" ", "a.json: the file is empty; expected an array"),
        ("[3]", "row 1: '3' is not an object; expected"),
    ],
    ids=lambda value: value[:30],
)
def test_broken_json(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read("json", path)
    assert message in str(caught.value)


def test_json_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[\n{"context": "a",\n"reply": "\xe9"}]')
    with pytest.raises(UserError, match=r"a\.json:3: byte 0xe9 is not UTF-8"):
        read("json", path)


def test_bad_lines_of_json_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = '{"prompt": "a", "completion": "b"}\n'
    path.write_text(good + '{"prompt":\n' + '{"a": ' + "[" * 100_000 + "\n[1]\n\n" + '{"q": 1}\n' + good)
    findings = Findings(skip_bad=True)
    assert [d["turns"] for d in read("jsonl", path, findings=findings)] == [["a", "b"]] * 2
    assert findings.num_bad == 4
    assert [message.split(": ")[0].rpartition(":")[2] for message in findings.bad] == ["2", "3", "4", "6"]


@pytest.mark.parametrize(
    ("name", "text", "bad"),
    [
        ("a.txt", "1 a\tb\nbroken\n2 c\td\n2\t\n", 2),
        ("a.txt", "text:a\tlabels:b\nbroken\ntext:c\tlabels:d\nlabels:e\n", 2),
        ("a.txt", "a __eou__ b\nbroken\nc __eou__ d\n", 1),
        ("a.tsv", "a\tb\nbroken\nc\td\ne\t\n", 2),
        ("a.tsv", "0.0 a\t1.0 b\nbroken\n0.0 c\t1.0 d\n", 1),
        ("a.csv", "context,reply\na,b\nbroken\nc,d\ne,\n", 2),
    ],
)
def test_one_bad_line_is_counted_and_named(tmp_path: Path, name: str, text: str, bad: int) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode() + b"caf\xe9\tb\n")
    source = Source(str(path), detect_format(path), "train")
    findings = Findings(skip_bad=True)
    found = list(Dialogues([source], findings))
    assert [turn for d in found for turn in d["turns"]] == ["a", "b", "c", "d"]
    assert findings.num_bad == bad + 1
    assert len(findings.bad) == bad + 1
    assert all(message.startswith(f"{path}:") for message in findings.bad)
    with pytest.raises(UserError) as caught:
        list(Dialogues([source]))
    assert str(caught.value).startswith(findings.bad[0])
    assert f"({name}: {bad + 1} of its entries are bad; --skip-bad skips bad entries)" in str(caught.value)


def test_parallel_files_of_different_lengths(tmp_path: Path) -> None:
    (tmp_path / "a.src").write_text("a\nb\n")
    (tmp_path / "a.tgt").write_text("c\n")
    source = Source(str(tmp_path / "a.src"), "parallel", "train", str(tmp_path / "a.tgt"))
    with pytest.raises(UserError, match=r"a\.src:2: a\.tgt has only 1 lines"):
        list(Dialogues([source]))


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = [{"messages": [USER, {**ASSISTANT, "content": f"answer {n}"}]} for n in range(600)]
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(arrow.Table.from_pylist(rows), path)
    assert detect_format(path) == "parquet"
    assert turns("parquet", path) == [["hi", f"answer {n}"] for n in range(600)]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"a\.parquet: after row 0: broken parquet file"):
        read("parquet", path)
