"""The command `eureka evaluate` and the script over it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nltk
import pytest

from eureka_nlg import __version__
from eureka_nlg.cli.main import main
from eureka_nlg.metrics import score_replies

ROOT = Path(__file__).parents[3]
HYPOTHESES = ["i like tea .", "Hello !", "i do not know .", "i do not know ."]
REFERENCES = ["i like green tea .", "hello there !", "i sail .", "what do you not know ?"]
GENERATED = "".join(
    f"S-{number}\tcontext\nT-{number}\t{REFERENCES[number]}\n"
    f"H-{number}\t-0.1\tx\nD-{number}\t-0.1\t{HYPOTHESES[number]}\nP-{number}\t-0.1\n"
    for number in (2, 0, 3, 1)
)
Files = Callable[..., str]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A working folder with replies.txt, references.txt and generated.txt, and a function to add others."""
    monkeypatch.chdir(tmp_path)

    def add(name: str, content: list[str] | str | bytes) -> str:
        if isinstance(content, list):
            content = "".join(f"{line}\n" for line in content)
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    add("replies.txt", HYPOTHESES)
    add("references.txt", REFERENCES)
    add("generated.txt", GENERATED)
    return add


def evaluate(*arguments: str) -> dict[str, Any]:
    """Run the command, which must succeed; return what it writes to scores.json."""
    assert main(["evaluate", *arguments, "--json", "scores.json"]) == 0
    document: dict[str, Any] = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    return document


def digest(name: str) -> dict[str, str]:
    return {"name": name, "sha256": hashlib.sha256(Path(name).read_bytes()).hexdigest()}


def test_two_text_files(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    document = evaluate("--hypotheses", "replies.txt", "--references", "references.txt")
    expected = score_replies(HYPOTHESES, REFERENCES)
    assert document["scores"] == expected.scores
    assert (document["num_pairs"], document["num_types"]) == (4, expected.num_types)
    signature = document["signature"]
    assert (signature["types"], signature["n"], signature["lowercase"]) == ("reference", 4, False)
    assert signature["eureka_nlg"] == __version__
    assert "tok:none" in signature["sacrebleu"]
    assert signature["inputs"] == {
        "hypotheses": digest("replies.txt"),
        "references": digest("references.txt"),
    }

    output = capsys.readouterr()
    assert output.err == ""
    for label, key in (
        ("macro F", "macro_f"),
        ("micro F", "micro_f"),
        ("ParlAI F1", "parlai_f1"),
        ("4-gram diversity", "diversity_4"),
        ("BLEU", "bleu"),
    ):
        (row,) = (line for line in output.out.splitlines() if line.startswith(label + " "))
        assert row.removeprefix(label).split()[0] == f"{expected.scores[key]:.2f}"
    assert "4 pairs" in output.out
    assert signature["sacrebleu"] in output.out


def test_generated_gives_the_same_scores(files: Files) -> None:
    document = evaluate("--generated", "generated.txt")
    assert document["scores"] == score_replies(HYPOTHESES, REFERENCES).scores
    assert document["signature"]["inputs"] == {"generated": digest("generated.txt")}


def test_generated_with_references_given_separately(files: Files) -> None:
    files("no_targets.txt", "".join(line for line in GENERATED.splitlines(keepends=True) if line[0] != "T"))
    document = evaluate("--generated", "no_targets.txt", "--references", "references.txt")
    assert document["scores"] == score_replies(HYPOTHESES, REFERENCES).scores
    assert set(document["signature"]["inputs"]) == {"generated", "references"}


@pytest.mark.parametrize("vocabulary", ["tea 5\nHello 2\nmadeupword0000 0\nzebra 1\n", "tea\nHello\nzebra\n"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_vocabulary_and_case(files: Files, vocabulary: str, lowercase: bool) -> None:
    files("dict.txt", vocabulary)
    pair = ["--hypotheses", "replies.txt", "--references", "references.txt"]
    options = ["--types", "vocabulary", "--vocabulary", "dict.txt", *(["--lowercase"] if lowercase else [])]
    document = evaluate(*pair, *options)
    expected = score_replies(
        HYPOTHESES,
        REFERENCES,
        types="vocabulary",
        vocabulary=["tea", "Hello", "zebra"],
        lowercase=lowercase,
    )
    assert document["scores"] == expected.scores
    assert document["num_types"] == 3
    assert document["signature"]["lowercase"] is lowercase
    assert document["signature"]["inputs"]["vocabulary"] == digest("dict.txt")


def test_several_systems(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files("a=b.txt", REFERENCES)  # a file name with "=" in it is a file name
    document = evaluate("--hypotheses", "CE=replies.txt", "a=b.txt", "--references", "references.txt")
    assert list(document) == ["CE", "a=b"]
    assert document["CE"]["scores"] == score_replies(HYPOTHESES, REFERENCES).scores
    assert document["a=b"]["scores"]["micro_f"] == 100
    assert document["a=b"]["signature"]["inputs"]["hypotheses"] == digest("a=b.txt")
    assert capsys.readouterr().out.split()[:3] == ["metric", "CE", "a=b"]


def test_same_input_same_bytes_and_nothing_else_left(files: Files) -> None:
    before = set(os.listdir())
    evaluate("--generated", "generated.txt")
    first = Path("scores.json").read_bytes()
    evaluate("--generated", "generated.txt")
    assert Path("scores.json").read_bytes() == first
    assert first.endswith(b"}\n")
    assert set(os.listdir()) - before == {"scores.json"}


def test_odd_line_breaks_do_not_shift_lines(files: Files) -> None:
    odd = ["a\u2028b", "c\x0cd", "e\x85f", "g"]
    files("odd.txt", odd)
    files("windows.txt", "".join(f"{line}\r\n" for line in odd))
    document = evaluate("--hypotheses", "odd.txt", "--references", "windows.txt")
    assert document["num_pairs"] == 4
    assert document["scores"]["micro_f"] == 100


def test_a_silent_system_scores_zero_with_a_warning(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files("silent.txt", ["", " ", "", ""])
    document = evaluate("--hypotheses", "silent.txt", "--references", "references.txt")
    assert {key for key, score in document["scores"].items() if score} == {"copies"}  # all are the same
    assert capsys.readouterr().err == "eureka evaluate: warning: silent.txt: every reply is empty\n"


PAIR = ["--hypotheses", "replies.txt", "--references", "references.txt"]
TARGETS = ["i like green tea .", "i like coffee .", "hello there !", "you know ."]


def test_chosen_metrics(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    document = evaluate(*PAIR, "--metrics", "chrf", "diversity", "micro_f")
    keys = ["chrf", "diversity_1", "diversity_2", "diversity_3", "diversity_4", "micro_f"]
    assert list(document["scores"]) == keys
    assert document["scores"] == score_replies(HYPOTHESES, REFERENCES, metrics=keys).scores
    assert "sacrebleu" not in document["signature"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(keys) + 4
    assert lines[-2] == "wrote scores.json"


def test_what_comes_next(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Intervals, where there are none, and the report on the runs whose replies these are."""
    systems = {}
    for name in ("ce", "my el"):
        Path(name).mkdir()
        (Path(name) / "checkpoint_best.pt").touch()
        systems[name] = files(f"{name}/replies.test.txt", HYPOTHESES)
    named = [f"{name}={path}" for name, path in systems.items()]

    def last_line(*arguments: str) -> str:
        assert main(["evaluate", "--references", "references.txt", "--hypotheses", *arguments]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    report = "eureka report ce 'my el' --names ce 'my el' --out report.html"
    assert (
        last_line(*named) == f"next: the same command with --significance, for intervals and tests; {report}"
    )
    assert last_line(*named, "--significance", "--resamples", "20") == f"next: {report}"
    assert last_line("ce/replies.test.txt").endswith("; eureka report ce --out report.html")
    # the report decodes as these replies were decoded, if that is one way
    record = Path("ce/replies.test.decoding.json")
    record.write_text('{"logit_adjustment": 0.2}')
    adjusted = "; eureka report ce --logit-adjustment 0.2 --out report.html"
    assert last_line("ce/replies.test.txt").endswith(adjusted)
    assert "eureka report RUN... " in last_line(*named)
    record.write_text("[")
    assert last_line("ce/replies.test.txt").endswith("; eureka report ce --out report.html")
    record.unlink()
    assert last_line("replies.txt").endswith(
        "eureka report RUN... --out report.html, which shows replies of trained models and their scores"
    )


@pytest.mark.parametrize("lowercase", [False, True])
def test_training_targets(files: Files, capsys: pytest.CaptureFixture[str], lowercase: bool) -> None:
    files("train.txt", [*TARGETS, "Hello !"])
    document = evaluate(*PAIR, "--train-targets", "train.txt", *(["--lowercase"] if lowercase else []))
    scores = document["scores"]
    # 4-grams: "i like tea .", and twice "i do not know" and "do not know ."; train.txt has none
    assert scores["novelty_4"] == 100
    # of its 18 words 3 are ".", 2 each "i", "like", "!" and, once lowered, "hello"; all others are alone
    by_word = {".": 100 * 2 * 2 / (3 + 2), "i": 100 * 2 * 2 / (3 + 2), "like": 100, "!": 100}
    alone = {"tea": 100, "know": 100 * 2 / 3, "green": 0, "there": 0, "you": 0}
    (by_word if lowercase else alone)["hello"] = 100 if lowercase else 0
    assert scores["macro_f_head"] == pytest.approx(sum(by_word.values()) / len(by_word))
    assert scores["macro_f_body"] == 0
    assert scores["macro_f_tail"] == pytest.approx(sum(alone.values()) / len(alone))
    assert document["bands"]["unseen"]["num_types"] > 0
    assert document["signature"]["inputs"]["train_targets"] == digest("train.txt")
    assert "head, body, tail hold 33.33 %" in document["signature"]["bands"]
    assert document["signature"]["bands"] in capsys.readouterr().out


def test_training_counts_and_another_rule(files: Files) -> None:
    files("counts.txt", "i 150\nlike 50\nknow 20\n. 19\nmadeupword0000 0\n")
    document = evaluate(
        *PAIR, "--train-counts", "counts.txt", "--bands", "count:100,20", "--metrics", "bands"
    )
    # i: 3 in the replies, 2 in the references, 2 in common; like: 1, 1, 1; know: 2, 1, 1; .: 3, 2, 2
    assert document["scores"] == {
        "macro_f_many": pytest.approx(100 * 2 * 2 / 5),
        "macro_f_medium": pytest.approx(100 * (1 + 2 / 3) / 2),
        "macro_f_few": pytest.approx(100 * 2 * 2 / 5),
        "micro_f_many": pytest.approx(100 * 2 * 2 / 5),
        "micro_f_medium": pytest.approx(100 * 2 * 2 / 5),
        "micro_f_few": pytest.approx(100 * 2 * 2 / 5),
        "recall_few": 100,
    }
    assert document["bands"]["few"] == {"num_types": 1, "num_reference_words": 2}
    assert document["signature"]["inputs"]["train_counts"] == digest("counts.txt")


def test_training_data_folder(files: Files) -> None:
    os.makedirs("data/references")
    files("data/references/train.txt", TARGETS)
    files("train.txt", TARGETS)
    folder, text = (evaluate(*PAIR, "--train-targets", source) for source in ("data", "train.txt"))
    assert folder["scores"] == text["scores"]
    assert folder["signature"]["inputs"] == text["signature"]["inputs"]
    counts = evaluate(*PAIR, "--train-counts", "data")
    assert counts["scores"] == {key: score for key, score in text["scores"].items() if key != "novelty_4"}


def test_what_is_unavailable_is_told(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nltk.data.path", [])
    monkeypatch.setattr(
        nltk.corpus,
        "wordnet",
        nltk.corpus.util.LazyCorpusLoader("wordnet", nltk.corpus.reader.WordNetCorpusReader, None),
    )
    document = evaluate(*PAIR, "--metrics", "meteor", "micro_f")
    assert list(document["scores"]) == ["micro_f"]
    assert "nltk.downloader wordnet" in document["unavailable"]["meteor"]
    output = capsys.readouterr()
    (row,) = (line for line in output.out.splitlines() if line.startswith("METEOR"))
    assert row.split()[1] == "-"
    assert "nltk.downloader wordnet" in output.out
    assert output.err == ""


def test_text_without_spaces(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files("h.txt", ["我喜欢蜜蜂。", "早上好啊"])
    files("r.txt", ["我喜欢蜜蜂。", "早上好"])
    pair = ["--hypotheses", "h.txt", "--references", "r.txt"]
    evaluate(*pair)
    assert "h.txt: 100 % of the references is written without spaces" in capsys.readouterr().err
    files("train.txt", ["我喜欢茶", "早上好"])
    options = ["--unit", "character", "--bleu-tokenize", "zh", "--train-targets", "train.txt"]
    document = evaluate(*pair, *options)
    assert capsys.readouterr().err == ""
    assert document["scores"]["micro_f"] == pytest.approx(100 * 2 * 9 / 19)
    # no 4-gram of the replies is in the targets; three characters of the references are not either: 蜜蜂。
    assert document["scores"]["novelty_4"] == 100
    assert document["bands"]["unseen"]["num_reference_words"] == 3
    assert document["signature"]["tokenisation"] == "characters"
    assert "tok:zh" in document["signature"]["sacrebleu"]


def test_several_references(files: Files) -> None:
    files("more.txt", HYPOTHESES)
    document = evaluate(*PAIR, "more.txt")
    assert document["scores"]["micro_f"] == document["scores"]["rouge_l"] == 100
    assert document["signature"]["inputs"]["references_2"] == digest("more.txt")
    again = evaluate(*PAIR, "more.txt", "--significance", "--resamples", "5")
    assert again["scores"] == document["scores"]
    assert again["signature"] == document["signature"]
    files("short.txt", HYPOTHESES[:2])
    assert main(["evaluate", *PAIR, "short.txt"]) == 2


def test_significance(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    replies, references = HYPOTHESES * 10, REFERENCES * 10
    files("a.txt", replies)
    files("b.txt", references)
    files("r.txt", references)
    options = [
        "--hypotheses",
        "a.txt",
        "b.txt",
        "--references",
        "r.txt",
        "--metrics",
        "micro_f",
        "diversity_2",
    ]
    document = evaluate(*options, "--significance", "--resamples", "200", "--seed", "3", "--holm")
    assert list(document) == ["a", "b", "significance"]
    for key in ("micro_f", "diversity_2"):
        for system in ("a", "b"):
            estimate = document["significance"]["scores"][key][system]
            assert estimate["value"] == pytest.approx(document[system]["scores"][key])
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
    difference = document["significance"]["differences"]["micro_f"]["b"]
    assert difference["p_randomisation"] == pytest.approx(1 / 201)
    assert document["significance"]["signature"]["seed"] == 3
    output = capsys.readouterr().out
    assert "200 resamples, seed 3" in output
    assert "Holm" in output

    # the same numbers whether they are compared or not
    files("train.txt", TARGETS)
    files("dict.txt", "tea\nHello\nzebra\n")
    options = [*options[:-2], "all", "--train-targets", "train.txt", "--lowercase"]
    options += ["--types", "vocabulary", "--vocabulary", "dict.txt"]
    document = evaluate(*options, "--significance", "--resamples", "2")
    assert len(document["a"]["scores"]) > 30
    for system in ("a", "b"):
        for key, score in document[system]["scores"].items():
            assert document["significance"]["scores"][key][system]["value"] == pytest.approx(score), key

    alone = evaluate("--hypotheses", "a.txt", "--references", "r.txt", "--significance", "--resamples", "20")
    assert alone["significance"]["differences"]["micro_f"] == {}
    assert alone["scores"] == score_replies(replies, references).scores


@pytest.mark.parametrize(
    ("content", "arguments", "expected"),
    [
        (
            {},
            ["--hypotheses", "missing.txt", "--references", "references.txt"],
            ["missing.txt", "No such file"],
        ),
        ({}, ["--hypotheses", "replies.txt", "--references", "missing.txt"], ["missing.txt", "No such file"]),
        ({}, ["--generated", "missing.txt"], ["missing.txt", "No such file"]),
        ({}, ["--hypotheses", ".", "--references", "references.txt"], [".", "directory"]),
        ({}, ["--hypotheses", "replies.txt"], ["--references FILE"]),
        ({"replies.txt": ""}, PAIR, ["replies.txt", "empty", "one reply per line"]),
        ({"references.txt": ""}, PAIR, ["references.txt", "empty", "one reference per line"]),
        ({"references.txt": "\n\n\n\n"}, PAIR, ["references.txt", "every reference is empty"]),
        ({"replies.txt": b"fine\n\xff\n"}, PAIR, ["replies.txt:2", "0xff", "UTF-8"]),
        ({"references.txt": b"a\nb\n\xc3\n"}, PAIR, ["references.txt:3", "0xc3", "UTF-8"]),
        ({"replies.txt": ["a"] * 7}, PAIR, ["replies.txt: 7 replies", "references.txt: 4 references"]),
        ({"references.txt": ["a"] * 3}, PAIR, ["replies.txt: 4 replies", "references.txt: 3 references"]),
        (
            {"generated.txt": "H-0 a\n"},
            ["--generated", "generated.txt"],
            ["generated.txt:1", "H-ID<TAB>SCORE"],
        ),
        (
            {"generated.txt": "loading\n"},
            ["--generated", "generated.txt"],
            ["generated.txt", "H- or D-", "--quiet"],
        ),
        (
            {"generated.txt": "H-0\t-1\ta\n"},
            ["--generated", "generated.txt"],
            ["generated.txt", "T-", "--references FILE"],
        ),
        (
            {"other.txt": "T-0\tb\nH-0\t-1\ta\n"},
            ["--generated", "generated.txt", "other.txt"],
            ["other.txt", "references differ from those of the first file"],
        ),
        (
            {},
            ["--generated", "generated.txt", "--references", "replies.txt", "--vocabulary", "replies.txt"],
            ["--types vocabulary", "--vocabulary FILE"],
        ),
        ({}, [*PAIR, "--types", "vocabulary"], ["--types vocabulary", "--vocabulary FILE"]),
        (
            {"dict.txt": "a b c\n"},
            [*PAIR, "--types", "vocabulary", "--vocabulary", "dict.txt"],
            ["dict.txt:1", "`word count`"],
        ),
        (
            {"dict.txt": ""},
            [*PAIR, "--types", "vocabulary", "--vocabulary", "dict.txt"],
            ["dict.txt", "empty", "one word per line"],
        ),
        (
            {},
            ["--hypotheses", "x=replies.txt", "x=references.txt", "--references", "references.txt"],
            ["replies.txt", "references.txt", "both be named x", "NAME=FILE"],
        ),
        ({}, [*PAIR, "--metrics", "macro"], ["no metric 'macro'", "macro_f", "novelty"]),
        ({}, [*PAIR, "--metrics", "bands"], ["'bands' needs training counts"]),
        ({}, [*PAIR, "--metrics", "novelty"], ["'novelty' needs the training targets"]),
        ({}, [*PAIR, "--bands", "thirds"], ["bands 'thirds'", "mass:SHARE"]),
        ({}, [*PAIR, "--train-counts", "missing.txt"], ["missing.txt", "No such file"]),
        ({}, [*PAIR, "--train-counts", "references.txt"], ["references.txt:1", "`word count`"]),
        ({}, [*PAIR, "--train-targets", "."], [".: no references/train.txt"]),
        ({"zero.txt": "a 0\n"}, [*PAIR, "--train-counts", "zero.txt"], ["zero.txt", "no words in it"]),
        ({"blank.txt": "\n"}, [*PAIR, "--train-targets", "blank.txt"], ["blank.txt", "no words in it"]),
        (
            {},
            ["--hypotheses", "significance=replies.txt", "replies.txt", *PAIR[2:], "--significance"],
            ["a system is named significance", "NAME=FILE"],
        ),
        ({}, [*PAIR, "--significance", "--resamples", "0"], ["num_resamples is 0"]),
        ({}, [*PAIR, "--significance", "--seed", "-1"], ["seed: -1, expected 0 to 4,294,967,295"]),
        ({}, [*PAIR, "--json", "nowhere/scores.json"], ["nowhere/scores.json", "no folder nowhere"]),
        ({}, [*PAIR, "--json", "references.txt/scores.json"], ["no folder references.txt"]),
        ({}, [*PAIR, "--json", "."], ["--json .", "is a folder"]),
    ],
)
def test_bad_input(
    files: Files,
    capsys: pytest.CaptureFixture[str],
    content: dict[str, Any],
    arguments: list[str],
    expected: list[str],
) -> None:
    for name, text in content.items():
        files(name, text)
    before = sorted(os.listdir())
    assert main(["evaluate", *arguments]) == 2
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("eureka evaluate: error: ")
    assert "Traceback" not in line
    for part in expected:
        assert part in line
    assert output.out == ""
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--references", "references.txt"],
        [*PAIR, "--generated", "generated.txt"],
        [*PAIR, "--types", "all"],
    ],
)
def test_wrong_usage(files: Files, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["evaluate", *arguments])
    assert raised.value.code == 2


def test_a_full_disk_leaves_the_old_result(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files("scores.json", '{"signature": "old"}\n')
    before = sorted(os.listdir())

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert main(["evaluate", *PAIR, "--json", "scores.json"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "scores.json: cannot be written: No space left on device" in line
    assert Path("scores.json").read_text(encoding="utf-8") == '{"signature": "old"}\n'
    assert sorted(os.listdir()) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_is_written_to_and_never_replaced(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *PAIR, "--json", "/dev/full"]) == 2
    assert "/dev/full: cannot be written: No space left on device" in capsys.readouterr().err
    assert not os.path.isfile("/dev/full")


def test_a_link_to_the_result_stays_a_link(files: Files) -> None:
    Path("target.json").write_text('{"signature": "old"}\n', encoding="utf-8")
    os.symlink("target.json", "scores.json")
    evaluate(*PAIR)
    assert os.path.islink("scores.json")
    assert "macro_f" in Path("target.json").read_text(encoding="utf-8")


def test_as_a_process(files: Files) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "eureka_nlg.cli.main", "evaluate", *PAIR]
    done = subprocess.run(
        [*command, "--json", "scores.json"], env=environment, capture_output=True, text=True, check=True
    )
    assert "macro F" in done.stdout
    assert done.stderr == ""
    scores = json.loads(Path("scores.json").read_text(encoding="utf-8"))["scores"]
    assert scores == score_replies(HYPOTHESES, REFERENCES).scores

    command[5] = "missing.txt"
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == "eureka evaluate: error: missing.txt: No such file or directory\n"
