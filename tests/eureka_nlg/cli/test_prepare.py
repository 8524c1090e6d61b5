"""The command ``eureka prepare``: what it prints and leaves behind, well and badly fed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from forked import Forked
from full_disk import largest_file

from eureka_nlg.bundled import find_bundled
from eureka_nlg.cli.main import main
from eureka_nlg.cli.prepare import configs_for
from eureka_nlg.dialogue.training import read_config

pytest.importorskip("fairseq")
pytest.importorskip("datasets")

GOOD = "1 your persona: i run.\n2 hi\thello you\n3 so ?\tso what\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "corpus").mkdir()
    for split in ("train", "valid"):
        (tmp_path / "corpus" / f"{split}.txt").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_summary_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "v.txt").write_text("hi 1 2 3\nso 3 4 5\n? 2 2 1\n")
    assert main(["prepare", "corpus", "--out", "out", "--vectors", "v.txt", "--vector-dim", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["train", "1", "2", "16", "0.00", "4", "0.00"]
    assert any(line.startswith("note: no test split was given: ") for line in lines)
    assert "training: 1 update an epoch in batches of 32" in lines
    assert "wrote out" in lines
    assert any(line.startswith("vectors: reduced from 3 dimensions") for line in lines)
    assert lines[-1].split() == [
        *("eureka", "train", "configs/dialogue/convai2_small/el_capped.yaml", "data=out"),
        *("encoder_embed_path=out/vectors.txt", "encoder_embed_dim=2", "encoder_hidden_size=2"),
        "save_dir=runs/out/el_capped",
    ]
    assert (folder / "out" / "vectors.txt").read_text().startswith("3 2\n")
    assert (folder / "out" / "contexts" / "train.txt").read_text() == (
        "<persona> i run. <partner> hi\n<persona> i run. <partner> hi <self> hello you <partner> so ?\n"
    )
    assert (folder / "out" / "references" / "train.txt").read_text() == "hello you\nso what\n"


@pytest.mark.parametrize(
    ("sources", "name"), [(["data/sample"], "sample"), (["corpus"], "convai2_small"), ([], "convai2_small")]
)
def test_the_next_commands_name_configs_that_fit(folder: Path, sources: list[str], name: str) -> None:
    """In any folder: the corpus and the configs come with the package."""
    family = configs_for(sources)
    assert Path(family.folder).name == name
    for row in family.names:
        config = read_config(find_bundled(f"{family.folder}/{row}.yaml"), [])
        assert config["batch_size"] == family.batch


_BUILD = """
import sys
from fairseq import tasks
from eureka_nlg.dialogue.training import check_arguments, fairseq_arguments, read_config
config, *overrides = sys.argv[1:]
args = check_arguments(fairseq_arguments(read_config(config, overrides)))
assert (args.task, args.batch_size) == ("dialogue", 32)
task = tasks.setup_task(args)
encoder = task.build_model(args).encoder
row = encoder.embed_tokens.weight[task.source_dictionary.index("hi")]
print(type(encoder).__name__, len(row), row[:3].tolist())
"""


@pytest.mark.parametrize("vectors", [[], ["--vectors", "v.txt"]], ids=["no vectors", "vectors"])
def test_the_next_command_builds_a_model(
    folder: Path, capsys: pytest.CaptureFixture[str], python: Any, vectors: list[str]
) -> None:
    (folder / "v.txt").write_text("hi 1 2 3\nso 3 4 5\n? 2 2 1\n")
    assert main(["prepare", "corpus", "--out", "out", *vectors]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    built = python("-c", _BUILD, *shlex.split(command)[2:], cwd=folder)
    assert built.returncode == 0, built.stderr
    expected = "ResidualLSTMEncoder 3 [1.0, 2.0, 3.0]" if vectors else "ResidualLSTMEncoder 128 ["
    assert built.stdout.splitlines()[-1].startswith(expected)


def test_bad_lines_are_left_out_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(folder / "corpus" / "train.txt", "a") as file:
        file.write(GOOD * 2 + "".join(f"bad {number}\n" for number in range(7)))
    assert main(["prepare", "corpus", "--out", "out"]) == 2
    assert "(train.txt: 7 of its entries are bad; --skip-bad skips bad entries)" in capsys.readouterr().err
    assert main(["prepare", "corpus", "--out", "out", "--skip-bad"]) == 0
    errors = capsys.readouterr().err
    assert "note: 7 bad entries were skipped:" in errors
    assert "corpus/train.txt:10: the line starts with 'bad'" in errors
    assert "corpus/train.txt:14:" in errors
    assert "corpus/train.txt:15:" not in errors
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert [manifest["splits"][split]["skipped"] for split in ("train", "valid")] == [7, 0]


def test_a_format_that_the_file_does_not_look_like(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "valid"):
        (folder / "corpus" / f"{split}.txt").write_text("text:hi\tlabels:yo\n")
    assert main(["prepare", "corpus", "--out", "out", "--format", "tsv"]) == 0
    warning = "warning: corpus/train.txt: looks like parlai-fields; read as tsv because of --format"
    assert warning in capsys.readouterr().err


def test_overwrite(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["prepare", "corpus", "--out", "out"]
    assert main(command) == 0
    before = (folder / "out" / "manifest.json").stat().st_ino
    assert main(command) == 2
    assert "not empty" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--no-persona"]) == 0
    assert (folder / "out" / "manifest.json").stat().st_ino != before
    assert "<persona>" not in (folder / "out" / "contexts" / "train.txt").read_text()
    (folder / "corpus" / "train.txt").write_text("1 broken\n")
    assert main([*command, "--overwrite"]) == 2
    assert (folder / "out" / "references" / "train.txt").exists()
    assert sorted(path.name for path in folder.iterdir()) == ["corpus", "out"]


def test_overwrite_replaces_prepared_folders_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "corpus", "--out", "corpus", "--overwrite"]) == 2
    assert (
        "corpus: exists and was not made by this command (it has no manifest.json)" in capsys.readouterr().err
    )
    assert (folder / "corpus" / "train.txt").exists()


BAD_FILES = {
    "empty file": (".txt", b"", "the file is empty"),
    "no number": (".txt", b"1 a\tb\nnothing here\n", ":2: the line starts with 'nothing'"),
    "turn before any number": (".txt", b"1 a\tb\nhi\thello\n", ":2: the line starts with 'hi'"),
    "no number at all": (".txt --format parlai", b"hi\thello\n", ":1: the line starts with 'hi'"),
    "invalid UTF-8": (
        ".txt",
        b"1 a\tb\n2 caf\xe9\tb\n",
        ":2: byte 6 of the line is 0xe9, which is not UTF-8",
    ),
    "no reply": (".txt", b"1 a\t \n2 b\n", "no exchange for the split train"),
    "too many fields": (".txt", b"1 a\tb\tc\td\te\n", ":1: 4 tabs"),
    "persona with tab": (".txt", b"1 your persona: x\ty\n", ":1: persona line with a tab"),
    "persona after a turn": (".txt", b"1 a\tb\n2 your persona: x\n", ":2: persona line with a turn"),
    "no reply in the split": (".txt", b"1 a\t__SILENCE__\n", "no exchange for the split train"),
    "format not told": (".dat", b"plain text\n", "give --format, one of parlai"),
    "unknown format": (".txt --format xml", b"1 a\tb\n", "--format xml: expected one of parlai"),
    "JSON broken": (".json", b'{"train": [\n{]}', ":2: broken JSON"),
    "JSON cut off": (".json", b'{"train": [\n\n{"personality": [],', ":3: broken JSON"),
    "JSON not an object": (".json", b"[1, 2]", "row 1: '1' is not an object"),
    "JSON without the split": (".json", b'{"valid": []}', "has no split train; its splits are valid"),
    "JSON without dialogues": (".json", b'{"train": []}', "no exchange for the split train"),
    "JSON of another shape": (".json", b'{"train": [{"a": 1}]}', "train dialogue 1: the columns are a"),
    "JSON with numbers": (".json", b'{"train": [3]}', "train dialogue 1: '3' is not an object"),
    "JSON in Latin-1": (".json", b'{"train": [\n"\xe9"]}', ":2: byte 0xe9 is not UTF-8"),
    "CSV lacking columns": (".csv", b"persona,text\na,b\n", ":1: the columns are persona, text; expected"),
    "CSV row too short": (".csv", b"persona,chat\na,b\nc\n", ":3: 1 cells in the row; expected 2"),
    "CSV without chat": (".csv", b"persona,chat\na,\n", ":2: the chat is empty"),
    "CSV quote left open": (".csv", b'persona,chat\na,b\nc,"d\n', ":3: broken CSV"),
    "TSV with empty reply": (".tsv", b"a\tb\nc\t\n", ":2: the reply is empty"),
    "TSV with too many tabs": (".tsv", b"a\tb\nc\td\te\n", ":2: 2 tabs in the line; expected one"),
    "TSV without tab": (".tsv", b"a\tb\nc\n", ":2: 0 tabs in the line; expected one"),
}
BAD_OPTIONS = {
    "split missing": ("corpus/train.txt", "the split valid is missing"),
    "split missing explicitly": ("--valid corpus/valid.txt", "the split train is missing"),
    "folder without files": ("nothing", "nothing: no file in the folder is named train*"),
    "missing file": ("--train corpus/absent.txt --valid corpus/valid.txt", "absent.txt: no such file"),
    "min-count 0": ("corpus --min-count 0", "--min-count 0: expected a number from 1 on"),
    "history-turns 0": ("corpus --history-turns 0", "--history-turns 0: expected a number from 1 on"),
    "workers 0": ("corpus --workers 0", "--workers 0: expected a number from 1 to 1,024"),
    "a million workers": ("corpus --workers 1000000", "--workers 1000000: expected a number from 1 to 1,024"),
    "vocabulary too large": (
        "corpus --tokenizer sentencepiece --vocab-size 5000",
        "--vocab-size 5000: does not fit",
    ),
    "vector-dim alone": ("corpus --vector-dim 3", "--vector-dim 3: needs --vectors FILE"),
    "vectors missing": ("corpus --vectors absent.vec", "absent.vec: neither a file"),
    "output is a file": ("corpus --out corpus/train.txt", "corpus/train.txt: is no folder"),
    "output below a file": ("corpus --out corpus/train.txt/out", "corpus/train.txt"),
    "device as input": ("--train /dev/null --valid corpus/valid.txt", "/dev/null: is not a regular file"),
}


def fails(arguments: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    assert main(["prepare", "--out", "out", *arguments.split()]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    *progress, error = errors.splitlines()
    assert error.startswith("eureka prepare: error: ")
    assert all(line.startswith("eureka prepare: ") for line in progress)
    assert message in error
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, content, message = BAD_FILES[case]
    suffix, _, options = name.partition(" ")
    (folder / f"bad{suffix}").write_bytes(content)
    fails(f"--train bad{suffix} --valid corpus/valid.txt {options}", message, folder, capsys)


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_option(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nothing").mkdir()
    fails(*BAD_OPTIONS[case], folder, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_read_only_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "locked").mkdir(mode=0o555)
    fails("corpus --out locked/out", "locked/out: cannot be written: Permission denied", folder, capsys)


def test_folder_that_takes_no_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no /proc, the folder that not even root can write to")
    fails("corpus --out /proc/eureka", "/proc/eureka: cannot be written", folder, capsys)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("limit", "stage"), [(1000, "text"), (3000, "bin"), (8000, "idx")])
def test_disk_full(
    folder: Path, capsys: pytest.CaptureFixture[str], limit: int, stage: str, workers: int
) -> None:
    """A limit on file size stands for the full disk: a line takes 2 bytes as text, 4 in .bin, 12 in .idx."""
    (folder / "corpus" / "train.txt").write_text("1 a\tb\n" * 1000)
    with largest_file(limit):
        arguments = f"corpus --no-speaker-tokens --no-persona --workers {workers}"
        fails(arguments, "out: cannot be written: File too large", folder, capsys)


def test_interrupt_with_workers(folder: Path, python: Forked) -> None:
    program = """
import pathlib, sys, time
from eureka_nlg.cli.main import main
from eureka_nlg.dialogue import binarize
def wait(self, start):
    pathlib.Path("started").touch()
    time.sleep(60)
binarize._BLOCK = 10
binarize._Encoder.__call__ = wait
sys.exit(main(["prepare", "corpus", "--out", "out", "--workers", "3"]))
"""
    process = python.start("-c", program, cwd=folder)
    deadline = time.monotonic() + 120
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill(signal.SIGINT)  # as a terminal does
    done = process.wait(60)
    assert done.returncode == 130, done.stderr
    assert (done.stdout, done.stderr.splitlines()[-1]) == ("", "eureka prepare: error: interrupted")
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["corpus", "started"]


def test_a_process_of_its_own_says_nothing_that_is_not_ours(folder: Path, python: Forked) -> None:
    """In a new interpreter, where the import of fairseq would turn logging on."""
    command = ("-m", "eureka_nlg.cli.main", "prepare", "corpus", "--out", "out")
    done = python(*command, cwd=folder, fresh=True)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("eureka prepare: ") for line in done.stderr.splitlines()), done.stderr
    assert done.stdout.startswith("split ")
    assert not list((folder / "out").glob("*.log"))
