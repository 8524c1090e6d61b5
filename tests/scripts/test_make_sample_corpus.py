"""The bundled corpus: made again byte for byte, and well-formed by rules written here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "make_sample_corpus.py"
SAMPLE = ROOT / "data" / "sample"
SPLITS = ("train", "valid", "test")
PERSONA = "your persona: "

Exchange = tuple[str, str]
Parsed = tuple[list[str], list[Exchange]]


def run(*arguments: object, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def parse(text: str) -> list[Parsed]:
    """Dialogues of a ParlAI file; asserts its layout line by line."""
    dialogues: list[Parsed] = []
    expected = 1
    for line in text.split("\n")[:-1]:
        number, space, rest = line.partition(" ")
        assert space
        assert number in ("1", str(expected)), f"{line!r}: expected number 1 or {expected}"
        if number == "1":
            dialogues.append(([], []))
        expected = int(number) + 1
        persona, exchanges = dialogues[-1]
        if rest.startswith(PERSONA):
            assert not exchanges, f"{line!r}: persona after the first exchange"
            assert "\t" not in rest
            persona.append(rest[len(PERSONA) :])
        else:
            assert rest.count("\t") == 1, f"{line!r}: expected one tab"
            context, reply = rest.split("\t")
            exchanges.append((context, reply))
    return dialogues


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Parsed]]:
    return {split: parse((SAMPLE / f"{split}.txt").read_text(encoding="ascii")) for split in SPLITS}


@pytest.fixture(scope="module")
def sentences(corpus: dict[str, list[Parsed]]) -> list[str]:
    personas = [line for dialogues in corpus.values() for persona, _ in dialogues for line in persona]
    turns = [
        turn for dialogues in corpus.values() for _, pairs in dialogues for pair in pairs for turn in pair
    ]
    return personas + turns


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_defaults_reproduce_the_committed_files(tmp_path: Path, hash_seed: str) -> None:
    result = run("--out", tmp_path, hash_seed=hash_seed)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{split}.txt" for split in SPLITS)
    for split in SPLITS:
        made, committed = ((folder / f"{split}.txt").read_bytes() for folder in (tmp_path, SAMPLE))
        assert made == committed, f"{split}.txt: commit the output of scripts/make_sample_corpus.py"


def test_sizes(corpus: dict[str, list[Parsed]]) -> None:
    exchanges = {split: sum(len(pairs) for _, pairs in corpus[split]) for split in SPLITS}
    assert exchanges["train"] >= 3000
    assert exchanges["valid"] >= 300
    assert exchanges["test"] >= 300
    assert sum((SAMPLE / f"{split}.txt").stat().st_size for split in SPLITS) < 2_000_000
    for dialogues in corpus.values():
        assert {len(persona) for persona, _ in dialogues} == {3, 4, 5}
        assert {len(pairs) for _, pairs in dialogues} == {5, 6, 7, 8}


def test_readme_states_the_sizes(corpus: dict[str, list[Parsed]]) -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for split, dialogues in corpus.items():
        texts = [
            text for persona, pairs in dialogues for text in [*persona, *(t for pair in pairs for t in pair)]
        ]
        words = " ".join(texts).split()
        sizes = (len(dialogues), sum(len(pairs) for _, pairs in dialogues), len(words), len(set(words)))
        assert f"| {split}.txt | " + " | ".join(f"{size:,}" for size in sizes) + " |" in readme


def test_tokens(sentences: list[str]) -> None:
    token = re.compile(r"[a-z]+(?:'[a-z]+)?|[.,?!]")
    strange = {word for line in sentences for word in line.split(" ") if not token.fullmatch(word)}
    assert strange == set()  # among these: template marks, capitals, digits, double spaces
    assert [line for line in sentences if line[-1] not in ".?!"] == []
    assert [line for line in sentences if re.search(r"[.,?!] [.,?!]|^[.,?!]", line)] == []


def test_articles(sentences: list[str]) -> None:
    text = "\n".join(sentences)
    before_a = set(re.findall(r"\ba (\S+)", text))
    before_an = set(re.findall(r"\ban (\S+)", text))
    assert {word for word in before_a if word[0] in "aeiou"} <= {"unicycle", "ukulele"}
    assert {word for word in before_an if word[0] not in "aeiou"} <= {"hourglass"}
    assert not before_a & before_an


def test_agreement(sentences: list[str]) -> None:
    wrong = re.compile(
        r"\b(i (is|are|has)|you (is|am|has)|(he|she|it) (are|am|have)|they (is|has|was)|(\w+) \5)\b"
    )
    assert [line for line in sentences if wrong.search(line)] == []


def test_vocabulary_has_a_long_tail(corpus: dict[str, list[Parsed]]) -> None:
    counts: dict[str, int] = {}
    for persona, pairs in corpus["train"]:
        for word in " ".join([*persona, *(turn for pair in pairs for turn in pair)]).split():
            counts[word] = counts.get(word, 0) + 1
    replies = {word for _, pairs in corpus["train"] for _, reply in pairs for word in reply.split()}
    assert len(replies) >= 1500
    assert sum(count <= 5 for count in counts.values()) >= 0.5 * len(counts)
    test_words = [
        word for _, pairs in corpus["test"] for pair in pairs for turn in pair for word in turn.split()
    ]
    assert sum(word not in counts for word in test_words) <= 0.03 * len(test_words)


def test_splits_share_no_dialogue_and_few_exchanges(corpus: dict[str, list[Parsed]]) -> None:
    personas = [frozenset(persona) for dialogues in corpus.values() for persona, _ in dialogues]
    assert len(set(personas)) == len(personas)
    known = {pair for _, pairs in corpus["train"] for pair in pairs}
    for split in ("valid", "test"):
        pairs = [pair for _, pairs in corpus[split] for pair in pairs]
        assert sum(pair in known for pair in pairs) <= 0.15 * len(pairs)


def test_options(tmp_path: Path) -> None:
    sizes = ("--train-dialogues", 7, "--valid-dialogues", 2, "--test-dialogues", 3)
    result = run("--out", tmp_path, "--seed", 5, *sizes)
    assert result.returncode == 0, result.stderr
    made = {split: parse((tmp_path / f"{split}.txt").read_text(encoding="ascii")) for split in SPLITS}
    assert {split: len(dialogues) for split, dialogues in made.items()} == {"train": 7, "valid": 2, "test": 3}
    exchanges = sum(len(pairs) for _, pairs in made["train"])
    assert re.search(rf"train +7 dialogues +{exchanges} exchanges", result.stdout)
    assert not (SAMPLE / "train.txt").read_bytes().startswith((tmp_path / "train.txt").read_bytes())


def test_bad_output_folder_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("--out", tmp_path / "file", "--train-dialogues", 1)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    (tmp_path / "train.txt").mkdir()  # the final name is taken by a folder
    result = run("--out", tmp_path, "--train-dialogues", 1)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "train.txt"]


def test_bad_size_is_refused(tmp_path: Path) -> None:
    result = run("--out", tmp_path, "--train-dialogues", "0")
    assert result.returncode == 2
    assert "'0' is not a number of dialogues" in result.stderr
